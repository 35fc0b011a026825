"""How often a client may start anew: Discord resets the token of a bot that sends 1,000 IDENTIFYs in a day.

https://discord.com/developers/docs/events/gateway#session-start-limit-object
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable

DAY_MS = 24 * 60 * 60 * 1000
LONGEST_PAUSE = 60.0


class IdentifyBudget:
    """The moments (milliseconds since 1970 UTC) of the IDENTIFYs of the last day; `to_json` survives restarts."""

    def __init__(self, limit: int, *, pause_ms: int = 5000, spent: str = "") -> None:
        self._limit = limit
        self._pause = pause_ms
        self._sent: list[int] = _moments(spent)

    def wait_ms(self, now: int) -> int:
        """How long to wait before the next one: 5 s after the last one, and never more than the limit in any day."""
        self._sent = [moment for moment in self._sent if now - DAY_MS < moment <= now]
        if not self._sent:
            return 0
        pause = self._sent[-1] + self._pause - now
        over = len(self._sent) - self._limit
        used_up = self._sent[over] + DAY_MS - now if over >= 0 else 0
        return max(0, pause, used_up)

    def used_up(self, now: int) -> bool:
        """True if the limit, not the pause, is what is being waited for."""
        return self.wait_ms(now) > self._pause

    def spend(self, now: int) -> None:
        """One is sent now."""
        self._sent.append(now)

    def sent(self) -> int:
        """How many in the last day."""
        return len(self._sent)

    def to_json(self) -> str:
        """For the next run."""
        return json.dumps(self._sent, separators=(",", ":"))


def _moments(text: str) -> list[int]:
    try:
        return sorted(int(moment) for moment in json.loads(text or "[]"))
    except (ValueError, TypeError):
        return []


class Backoff:
    """Pauses between attempts: any time up to twice as long as before, at most a minute (full jitter).

    `uniform(a, b)` gives a random number; `clock` seconds. Two quiet minutes begin it anew.
    """

    def __init__(
        self,
        base: float = 1.0,
        *,
        clock: Callable[[], float],
        uniform: Callable[[float, float], float] = random.uniform,
        longest: float = LONGEST_PAUSE,
    ) -> None:
        self._base = base
        self._clock = clock
        self._uniform = uniform
        self._longest = longest
        self._attempts = 0
        self._asked_at = clock()

    def delay(self) -> float:
        """Seconds to wait before the next attempt."""
        now = self._clock()
        if now - self._asked_at > 2 * self._longest:
            self._attempts = 0
        self._asked_at = now
        self._attempts = min(self._attempts + 1, 16)
        return self._uniform(0, min(self._longest, self._base * 2**self._attempts))
