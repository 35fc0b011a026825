"""Are frames read as they come, or out of a backlog of unknown age? Pure.

Discord gives voice states no time of their own, so a moment is when its frame was read. That is right while frames are
read as they come. After a sleep of the machine, a stall of the process, a burst that takes long, or a network that
stood still, frames are read late, one after another, and nothing in them says so. What does say so: the event loop
that did not come round in time, and a heartbeat whose ACK is not there in time.

From the first such sign until the ACK of a heartbeat sent after it, what is read may be as old as the last moment at
which all was well: an ACK comes behind everything that Discord sent before it.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

# The event loop is to come round so often (seconds).
TURN_EVERY = 0.2
# Heartbeats that are sent only to know have such a distance (milliseconds); Discord allows 120 messages a minute.
ASK_EVERY_MS = 1000


class _Beat(NamedTuple):
    """A heartbeat that was sent and not acknowledged; what it finds in its way may be as old as `clear_at`."""

    sent_at: int
    clear_at: int


class Lateness:
    """The signs, of one connection after another; times are milliseconds since 1970 UTC and never run backwards.

    `since` is None while frames are read as they come, else the last moment up to which they were.
    """

    def __init__(self, now: int, *, late_ms: int) -> None:
        self.since: int | None = None
        self._late_ms = late_ms
        self._turned_at = now
        self._heard_at = now
        self._connected_at = now
        self._opening = False
        self._beats: deque[_Beat] = deque()
        self._acks_to_come: int | None = None
        """So many ACKs, and all is well; None: the heartbeat that will tell is still to be sent."""
        self._asked_at = 0

    def connected(self, now: int) -> None:
        """HELLO: nothing of the connection before will come any more."""
        self.since, self._acks_to_come, self._opening = None, None, False
        self._beats.clear()
        self._connected_at = self._heard_at = self._turned_at = now

    def opened(self) -> None:
        """READY or RESUMED: much may follow at once, and a heartbeat shows when it is through."""
        self._opening = True

    def turned(self, now: int) -> bool:
        """The event loop has come round; True if a heartbeat is to be sent now."""
        self._look(now)
        self._turned_at = now
        unanswered = self.since is not None and self._acks_to_come is None
        if self._opening or (unanswered and now - self._asked_at >= ASK_EVERY_MS):
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

    def _look(self, now: int) -> None:
        if now - self._turned_at > self._late_ms:
            self.since = self._turned_at if self.since is None else self.since
            self._acks_to_come = None
        elif self._beats and self.since is None and now - self._beats[0].sent_at > self._late_ms:
            self.since, self._acks_to_come = self._beats[0].clear_at, 1

    def beat(self, now: int) -> None:
        """A heartbeat is sent."""
        self._beats.append(_Beat(now, self._connected_at if self._opening else self._heard_at))
        self._opening = False
        if self.since is not None and self._acks_to_come is None:
            self._acks_to_come = len(self._beats)

    def acknowledged(self) -> None:
        """An ACK has been read."""
        if self._beats:
            self._beats.popleft()
        if self._acks_to_come is not None:
            self._acks_to_come -= 1
            if self._acks_to_come <= 0:
                self.since, self._acks_to_come = None, None
