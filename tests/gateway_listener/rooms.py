"""Which channels their managers want recorded, and what of it a listener is told.

The service keeps the newest unrecorded time of a channel only. A listener that asks in time knows all of them; one that
could not ask takes an unrecorded time whose end nobody told to have lasted until the next one began.
"""

from __future__ import annotations

from collections import defaultdict

from db_client.records import ChannelRecording
from tests.gateway_listener.tables import Service
from tests.gateway_listener.truth import FOREVER, Span, within, without


class Rooms:
    """What was decided about each channel, in the order in which it was decided, and how much of that has arrived."""

    def __init__(self) -> None:
        self._decided: dict[int, list[ChannelRecording]] = defaultdict(list)
        self._arrived: dict[int, int] = defaultdict(int)

    def decide(self, decision: ChannelRecording) -> None:
        """A manager decides."""
        self._decided[decision.channel_id].append(decision)

    def arrive(self, decision: ChannelRecording) -> None:
        """The next decision about its channel has reached the service."""
        self._arrived[decision.channel_id] += 1

    def arrived(self, channel: int) -> int:
        """How many decisions about the channel have reached the service."""
        return self._arrived[channel]

    def decided(self, channel: int, place: int) -> int:
        """When that decision about the channel was made."""
        return self._decided[channel][place].at

    @property
    def channels(self) -> list[int]:
        """Those about which something was decided."""
        return list(self._decided)

    def holes(self, channel: int, count: int | None = None) -> list[Span]:
        """When the channel is not recorded, by the first `count` decisions (None: all)."""
        spans: list[Span] = []
        since: int | None = None
        for decision in self._decided[channel][:count]:
            if not decision.recorded:
                since = decision.at if since is None else since
            elif since is not None:
                spans.append((since, decision.at))
                since = None
        return spans if since is None else [*spans, (since, FOREVER)]


class Believed:
    """What one listener's disk knows of the channels; `since`: it is a new disk."""

    def __init__(self, rooms: Rooms, *, since: int = 0) -> None:
        self._rooms = rooms
        self._since = since
        self._holes: dict[int, list[Span]] = defaultdict(list)
        self._followed: dict[int, int] = defaultdict(int)
        self.unsure: dict[int, list[Span]] = defaultdict(list)
        """When it was not told whether a channel was recorded, or too late to tell it from the next time."""

    def look(self, service: Service) -> None:
        """The listener asks the service."""
        for row in service.rows("SELECT channel_id, from_at, to_at FROM unrecorded_channels"):
            channel, begin = row["channel_id"], row["from_at"]
            earlier = [(a, min(b, begin)) for a, b in self._holes[channel] if a < begin]
            newest = (begin, FOREVER if row["to_at"] is None else row["to_at"])
            self._holes[channel] = [*earlier, newest]
            self._followed[channel] = self._rooms.arrived(channel)
            true = self._rooms.holes(channel, self._followed[channel])
            missed = [*without(true, self._holes[channel]), *without(self._holes[channel], true)]
            self.unsure[channel] += [(a, b) for a, b in within(missed, [(self._since, FOREVER)]) if a < b]

    def forgotten(self, now: int) -> dict[int, list[Span]]:
        """The process ends: what it took to be unrecorded, or had not asked about, is not told to anybody any more."""
        forgotten: dict[int, list[Span]] = {}
        for channel in self._rooms.channels:
            spans = [(a, now) for a, b in self._holes[channel] if b == FOREVER]
            if self._followed[channel] < self._rooms.arrived(channel):
                spans.append((self._rooms.decided(channel, self._followed[channel]), now))
            forgotten[channel] = spans
        return forgotten
