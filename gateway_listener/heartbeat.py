"""One connection's heartbeats. Pure."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

# Heartbeats that are sent only to know have such a distance (milliseconds); Discord allows 120 messages a minute.
ASK_EVERY_MS = 1000


class _Beat(NamedTuple):
    """A heartbeat that was sent and not acknowledged; what it finds in its way may be as old as `clear_at`."""

    sent_at: int
    clear_at: int


class Heartbeat:
    """The heartbeats of one connection: when one is due, whether the other side is dead, whether frames are read late.

    Discord gives voice states no time of their own, so a moment is when its frame was read. After a sleep of the
    machine, a stall of the process, a long burst, or on a network that stood still, frames are read late, and nothing
    in them says so. What does say so: the event loop that did not come round in time, and a heartbeat whose ACK is not
    there in time. From the first such sign until the ACK of a heartbeat sent after it, what is read may be as old as
    the last moment at which all was well: an ACK comes behind everything that Discord sent before it.

    `since` is None while frames are read as they come, else the last moment up to which they were. Pure; times are
    milliseconds of a clock that only runs forward.
    """

    def __init__(self, now: int, *, late_ms: int, answer_within_ms: int = 30_000) -> None:
        self.since: int | None = None
        self.interval: int | None = None
        """As HELLO said; None before."""
        self.opened_at: int | None = None
        """When READY or RESUMED came."""
        self._late_ms = late_ms
        self._answer_within = answer_within_ms
        self._began_at = self._turned_at = self._heard_at = self._hello_at = self._asked_at = now
        self._in_time = True
        self._wanted = self._opening = False
        self._beats: deque[_Beat] = deque()
        self._until: _Beat | None = None
        """The heartbeat whose ACK ends the lateness; None: it is still to be sent."""

    def hello(self, interval_ms: int, now: int) -> None:
        """HELLO: from here on the loop's turns tell."""
        self.interval, self.since = interval_ms, None
        self._hello_at = self._heard_at = self._turned_at = self._asked_at = now

    def opened(self, now: int) -> None:
        """READY or RESUMED: much may follow at once, and a heartbeat shows when it is through."""
        self.opened_at, self._opening = now, True

    def wanted(self) -> None:
        """Discord asks for a heartbeat."""
        self._wanted = True

    def turned(self, now: int) -> bool:
        """The event loop has come round; True if a heartbeat is to be sent now."""
        self._look(now)
        self._in_time = now - self._turned_at <= self._late_ms
        self._turned_at = now
        if self.interval is None:
            return False
        waited = now - self._asked_at
        unasked = self.since is not None and self._until is None
        if self._wanted or self._opening or waited >= self.interval or (unasked and waited >= ASK_EVERY_MS):
            self._asked_at = now
            return True
        return False

    def read(self, now: int) -> int | None:
        """Something is read now; since when it may have waited, None if it has not."""
        self._look(now)
        return self.since

    def heard(self, now: int) -> None:
        """What is read now may tell how long a later heartbeat's way had been free. (No stranger caused it.)"""
        self._heard_at = now

    def beat(self, now: int) -> None:
        """A heartbeat is sent."""
        beat = _Beat(now, self._hello_at if self._opening else self._heard_at)
        self._beats.append(beat)
        self._wanted = self._opening = False
        if self.since is not None and self._until is None:
            self._until = beat

    def acknowledged(self) -> None:
        """An ACK has been read: it is the oldest heartbeat's, as none names its own."""
        if self._beats and self._beats.popleft() is self._until:
            self.since = self._until = None

    def complaint(self, now: int) -> str | None:
        """Why the connection must be made anew, or None; never before what waits has been read.

        https://discord.com/developers/docs/events/gateway#heartbeat-interval
        """
        if not self._in_time:
            return None
        if self.opened_at is None and now - self._began_at > self._answer_within:
            return f"neither READY nor RESUMED within {self._answer_within / 1000:g} s"
        if self.interval is not None and self._beats and now - self._beats[0].sent_at >= self.interval:
            return "a heartbeat was not acknowledged before the next"
        return None

    def _look(self, now: int) -> None:
        if now - self._turned_at > self._late_ms:
            self.since = self._turned_at if self.since is None else self.since
            self._until = None
        elif self._beats and self.since is None and now - self._beats[0].sent_at > self._late_ms:
            self.since, self._until = self._beats[0].clear_at, self._beats[0]
