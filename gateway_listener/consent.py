"""Whose time may be recorded, and from when to when: what follows from each person's decisions, however they arrive.

The same rule as the view `consent_intervals` of the service, so that what is sent is what the writer accepts.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from db_client.snowflake import created_at


class Decision(NamedTuple):
    """One row of the consent log; `at` (milliseconds since 1970 UTC) is the moment of the interaction's snowflake."""

    interaction_id: int
    user_id: int
    decision: str
    at: int

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Decision:
        """From a row of `db_client.reading_statements.consent_after`."""
        return cls(row["interaction_id"], row["user_id"], row["decision"], row["at"])

    def read_at(self, now: int) -> Decision:
        """The same as it counts when it is read at `now`: no consent lasts beyond the reading of what ends it."""
        return self if self.decision == "in" or self.at <= now else self._replace(at=now)

    def shifted(self, by: int, now: int) -> Decision:
        """The same when the clock has been set by that, to `now`: one that counts from its reading moves with it."""
        decided_at = created_at(self.interaction_id)
        moved = self if self.at >= decided_at else self._replace(at=min(self.at + by, decided_at))
        return moved.read_at(now)


class Interval(NamedTuple):
    """From a decision `in` (its interaction is `version`) to the next one that is not; `to_at` None: it still holds."""

    version: int
    from_at: int
    to_at: int | None

    @property
    def begun_by(self) -> str:
        """Why a session begins that begins with it."""
        return "opted_in"

    @property
    def ended_by(self) -> str:
        """Why a session ends that ends with it."""
        return "opted_out"


def intervals_of(decisions: Iterable[Decision]) -> tuple[Interval, ...]:
    """The consent intervals that follow from one person's decisions, which come in the order of their interactions.

    An erasure ends consent and removes every interval before it.
    """
    intervals: list[Interval] = []
    opened: Decision | None = None
    for decision in decisions:
        if decision.decision == "in":
            opened = opened or decision
            continue
        if decision.decision == "erase":
            intervals.clear()
        elif opened is not None:
            # (An opt-in may carry a moment that is still to come: nothing lies between it and what was read since.)
            intervals.append(Interval(opened.interaction_id, opened.at, max(opened.at, decision.at)))
        opened = None
    if opened is not None:
        intervals.append(Interval(opened.interaction_id, opened.at, None))
    return tuple(intervals)


class Consents:
    """Everyone's decisions as far as they are known.

    Most people decide once, to be in. Of them only the interval is kept: the decision follows from it.
    """

    def __init__(self) -> None:
        self._intervals: dict[int, tuple[Interval, ...]] = {}
        self._decisions: dict[int, list[Decision]] = {}

    def add(self, decisions: Iterable[Decision]) -> set[int]:
        """Takes decisions in, whatever their order and however often; whose intervals are different now."""
        touched: set[int] = set()
        for decision in decisions:
            known = self._decisions_of(decision.user_id)
            if decision not in known:
                insort(known, decision)
                self._decisions[decision.user_id] = known
                touched.add(decision.user_id)
        return {user_id for user_id in touched if self._recalculate(user_id)}

    def replace(self, decisions: Iterable[Decision]) -> set[int]:
        """Takes these decisions for all there are; whose intervals are different now."""
        before, self._intervals = self._intervals, {}
        self._decisions.clear()
        self.add(decisions)
        return {user_id for user_id in before.keys() | self._intervals if before.get(user_id, ()) != self.of(user_id)}

    def heard_of(self, user_ids: Iterable[int]) -> list[Decision]:
        """What is known of these people's decisions."""
        return [decision for user_id in user_ids for decision in self._decisions_of(user_id)]

    def shift(self, by: int, now: int) -> set[int]:
        """The clock has been set by that, to `now`; whose intervals are different."""
        touched = set()
        for user_id, known in self._decisions.items():
            moved = [decision.shifted(by, now) for decision in known]
            if moved != known:
                self._decisions[user_id] = moved
                touched.add(user_id)
        return {user_id for user_id in touched if self._recalculate(user_id)}

    def _decisions_of(self, user_id: int) -> list[Decision]:
        known = self._decisions.get(user_id)
        if known is None:
            return [Decision(interval.version, user_id, "in", interval.from_at) for interval in self.of(user_id)]
        return known

    def _recalculate(self, user_id: int) -> bool:
        before = self._intervals.pop(user_id, ())
        decisions = self._decisions[user_id]
        now = intervals_of(decisions)
        if now:
            self._intervals[user_id] = now
        if [decision.decision for decision in decisions] == ["in"]:
            del self._decisions[user_id]
        return now != before

    def of(self, user_id: int) -> tuple[Interval, ...]:
        """The person's consent intervals, oldest first; empty if there is none or nothing is known."""
        return self._intervals.get(user_id, ())

    def standing(self, user_id: int) -> Interval | None:
        """The interval that still holds, if the person is in."""
        intervals = self._intervals.get(user_id)
        return intervals[-1] if intervals and intervals[-1].to_at is None else None
