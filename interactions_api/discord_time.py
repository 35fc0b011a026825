"""How far this machine's clock is from Discord's, by what Discord signs: nothing else is asked. Pure.

An interaction's id says to the millisecond when Discord made it, so it cannot be far older than when it is read: the
least of the differences of late is the clocks' own, and a way of some hundredths of a second.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

WARN_FROM_MS = 2000
REMEMBERED_S = 3600.0
# So many requests that Discord did sign and that are all as much too old, or too new, and for long none that is not:
# who sends old requests again has none that is of the future, and one that is good in between proves them old.
TELLING = 3
ALIKE_MS = 5000
# Where nothing that is refused comes any more, it is tried again: a service sends nothing to what is not ready.
COUNTS_S = 600.0

log = logging.getLogger(__name__)


class DiscordTime:
    """For any number of threads. `clock` gives milliseconds since 1970 UTC, `steady` seconds that only grow."""

    def __init__(self, clock: Callable[[], int], steady: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._steady = clock, steady
        self._lock = threading.Lock()
        self._set_at = self._offset()
        self._differences: deque[tuple[float, int]] = deque(maxlen=32)
        """When each was measured (steady), and local minus Discord's time."""
        self._refused: deque[tuple[float, int, int]] = deque(maxlen=TELLING)
        """When each came (steady), its timestamp, local minus that: since the last one that was not refused."""
        self._told = False
        self.newest = 0
        """The newest moment that Discord has signed; 0: none."""

    def _offset(self) -> float:
        return self._clock() - self._steady() * 1000

    def _look(self) -> float:
        """The time (steady); what was measured with a clock that has been set since is forgotten."""
        offset = self._offset()
        if abs(offset - self._set_at) > WARN_FROM_MS / 2:
            self._differences.clear()
            self._refused.clear()
        self._set_at = offset
        now = self._steady()
        while self._differences and self._differences[0][0] < now - REMEMBERED_S:
            self._differences.popleft()
        return now

    def signed(self, at: int) -> None:
        """An interaction with a fresh signature was made at that moment by Discord's clock."""
        with self._lock:
            now = self._look()
            self.newest = max(self.newest, at)
            self._refused.clear()
            self._differences.append((now, self._clock() - at))
            is_off = len(self._differences) >= TELLING and abs(self._least()) >= WARN_FROM_MS
            if is_off and not self._told:
                log.warning("this machine's clock is %s Discord's", _by(self._least()))
            self._told = is_off

    def refused(self, timestamp_s: int) -> None:
        """A request that Discord did sign, at that second, was refused for its age."""
        with self._lock:
            now = self._look()
            if any(timestamp_s == known for _, known, _ in self._refused):
                return
            before = self._off_by(now)
            self._refused.append((now, timestamp_s, self._clock() - timestamp_s * 1000))
            by = self._off_by(now)
            if by is not None and before is None:
                log.error("%s", _sentence(by))

    def _least(self) -> int:
        return min(difference for _, difference in self._differences)

    def _off_by(self, now: float) -> int | None:
        """By how much the clock is ahead, if it is that for which requests are refused."""
        offs = [off for _, _, off in self._refused]
        if self._differences:  # it was right, and nobody has set it since
            return None
        if len(offs) < TELLING or max(offs) - min(offs) > ALIKE_MS or self._refused[-1][0] < now - COUNTS_S:
            return None
        return min(offs)

    def difference_ms(self) -> int | None:
        """This machine's clock minus Discord's, and the shortest way of late; None: not known."""
        with self._lock:
            now = self._look()
            return self._least() if self._differences else self._off_by(now)

    def complaint(self) -> str | None:
        """Why everything is refused, if it is this machine's clock."""
        with self._lock:
            by = self._off_by(self._look())
        return None if by is None else _sentence(by)


def _sentence(by_ms: int) -> str:
    return f"this machine's clock is {_by(by_ms)} Discord's: all that Discord sends is refused as too old or too new"


def _by(milliseconds: int) -> str:
    """ "2 h 5 min ahead of", "3.0 s behind"."""
    seconds = abs(milliseconds) / 1000
    length = f"{seconds:.1f} s"
    for unit, name in ((60, "min"), (3600, "h"), (86_400, "days")):
        if seconds >= 1.9 * unit:
            length = f"{seconds / unit:.0f} {name}"
    return f"{length} {'ahead of' if milliseconds > 0 else 'behind'}"
