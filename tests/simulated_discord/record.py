"""How a change in the world is written into the history."""

from __future__ import annotations

from tests.simulated_discord.history import History
from tests.simulated_discord.model import (
    FLAGS,
    Change,
    ChannelChanged,
    GuildArrived,
    GuildGone,
    VoiceChanged,
)
from tests.simulated_discord.world import World


def record(change: Change, world: World, history: History, *, lost: bool) -> None:
    """Writes one entry; `lost` says that a fault keeps it from everybody."""
    if isinstance(change, VoiceChanged):
        state = change.state
        history.add(
            "voice",
            guild_id=state.guild_id,
            user_id=state.user_id,
            channel_id=state.channel_id,
            bot=world.user(state.user_id).bot,
            lost=lost,
            **{flag: getattr(state, flag) for flag in FLAGS},
        )
    elif isinstance(change, ChannelChanged):
        channel = change.channel
        history.add(
            "channel",
            what=change.how,
            guild_id=channel.guild_id,
            channel_id=channel.id,
            name=channel.name,
            channel_kind=channel.kind,
            lost=lost,
        )
    else:
        guild = world.guild(change.guild_id)
        if isinstance(change, GuildArrived):
            what = "recovered" if change.recovered else "joined"
        elif isinstance(change, GuildGone):
            what = "outage" if change.unavailable else "removed"
        else:
            what = "changed"
        history.add(
            "guild", what=what, guild_id=guild.id, name=guild.name, afk_channel_id=guild.afk_channel_id, lost=lost
        )
