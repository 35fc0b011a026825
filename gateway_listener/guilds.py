"""One guild as the listener sees it: its names, who sits where, and since when it was not seen, if it is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gateway_listener.frames import ChannelInfo
from gateway_listener.stays import Stay


class Names(NamedTuple):
    """What one guild and its voice and stage channels are called; in memory only. `channels` follows every event."""

    name: str
    afk_channel_id: int | None
    channels: dict[int, ChannelInfo]


class GuildState:
    """The open stays of one guild, by person.

    `seen_since` is the roll call since which every event is known to arrive, None while the guild is not seen; then
    `unseen_since` is the last moment at which it was (None: never). `restored`: that moment was in an earlier run.
    `first_seen` is the first roll call of this run.
    """

    __slots__ = ("first_seen", "guild_id", "names", "restored", "seats", "seen_since", "unseen_since")

    def __init__(self, guild_id: int, *, unseen_since: int | None = None, restored: bool = False) -> None:
        self.guild_id = guild_id
        self.seats: dict[int, Stay] = {}
        self.names: Names | None = None
        self.seen_since: int | None = None
        self.first_seen: int | None = None
        self.unseen_since = unseen_since
        self.restored = restored

    def lose_sight(self, watermark: int | None) -> None:
        """From now on the guild is not seen; `watermark` is when it last was. Not seen twice keeps the first."""
        if self.seen_since is not None:
            self.seen_since, self.unseen_since = None, watermark

    def come_in_sight(self, now: int) -> None:
        """The roll call has been taken: the guild is seen."""
        self.seen_since, self.unseen_since, self.restored = now, None, False
        self.first_seen = self.first_seen or now

    def shift(self, move: Callable[[int], int]) -> None:
        """Every moment becomes another."""
        self.seen_since = None if self.seen_since is None else move(self.seen_since)
        self.unseen_since = None if self.unseen_since is None else move(self.unseen_since)
        self.first_seen = None if self.first_seen is None else move(self.first_seen)

    @property
    def is_recorded(self) -> bool:
        """True if a recorded session is open here."""
        return any(session.ended_at is None for stay in self.seats.values() for session in stay.recorded)

    def sit(self, stay: Stay) -> None:
        """The person is in the channel."""
        self.seats[stay.user_id] = stay

    def rise(self, stay: Stay) -> None:
        """The person is not in the channel any more."""
        del self.seats[stay.user_id]
