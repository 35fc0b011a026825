"""The wall clock as the sessions see it: it never jumps, so a corrected system clock does not change a duration."""

from __future__ import annotations

import time
from collections.abc import Callable

# Half a percent: an hour of voice is wrong by at most 18 s while a wrong clock is being followed.
SLEW = 0.005


def steady_seconds() -> float:
    """Seconds of a clock that only runs forward; where the system has one, it also counts while the machine sleeps."""
    source = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if source is None else time.clock_gettime(source)


class Clock:
    """Milliseconds since 1970 UTC: anchored at start, advanced by a steady clock, slewed towards the system's clock.

    When the system's clock is stepped (by NTP, by hand) this one follows by at most `SLEW` of the time that passes,
    so a stay's length is right whatever the step. `wall` and `steady` give seconds and are arguments for the tests.
    """

    def __init__(
        self,
        *,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = steady_seconds,
        slew: float = SLEW,
    ) -> None:
        self._wall = wall
        self._steady = steady
        self._slew = slew
        self._read_at = steady()
        self._shown = wall()

    def now(self) -> int:
        """The moment, never earlier than the last one that was given out."""
        steady = self._steady()
        passed = max(0.0, steady - self._read_at)
        self._read_at = steady
        self._shown += passed
        behind = self._wall() - self._shown
        self._shown += max(-self._slew * passed, min(self._slew * passed, behind))
        return int(self._shown * 1000)

    def off_by(self) -> float:
        """Seconds by which the system's clock is ahead of this one (negative: behind)."""
        self.now()
        return self._wall() - self._shown
