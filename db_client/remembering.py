"""Which decisions a queue file remembers, for the day on which a restored service has forgotten them (pure)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from db_client.records import DECISIONS, EVERY_GUILD, ChannelRecording, ConsentDecision, GuildSetting, Record


class Slots(NamedTuple):
    """Where a decision is remembered: whose it is, and under which names, in each of which the newest stands."""

    subject: str
    names: tuple[str, ...]


def person_subject(user_id: int) -> str:
    """Whose a person's decisions are."""
    return f"person:{user_id}"


def is_decision(kind: str) -> bool:
    """True for the kinds of records that are remembered."""
    return kind in _SLOTS


def slots(record: Record) -> Slots | None:
    """Where the decision is remembered; None: nowhere.

    A person's by what it decides and, for each place of which it says who may see them there (its server, and every
    server), by whether it shows or hides them: what was shown before the newest hiding one stays hidden. A server's by
    its setting, or by the channel and whether it is recorded: what was not recorded in between stays so.
    """
    find = _SLOTS.get(record.kind)
    return find(record) if find else None


def as_remembered(record: Record) -> str:
    """The decision as JSON, without a channel's name: that is stored with the setting, and must go with it."""
    return (replace(record, name=None) if isinstance(record, ChannelRecording) else record).to_json()


def _of_person(record: ConsentDecision) -> Slots | None:
    if record.decision not in DECISIONS:
        return None
    names: list[str] = [record.decision]
    if record.decision == "in" and record.visibility is not None:
        if record.guild_id is not None:
            names.append(f"{'hidden' if record.visibility == 'only_me' else 'shown'}:{record.guild_id}")
        names.append(f"{'shown' if record.visibility == 'everywhere' else 'hidden'}:{EVERY_GUILD}")
    return Slots(person_subject(record.user_id), tuple(names))


def _of_setting(record: GuildSetting) -> Slots:
    return Slots(_guild_subject(record.guild_id), (record.setting,))


def _of_channel(record: ChannelRecording) -> Slots:
    return Slots(
        _guild_subject(record.guild_id), (f"{'recorded' if record.recorded else 'unrecorded'}:{record.channel_id}",)
    )


def _guild_subject(guild_id: int) -> str:
    return f"guild:{guild_id}"


_SLOTS: dict[str, Callable[[Any], Slots | None]] = {
    ConsentDecision.kind: _of_person,
    GuildSetting.kind: _of_setting,
    ChannelRecording.kind: _of_channel,
}
