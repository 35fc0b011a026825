"""Which dispatch a change in the world is, and what is in it."""

from __future__ import annotations

from dataclasses import dataclass

from tests.simulated_discord import payloads
from tests.simulated_discord.faults import Faults
from tests.simulated_discord.model import (
    Change,
    ChannelChanged,
    Guild,
    GuildArrived,
    GuildChanged,
    GuildGone,
    User,
    VoiceChanged,
)
from tests.simulated_discord.session import GUILDS, VOICE_STATES
from tests.simulated_discord.world import World


@dataclass(frozen=True)
class Dispatch:
    """An event for every session of the guild's shard that has the intent; `data` is JSON text."""

    name: str
    guild_id: int
    intent: int
    data: str


def dispatch_of(change: Change, world: World, bot: User, faults: Faults) -> Dispatch | None:
    """What the gateway says about a change that has just been made; None if the bot does not get to know of it."""
    if isinstance(change, VoiceChanged):
        state = change.state
        if not world.guild(state.guild_id).visible:
            return None
        data = payloads.voice_event(state, world.user(state.user_id), faults)
        return Dispatch("VOICE_STATE_UPDATE", state.guild_id, VOICE_STATES, data)
    if isinstance(change, ChannelChanged):
        channel = change.channel
        if not (channel.announced and world.guild(channel.guild_id).visible):
            return None
        name = f"CHANNEL_{change.how.upper()}"
        return Dispatch(name, channel.guild_id, GUILDS, payloads.text(payloads.channel(channel)))
    return _guild_dispatch(change, world, bot, faults)


def _guild_dispatch(
    change: GuildArrived | GuildGone | GuildChanged, world: World, bot: User, faults: Faults
) -> Dispatch | None:
    guild = world.guild(change.guild_id)
    if isinstance(change, GuildGone):
        gone = {"id": str(guild.id), "unavailable": True} if change.unavailable else {"id": str(guild.id)}
        return Dispatch("GUILD_DELETE", guild.id, GUILDS, payloads.text(gone))
    if not guild.visible:
        return None
    if isinstance(change, GuildChanged):
        return Dispatch("GUILD_UPDATE", guild.id, GUILDS, payloads.text(payloads.guild(guild, bot.id)))
    return guild_create(guild, world, bot, faults, known=change.recovered)


def guild_create(guild: Guild, world: World, bot: User, faults: Faults, *, known: bool) -> Dispatch:
    """GUILD_CREATE: with `unavailable` false for a guild that was known before, without the field for a new one."""
    snapshot = payloads.guild_create(world, guild, bot, faults)
    if known:
        snapshot["unavailable"] = False
    return Dispatch("GUILD_CREATE", guild.id, GUILDS, payloads.text(snapshot))
