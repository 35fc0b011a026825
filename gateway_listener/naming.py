"""Which names the service has, and what it must be told when they change.

A channel's name is told when something is recorded there, a guild's when something is in any of its channels: a name
may be somebody's who never said yes. What was told is remembered in memory only; the service is the truth about what it
has (`compare`): names go there with the last session of their channel, whatever removes it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Container, Iterable, Mapping

from db_client.records import Channel, Guild
from gateway_listener.frames import ChannelChanged, ChannelDeleted, ChannelInfo, GuildChanged, RollCall
from gateway_listener.guilds import GuildState, Names
from gateway_listener.ledger import Ledger


class Naming:
    """The names that the service has, as far as this run knows; what is to be told goes into the ledger's items."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._guilds: dict[int, Guild] = {}
        self._channels: dict[int, dict[int, Channel]] = defaultdict(dict)
        """By guild; none that is marked deleted."""
        self._owed: dict[int, set[int]] = defaultdict(set)
        """By guild: channels in which something was recorded, and whose names nobody has said yet."""

    def called(self, guild: GuildState, call: RollCall, now: int) -> None:
        """A roll call: all names of a guild as they are now."""
        guild.names = Names(call.name, call.afk_channel_id, {channel.channel_id: channel for channel in call.channels})
        self._renew_guild(guild, now)
        for channel_id in [*self._channels[guild.guild_id], *self._owed[guild.guild_id]]:
            self._renew_channel(guild, channel_id, now)

    def guild_changed(self, guild: GuildState, change: GuildChanged, now: int) -> None:
        """The guild has another name or another AFK channel."""
        if guild.names is not None:
            guild.names = guild.names._replace(name=change.name, afk_channel_id=change.afk_channel_id)
            self._renew_guild(guild, now)

    def channel_changed(self, guild: GuildState, change: ChannelChanged, now: int) -> None:
        """A channel was made, or has another name."""
        if guild.names is not None:
            guild.names.channels[change.channel.channel_id] = change.channel
            self._renew_channel(guild, change.channel.channel_id, now)

    def channel_deleted(self, guild: GuildState, deleted: ChannelDeleted, now: int) -> None:
        """A channel is gone; its name stays with the sessions in it."""
        if guild.names is not None:
            guild.names.channels.pop(deleted.channel_id, None)
            self._renew_channel(guild, deleted.channel_id, now)

    def write(self, known: Callable[[int], GuildState | None]) -> None:
        """Tells the names of the guilds and channels in which something was recorded, where they are news."""
        ledger = self._ledger
        for guild_id, channel_id in ledger.taken_back:
            self._channels[guild_id].pop(channel_id, None)
        ledger.taken_back.clear()
        for guild_id, channel_id in ledger.touched:
            guild = known(guild_id)
            if guild is not None and channel_id not in self._channels[guild_id]:
                self._owed[guild_id].add(channel_id)
                self._tell_owed(guild, channel_id, 0)
        ledger.touched.clear()

    def compare(self, guilds: Mapping[int, GuildState], stored: Iterable[Guild | Channel], now: int) -> None:
        """What the service has: what is called otherwise by now is told, and what is gone from a guild that is seen."""
        for record in stored:
            self._ledger.revision = max(self._ledger.revision, record.revision)
            guild = guilds.get(record.guild_id)
            if isinstance(record, Guild):
                known = self._guilds.get(record.guild_id)
                if known is None or known.revision <= record.revision:
                    self._guilds[record.guild_id] = record
                    if guild is not None and guild.seen_since is not None:
                        self._renew_guild(guild, now)
                continue
            there = self._channels[record.guild_id].get(record.channel_id)
            if there is None or there.revision <= record.revision:
                self._channels[record.guild_id][record.channel_id] = record
                if guild is not None and guild.seen_since is not None:
                    self._renew_channel(guild, record.channel_id, now)

    def forget_others(self, standing: Container[str], mark: int) -> None:
        """Names that were told until revision `mark`, and are not `standing` there (the keys of their records).

        They went with their sessions.
        """
        for told in list(self._guilds.values()):
            if told.key not in standing and told.revision <= mark:
                del self._guilds[told.guild_id]
        for channels in self._channels.values():
            for channel_id, channel in list(channels.items()):
                if channel.key not in standing and channel.revision <= mark:
                    del channels[channel_id]

    def untold(self, guilds: Iterable[GuildState]) -> list[int]:
        """The channels of these guilds, as far as they are seen, of which no name was told."""
        return [
            channel_id
            for guild in guilds
            if guild.seen_since is not None and guild.names is not None
            for channel_id in guild.names.channels
            if channel_id not in self._channels[guild.guild_id]
        ]

    def tell(self, guilds: Iterable[GuildState], channel_ids: Collection[int]) -> None:
        """Sees to it that the names of these channels are told."""
        missing = set(channel_ids)
        for guild in guilds:
            if guild.names is not None:
                for channel_id in guild.names.channels.keys() & missing:
                    self._ledger.touched[guild.guild_id, channel_id] = None

    def _renew_guild(self, guild: GuildState, now: int) -> None:
        names, known = guild.names, self._guilds.get(guild.guild_id)
        if names is None or known is None:
            return
        if (known.name, known.afk_channel_id) != (names.name, names.afk_channel_id):
            self._tell_guild(guild.guild_id, names, now)

    def _renew_channel(self, guild: GuildState, channel_id: int, now: int) -> None:
        known = self._channels[guild.guild_id].get(channel_id)
        if known is None:
            if channel_id in self._owed[guild.guild_id]:
                self._tell_owed(guild, channel_id, now)
            return
        channel = None if guild.names is None else guild.names.channels.get(channel_id)
        if channel is None:
            revision = self._ledger.next_revision(now)
            gone = Channel(channel_id, guild.guild_id, known.name, known.channel_type, revision, deleted_at=now)
            self._ledger.items.append(gone)
            del self._channels[guild.guild_id][channel_id]
        elif channel.name and (known.name, known.channel_type) != (channel.name, channel.kind):
            self._tell_channel(guild.guild_id, channel, now)

    def _tell_owed(self, guild: GuildState, channel_id: int, now: int) -> None:
        """Tells a name that is owed, if it is known."""
        names = guild.names
        if names is None:
            return
        if guild.guild_id not in self._guilds:
            self._tell_guild(guild.guild_id, names, now)
        channel = names.channels.get(channel_id)
        if channel is not None and channel.name:
            self._owed[guild.guild_id].discard(channel_id)
            self._tell_channel(guild.guild_id, channel, now)

    def _tell_guild(self, guild_id: int, names: Names, now: int) -> None:
        record = Guild(guild_id, names.name, names.afk_channel_id, self._ledger.next_revision(now))
        self._guilds[guild_id] = record
        self._ledger.items.append(record)

    def _tell_channel(self, guild_id: int, channel: ChannelInfo, now: int) -> None:
        revision = self._ledger.next_revision(now)
        record = Channel(channel.channel_id, guild_id, channel.name, channel.kind, revision)
        self._channels[guild_id][channel.channel_id] = record
        self._ledger.items.append(record)
