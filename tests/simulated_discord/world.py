"""The world: who is where. Every action checks that it is possible, changes the state, and tells what changed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from tests.simulated_discord.model import (
    CHANNEL_TYPES,
    FLAGS,
    TALKABLE,
    Change,
    Channel,
    ChannelChanged,
    Guild,
    GuildArrived,
    GuildChanged,
    GuildGone,
    Impossible,
    User,
    VoiceChanged,
    VoiceState,
)
from tests.simulated_discord.snowflakes import Snowflakes, shard_of

T = TypeVar("T")


class World:
    """Users, guilds, channels and voice states. `tell` is called once for each change, in order, after it was made."""

    def __init__(self, snowflakes: Snowflakes, seed: int, shards: int, tell: Callable[[Change], None]) -> None:
        self.users: dict[int, User] = {}
        self.guilds: dict[int, Guild] = {}
        self.channels: dict[int, Channel] = {}
        self._whereabouts: dict[int, dict[int, VoiceState]] = {}
        self._snowflakes = snowflakes
        self._random = random.Random(f"world {seed}")
        self._shards = shards
        self._tell = tell

    # People

    def add_user(
        self, name: str | None = None, *, bot: bool = False, display_name: str | None = None, avatar: str | None = None
    ) -> int:
        """A new user; in no guild until he joins a channel or acts there."""
        user_id = self._snowflakes.old()
        self.users[user_id] = User(user_id, name or f"user{len(self.users) + 1}", display_name, avatar, bot)
        return user_id

    def user(self, user_id: int) -> User:
        """The user, or Impossible."""
        return _known(self.users, user_id, "user")

    def add_member(self, guild: int, user: int) -> None:
        """The user joins the guild."""
        self.user(user)
        self.guild(guild).members.add(user)

    def shares_guild(self, user: int) -> bool:
        """Whether the user is in a guild in which the bot is."""
        return any(guild.joined and user in guild.members for guild in self.guilds.values())

    def remove_member(self, guild: int, user: int) -> None:
        """The user leaves the guild, and its voice."""
        there = self.guild(guild)
        if user not in there.members:
            raise Impossible(f"user {user} is not a member of guild {guild}")
        if user in there.voice:
            self.leave(user, guild)
        there.members.discard(user)

    # Guilds

    def add_guild(
        self, name: str | None = None, *, locale: str = "en-US", joined: bool = True, shard: int | None = None
    ) -> int:
        """A new guild, with the bot in it when `joined`; `shard` chooses an id that belongs there."""
        guild_id = self._snowflakes.old()
        while shard is not None and shard_of(guild_id, self._shards) != shard:
            guild_id = self._snowflakes.old()
        guild = Guild(guild_id, name or f"Guild {len(self.guilds) + 1}", locale, joined=False)
        self.guilds[guild_id] = guild
        if joined:
            self.add_bot(guild_id)
        return guild_id

    def guild(self, guild_id: int) -> Guild:
        """The guild, or Impossible."""
        return _known(self.guilds, guild_id, "guild")

    def add_bot(self, guild: int) -> None:
        """The bot is invited."""
        there = self.guild(guild)
        if there.joined:
            raise Impossible(f"the bot is already in guild {guild}")
        there.joined = True
        if there.available:
            self._tell(GuildArrived(guild, recovered=False))

    def remove_guild(self, guild: int) -> None:
        """The bot is removed; the guild and its people stay as they are."""
        there = self._joined(guild)
        there.joined = False
        self._tell(GuildGone(guild, unavailable=False))

    def outage(self, guild: int) -> None:
        """Discord cannot serve the guild; life in it goes on."""
        there = self._joined(guild)
        if not there.available:
            raise Impossible(f"guild {guild} already has an outage")
        there.available = False
        self._tell(GuildGone(guild, unavailable=True))

    def recover(self, guild: int) -> None:
        """The outage ends."""
        there = self._joined(guild)
        if there.available:
            raise Impossible(f"guild {guild} has no outage")
        there.available = True
        self._tell(GuildArrived(guild, recovered=True))

    def rename_guild(self, guild: int, name: str) -> None:
        """The guild has a new name."""
        self.guild(guild).name = name
        self._tell(GuildChanged(guild))

    def set_afk_channel(self, guild: int, channel: int | None) -> None:
        """The guild's AFK channel is this one, or none."""
        there = self.guild(guild)
        if channel is not None and channel not in there.channels:
            raise Impossible(f"channel {channel} is not in guild {guild}")
        there.afk_channel_id = channel
        self._tell(GuildChanged(guild))

    # Channels

    def add_channel(
        self,
        guild: int,
        name: str | None = None,
        *,
        kind: str = "voice",
        parent: int | None = None,
        announced: bool = True,
    ) -> int:
        """A new channel: voice, stage, category or text."""
        there = self.guild(guild)
        if kind not in CHANNEL_TYPES:
            raise Impossible(f"no such kind of channel: {kind}")
        channel_id = self._snowflakes.old()
        position = len(there.channels)
        channel = Channel(channel_id, guild, name or f"{kind} {position + 1}", kind, parent, announced, position)
        self.channels[channel_id] = there.channels[channel_id] = channel
        self._tell(ChannelChanged("create", channel))
        return channel_id

    def channel(self, channel_id: int) -> Channel:
        """The channel, or Impossible."""
        return _known(self.channels, channel_id, "channel")

    def rename_channel(self, channel: int, name: str) -> None:
        """The channel has a new name."""
        there = self.channel(channel)
        there.name = name
        self._tell(ChannelChanged("update", there))

    def hide_channel(self, channel: int, hidden: bool = True) -> None:
        """The bot may not view the channel, or may again."""
        there = self.channel(channel)
        there.hidden = hidden
        self._tell(ChannelChanged("update", there))

    def delete_channel(self, channel: int) -> None:
        """The channel is gone, then everyone who was in it leaves."""
        there = self.channel(channel)
        guild = self.guild(there.guild_id)
        del self.channels[channel], guild.channels[channel]
        self._tell(ChannelChanged("delete", there))
        if guild.afk_channel_id == channel:
            guild.afk_channel_id = None
            self._tell(GuildChanged(guild.id))
        for state in [state for state in guild.voice.values() if state.channel_id == channel]:
            self.leave(state.user_id, guild.id)

    # Voice

    def join(self, user: int, channel: int, **flags: bool) -> None:
        """From outside into the channel; a person who is in another guild's voice leaves there first."""
        person, there = self.user(user), self._talkable(channel)
        guild = self.guild(there.guild_id)
        checked = _checked(flags)
        if user in guild.voice:
            raise Impossible(f"user {user} is already in voice in guild {guild.id}: switch, or leave first")
        if not person.bot:
            for elsewhere in self.places(user):
                self.leave(user, elsewhere.guild_id)
        guild.members.add(user)
        checked.setdefault("suppress", there.kind == "stage")
        self._set(VoiceState(user, guild.id, channel, f"{self._random.getrandbits(128):032x}", **checked))

    def switch(self, user: int, channel: int, **flags: bool) -> None:
        """From a channel of this guild into another one of it."""
        there = self._talkable(channel)
        state = self.state(user, there.guild_id)
        if state.channel_id == channel:
            raise Impossible(f"user {user} is in channel {channel} already")
        self._set(replace(state, channel_id=channel, **_checked(flags)))

    def leave(self, user: int, guild: int | None = None) -> None:
        """Out of voice."""
        state = self.state(user, guild)
        del self.guild(state.guild_id).voice[user], self._whereabouts[user][state.guild_id]
        self._tell(VoiceChanged(replace(state, channel_id=None)))

    def set_state(self, user: int, guild: int | None = None, **flags: bool) -> None:
        """Mutes, deafens, shares: the flags that are given change, the others stay."""
        self._set(replace(self.state(user, guild), **_checked(flags)))

    def burst(self, count: int, users: Sequence[int], channels: Sequence[int]) -> int:
        """`count` moves of the users in turn, each to the next of the channels (which are all of one guild)."""
        guild = self.guild(self.channel(channels[0]).guild_id)
        for move in range(count):
            user = users[move % len(users)]
            lap = move // len(users) + move % len(users)
            channel = channels[lap % len(channels)]
            state = guild.voice.get(user)
            if state is None:
                self.join(user, channel)
            elif state.channel_id == channel:
                self.set_state(user, guild.id, self_mute=not state.self_mute)
            else:
                self.switch(user, channel)
        return count

    def places(self, user: int) -> list[VoiceState]:
        """The user's voice states, one for each guild he is in voice in."""
        return list(self._whereabouts.get(user, {}).values())

    def state(self, user: int, guild: int | None = None) -> VoiceState:
        """The user's only voice state, or the one in that guild; Impossible if there is none."""
        states = self.places(user) if guild is None else [s for s in [self.guild(guild).voice.get(user)] if s]
        if len(states) != 1:
            raise Impossible(f"user {user} is {'in several guilds: name one' if states else 'not in voice'}")
        return states[0]

    def of_shard(self, shard: tuple[int, int]) -> Iterator[Guild]:
        """The guilds with our bot that one shard is told about."""
        shard_id, count = shard
        return (guild for guild in self.guilds.values() if guild.joined and shard_of(guild.id, count) == shard_id)

    def _set(self, state: VoiceState) -> None:
        self.guilds[state.guild_id].voice[state.user_id] = state
        self._whereabouts.setdefault(state.user_id, {})[state.guild_id] = state
        self._tell(VoiceChanged(state))

    def _joined(self, guild_id: int) -> Guild:
        guild = self.guild(guild_id)
        if not guild.joined:
            raise Impossible(f"the bot is not in guild {guild_id}")
        return guild

    def _talkable(self, channel_id: int) -> Channel:
        channel = self.channel(channel_id)
        if channel.kind not in TALKABLE:
            raise Impossible(f"nobody can talk in channel {channel_id}: it is a {channel.kind} channel")
        return channel


def _known(those: dict[int, T], key: int, what: str) -> T:
    if key not in those:
        raise Impossible(f"there is no {what} {key}")
    return those[key]


def _checked(flags: dict[str, bool]) -> dict[str, Any]:
    if unknown := set(flags) - set(FLAGS):
        raise Impossible(f"no such flag: {', '.join(sorted(unknown))}")
    return dict(flags)
