"""Which statements make a record true in the service (pure)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from db_client import consent_statements, guild_statements, session_statements, upkeep_statements
from db_client.records import (
    Channel,
    ChannelRecording,
    ConsentDecision,
    Guild,
    GuildPresence,
    GuildSetting,
    GuildSight,
    Installation,
    Lease,
    Record,
    Removal,
    Retraction,
    TotalsRebuild,
    VoiceSession,
    Watermark,
)
from db_client.statements import Statement

_WRITERS: dict[type[Record], Callable[[Any], list[Statement]]] = {
    ConsentDecision: consent_statements.decide,
    VoiceSession: session_statements.store,
    Retraction: session_statements.retract,
    Guild: guild_statements.store_guild,
    GuildPresence: guild_statements.store_presence,
    Installation: guild_statements.store_installation,
    Channel: guild_statements.store_channel,
    Watermark: guild_statements.store_watermark,
    GuildSight: guild_statements.store_sight,
    GuildSetting: guild_statements.store_setting,
    ChannelRecording: guild_statements.store_recording,
    Lease: upkeep_statements.take_lease,
    Removal: upkeep_statements.remove,
    TotalsRebuild: upkeep_statements.rebuild_totals,
}


def statements_for(record: Record) -> list[Statement]:
    """The statements that make the record true in the service; run in one transaction, any number of times."""
    return _WRITERS[type(record)](record)
