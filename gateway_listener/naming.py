"""Which names were told to the service, and what must be told when they change. Only of guilds where something was
recorded: nothing is known of a guild in which nobody has consented."""

from __future__ import annotations

from collections.abc import Mapping

from gateway_listener.frames import ChannelChanged, ChannelDeleted, GuildChanged, RollCall
from gateway_listener.guilds import GuildState
from gateway_listener.ledger import Ledger
from gateway_listener.names import Names, announcements
from gateway_listener.outbox import Note


class Naming:
    """The names as they were announced, by guild; what is to be announced goes into the ledger's items."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._announced: dict[int, Names] = {}

    @property
    def guild_ids(self) -> frozenset[int]:
        """The guilds of which something was announced."""
        return frozenset(self._announced)

    def recall(self, names: Mapping[int, Names]) -> None:
        """Takes up what an earlier run announced."""
        self._announced.update(names)

    def called(self, guild: GuildState, call: RollCall) -> None:
        """A roll call: all names of a guild as they are now."""
        guild.names = Names(call.name, call.afk_channel_id, {channel.channel_id: channel for channel in call.channels})
        self._renamed(guild)

    def guild_changed(self, guild: GuildState, change: GuildChanged) -> None:
        """The guild has another name or another AFK channel."""
        if guild.names is not None:
            guild.names = guild.names._replace(name=change.name, afk_channel_id=change.afk_channel_id)
            self._renamed(guild)

    def channel_changed(self, guild: GuildState, change: ChannelChanged) -> None:
        """A channel was made, or has another name."""
        if guild.names is not None:
            guild.names = guild.names.with_channel(change.channel)
            self._renamed(guild)

    def channel_deleted(self, guild: GuildState, deleted: ChannelDeleted) -> None:
        """A channel is gone; its name stays with the sessions in it."""
        if guild.names is not None:
            guild.names = guild.names.without_channel(deleted.channel_id)
            self._renamed(guild)

    def guild_left(self, guild_id: int) -> None:
        """The bot is not in the guild any more."""
        if self._announced.pop(guild_id, None) is not None:
            self._ledger.items.append(Note(f"names:{guild_id}", None))

    def write(self, guilds: Mapping[int, GuildState], now: int) -> None:
        """Announces what is new in the guilds in which something was recorded, or renamed."""
        ledger = self._ledger
        if ledger.touched and ledger.recording:
            for guild_id in ledger.touched:
                self._announce(guilds.get(guild_id), now)
            ledger.touched.clear()

    def _renamed(self, guild: GuildState) -> None:
        if guild.guild_id in self._announced:
            self._ledger.touched.add(guild.guild_id)

    def _announce(self, guild: GuildState | None, now: int) -> None:
        if guild is None or guild.names is None:
            return
        ledger, known = self._ledger, self._announced.get(guild.guild_id)
        if known == guild.names:
            return
        revision = ledger.next_revision
        ledger.items.extend(announcements(guild.guild_id, known, guild.names, now=now, revision=lambda: revision(now)))
        self._announced[guild.guild_id] = guild.names
        ledger.items.append(Note(f"names:{guild.guild_id}", guild.names.to_json()))
