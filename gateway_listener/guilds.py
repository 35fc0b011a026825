"""One guild as the listener sees it: its names, who sits where, and since when it was not seen, if it is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gateway_listener.edge import Unseen
from gateway_listener.frames import ChannelInfo, VoiceState
from gateway_listener.stays import Stay

# So many of the channels that were deleted last are known to be no more.
MOST_DELETED = 64


class Names(NamedTuple):
    """What one guild and its voice and stage channels are called; in memory only. `channels` follows every event."""

    name: str
    afk_channel_id: int | None
    channels: dict[int, ChannelInfo]


class GuildState:
    """The open stays of one guild, by person.

    `seen_since` is the roll call since which every event is known to arrive, None while the guild is not seen; then
    `unseen` says since when. `first_seen` is the first roll call of this run. `behind` are people in channels that are
    hidden from the bot: they have no stay there.
    """

    __slots__ = ("behind", "deleted", "first_seen", "guild_id", "names", "seats", "seen_since", "unseen")

    def __init__(self, guild_id: int) -> None:
        self.guild_id = guild_id
        self.seats: dict[int, Stay] = {}
        self.behind: dict[int, VoiceState] = {}
        self.deleted: tuple[int, ...] = ()
        self.names: Names | None = None
        self.seen_since: int | None = None
        self.first_seen: int | None = None
        self.unseen = Unseen()

    def lose_sight(self, since: int, missed_since: int | None = None) -> None:
        """From now on the guild is not seen; `since` is when it last was. Not seen twice keeps the first."""
        if self.seen_since is not None:
            self.seen_since, self.unseen = None, Unseen(since, missed_since=missed_since)

    def come_in_sight(self, now: int) -> None:
        """The roll call has been taken: the guild is seen."""
        self.seen_since = now
        self.first_seen = self.first_seen or now

    def shift(self, move: Callable[[int], int]) -> None:
        """Every moment becomes another."""
        self.seen_since = None if self.seen_since is None else move(self.seen_since)
        since, by_earlier_run, missed = self.unseen
        self.unseen = Unseen(since and move(since), by_earlier_run, missed and move(missed))
        self.first_seen = None if self.first_seen is None else move(self.first_seen)

    @property
    def is_recorded(self) -> bool:
        """True if a recorded session is open here."""
        return any(stay.running for stay in self.seats.values())

    def is_open(self, channel_id: int) -> bool:
        """False for a channel that is hidden from the bot, or no more; of others nothing speaks against recording."""
        channel = None if self.names is None else self.names.channels.get(channel_id)
        return channel_id not in self.deleted and not (channel is not None and channel.hidden)

    def is_afk(self, channel_id: int) -> bool:
        """True for the AFK channel."""
        return self.names is not None and channel_id == self.names.afk_channel_id

    def placed(self, state: VoiceState) -> VoiceState:
        """The voice state as it counts: in a channel that is not open the person is nowhere."""
        self.behind.pop(state.user_id, None)
        if state.channel_id is None or self.is_open(state.channel_id):
            return state
        if state.channel_id not in self.deleted:
            self.behind[state.user_id] = state
        return state._replace(channel_id=None)

    def delete(self, channel_id: int) -> None:
        """The channel is no more: a voice state that names it yet says nothing."""
        self.deleted = (*self.deleted[1 - MOST_DELETED :], channel_id)
        self.behind = {user: state for user, state in self.behind.items() if state.channel_id != channel_id}
