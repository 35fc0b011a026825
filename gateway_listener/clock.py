"""Discord's time: what every moment is told in, for a person's decisions carry it too. Pure.

The `Date` of each of Discord's answers says its whole second, and the round trip when that was: so Discord's clock is
known as an interval, which each further answer narrows. A steady clock carries it on. The system's clock stands in
until Discord was heard, and is not followed after that: it may be set, and a stay's length would not be its length.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

STEP_MS = 2000
"""What is shown may be so far outside of what is known of Discord's clock, once it was heard."""
NEAR_MS = 3 * STEP_MS
"""Two processes on one machine, which both heard Discord, can differ by so much."""
# Discord has many machines, and their clocks may differ from one another by so much.
APART_MS = 250
# Steady clocks drift; those that NTP keeps right are made slower or faster by so much at most.
DRIFT = 500e-6
ASK_EVERY_MS = 60 * 60 * 1000
ASK_AGAIN_MS = 5000


_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)


def steady_seconds() -> float:
    """Seconds of a clock that only runs forward; where the system has one, it also counts while the machine sleeps."""
    return time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)


class _Heard(NamedTuple):
    """At `at` (steady) Discord's clock was between `least` and `most` ms ahead of the steady one."""

    at: int
    least: float
    most: float

    def later(self, at: int) -> _Heard:
        """The same as it is known at another moment."""
        drift = DRIFT * abs(at - self.at)
        return _Heard(at, self.least - drift, self.most + drift)

    def and_also(self, other: _Heard) -> _Heard | None:
        """What agrees with both; None if nothing does: a clock has moved."""
        known = self.later(other.at)
        both = _Heard(other.at, max(known.least, other.least), min(known.most, other.most))
        return both if both.least <= both.most else None


class Clock:
    """Milliseconds since 1970 UTC by Discord's clock; until it was heard, by the system's as it was at the start.

    `wall` (the system's clock) and `steady` give seconds and are arguments for the tests.
    """

    def __init__(self, *, wall: Callable[[], float] = time.time, steady: Callable[[], float] = steady_seconds) -> None:
        self._wall, self._steady = wall, steady
        self._read_at = steady()
        self._carried = wall() * 1000
        self._ahead = 0
        """What is shown, minus the steady milliseconds."""
        self._known: _Heard | None = None
        self._other: _Heard | None = None
        """An answer that contradicts what is known: the next one shows whether a clock has moved, or it was wrong."""
        self._system_was = 0.0
        self._interrupted = False
        self._doubted = True
        self._asked_at: int | None = None

    def now(self) -> int:
        """The moment: runs on evenly, and is another only after `heard` has said so."""
        return self.steady_ms() + self._ahead

    def steady_ms(self) -> int:
        """Milliseconds that only pass, whatever is heard: what measures lengths, stalls and patience.

        They began as the system's clock, and jump forward over a sleep that the steady clock did not count.
        """
        steady = self._steady()
        if steady > self._read_at:
            self._carried += (steady - self._read_at) * 1000
        self._read_at = steady
        return round(self._carried)

    def at(self, steady_ms: int) -> int:
        """That moment of `steady_ms` as `now` would show it."""
        return steady_ms + self._ahead

    # --- Discord ---

    def heard(self, date: float, sent_at: int, received_at: int) -> int:
        """An answer of Discord says `date` (whole seconds since 1970 UTC); both other moments are `steady_ms`.

        Returns by how many ms the clock has been set: every moment that it gave out before is to be moved by so much.
        """
        least, most = date * 1000 - received_at, date * 1000 + 1000 - sent_at
        fresh = _Heard(received_at, least - APART_MS, most + APART_MS)
        self._doubted = False
        if self._known is None:
            self._known = fresh
            self._settle()
            return self._step(0)
        if (both := self._known.and_also(fresh)) is not None:
            self._known = both
        elif self._passed_uncounted(fresh):
            return 0
        elif self._other is None or (both := self._other.and_also(fresh)) is None:
            self._other = fresh
            return 0
        else:
            self._known = both
        self._settle()
        return self._step(STEP_MS)

    def _passed_uncounted(self, fresh: _Heard) -> bool:
        """Discord's clock is ahead of what was known, and while nobody looked, or by as much as the system's clock is.

        Then the steady clock has not counted a sleep of the machine: that time has passed, and nothing is to be moved.
        """
        assert self._known is not None  # noqa: S101 (for the type checker)
        missing = (fresh.least + fresh.most - self._known.least - self._known.most) / 2
        as_system = abs(self._system_ahead() - self._system_was - missing) <= STEP_MS / 2
        if missing <= STEP_MS or not (self._interrupted or as_system):
            return False
        self._carried += missing
        self._known = _Heard(fresh.at + int(missing), fresh.least - missing, fresh.most - missing)
        self._settle()
        return True

    def _settle(self) -> None:
        self._other, self._interrupted = None, False
        self._system_was = self._system_ahead()

    def _step(self, tolerance: int) -> int:
        assert self._known is not None  # noqa: S101 (for the type checker)
        _, least, most = self._known
        if least - tolerance <= self._ahead <= most + tolerance:
            return 0
        by = round((least + most) / 2) - self._ahead
        self._ahead += by
        return by

    def interrupted(self) -> None:
        """The connection has ended: if Discord's clock is found to be ahead now, the time in between has passed."""
        self._interrupted = True

    def told(self, moment: int) -> int:
        """Discord gave this moment to something that has happened: if it is yet to come here, the clock is behind.

        Discord is asked then; if it never was heard, the clock is set to that moment. Returns what `heard` does.
        """
        behind = moment - self.now()
        if behind <= STEP_MS:
            return 0
        self._doubted = True
        if self._known is not None:
            return 0
        self._ahead += behind
        return behind

    def asks(self) -> bool:
        """True if Discord is to be asked for its time now; then it is taken to be asked."""
        at = self.steady_ms()
        moved = self._known is not None and abs(self._system_ahead() - self._system_was) > STEP_MS
        soon = self._doubted or self._other is not None or moved
        if self._known is not None and at - self._known.at < ASK_EVERY_MS and not soon:
            return False
        if self._asked_at is not None and at - self._asked_at < (ASK_AGAIN_MS if soon else ASK_EVERY_MS // 60):
            return False
        self._asked_at, self._doubted = at, False
        return True

    # --- the system's clock ---

    def _system_ahead(self) -> float:
        """The system's clock minus the steady milliseconds."""
        return self._wall() * 1000 - self.steady_ms()

    def difference(self) -> tuple[float, float] | None:
        """Seconds by which the system's clock is ahead of Discord's, and how far that may be off; None: not known."""
        if self._known is None:
            return None
        _, least, most = self._known.later(self.steady_ms())
        discord_ahead = min(max(self._ahead, least), most)
        return (self._system_ahead() - discord_ahead) / 1000, (most - least) / 2000
