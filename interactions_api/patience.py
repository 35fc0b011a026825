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

    def seconds(self, left: float) -> float:
        """How long to wait now, if `left` seconds of the budget are left: 1, 1/2, 1/3 ... but at least 0.1 s."""
        return max(0.0, min(left, max(SHORTEST_S, LONGEST_S / (1 + self.in_vain))))

    def learn(self, in_time: bool) -> None:
        """Remembers how the last wait ended."""
        self.in_vain = 0 if in_time else self.in_vain + 1
