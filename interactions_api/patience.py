"""How long an answer waits for the SQLite service, so that a service that hangs cannot use up all threads. Pure."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_S = 1.0
SHORTEST_S = 0.1


@dataclass(slots=True)
class Patience:
    """Each answer that waited in vain makes the next ones wait less, until one arrives in time again.

    With eight threads and everyone waiting a full second, the twenty-fifth person of a burst would be told nothing
    within Discord's three. Threads may race on the counter: a lost step costs a moment.
    """

    in_vain: int = 0
    longest_s: float = LONGEST_S

    def seconds(self, left: float) -> float:
        """How long to wait now, if so many seconds are left: `longest_s`, half of it, a third ... at least 0.1."""
        return max(0.0, min(left, max(SHORTEST_S, self.longest_s / (1 + self.in_vain))))

    def learn(self, in_time: bool) -> None:
        """Remembers how the last wait ended."""
        self.in_vain = 0 if in_time else self.in_vain + 1
