"""Whose time may be recorded, and from when to when: what follows from each person's decisions, however they arrive.

The same rule as the view `consent_intervals` of the service, so that what is sent is what the writer accepts.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from db_client.snowflake import created_at

FOREVER = 2**63 - 1


def shifted(at: int, version: int, move: Callable[[int], int], now: int) -> int:
    """From when a decision that ends something counts when the clock has been set to `now`: as what was seen after its
    reading moves, so that this stays after it."""
    return min(move(at), created_at(version), now)


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

    def shifted(self, move: Callable[[int], int], now: int) -> Decision:
        """The same when the clock has been set to `now`, and moments are moved so."""
        if self.decision == "in":
            return self
        return self._replace(at=shifted(self.at, self.interaction_id, move, now))


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


class Touched(NamedTuple):
    """Between these moments a person's consent is another one than before, or follows from other decisions.

    What lies wholly before `since`, or begins at `until` or later, is as it was; and the service, which may have known
    a part of the new decisions earlier, has taken it as it was sent.
    """

    since: int
    until: int = FOREVER


ALL = Touched(0)


def intervals_of(decisions: Iterable[Decision]) -> list[Interval]:
    """The consent intervals that follow from one person's decisions, which come in the order of their interactions.

    An erasure ends consent and removes every interval before it.
    """
    intervals: list[Interval] = []
    for decision in decisions:
        _follow(intervals, decision)
    return intervals


def _follow(intervals: list[Interval], decision: Decision) -> None:
    """One decision more, newer than those that the intervals follow from."""
    is_in = bool(intervals) and intervals[-1].to_at is None
    if decision.decision == "erase":
        intervals.clear()
    elif decision.decision == "in":
        if not is_in:
            intervals.append(Interval(decision.interaction_id, decision.at, None))
    elif is_in:
        # An opt-in may carry a moment that is still to come: nothing lies between it and what was read since.
        intervals[-1] = intervals[-1]._replace(to_at=max(intervals[-1].from_at, decision.at))


class Consents:
    """Everyone's decisions as far as they are known.

    Most people decide once, to be in. Of them only the interval is kept: the decision follows from it. Of those whose
    data were erased nothing is kept that came before: it makes no difference any more. What a decision costs does not
    depend on how many came before it.
    """

    def __init__(self) -> None:
        self._intervals: dict[int, list[Interval]] = {}
        self._decisions: dict[int, list[Decision]] = {}

    def add(self, decisions: Iterable[Decision]) -> dict[int, Touched]:
        """Takes decisions in, whatever their order and however often; whose intervals are different now, and where."""
        by_person: defaultdict[int, list[Decision]] = defaultdict(list)
        for decision in decisions:
            by_person[decision.user_id].append(decision)
        different = ((user_id, self._take(user_id, of_person)) for user_id, of_person in by_person.items())
        return {user_id: touched for user_id, touched in different if touched is not None}

    def replace(self, decisions: Iterable[Decision]) -> dict[int, Touched]:
        """Takes these decisions for all there are; whose intervals are different now, and where."""
        before, self._intervals = self._intervals, {}
        self._decisions.clear()
        self.add(decisions)
        people = before | self._intervals
        different = ((user_id, _between(before.get(user_id, ()), self.of(user_id))) for user_id in people)
        return {user_id: touched for user_id, touched in different if touched is not None}

    def heard_of(self, user_ids: Iterable[int]) -> list[Decision]:
        """What is known of these people's decisions."""
        return [decision for user_id in user_ids for decision in self._decisions_of(user_id)]

    def shift(self, move: Callable[[int], int], now: int) -> None:
        """The clock has been set to `now`: what ends something moves as what was seen since does."""
        for user_id, known in list(self._decisions.items()):
            moved = [decision.shifted(move, now) for decision in known]
            if moved != known:
                self._keep(user_id, moved, intervals_of(moved))

    def _decisions_of(self, user_id: int) -> list[Decision]:
        known = self._decisions.get(user_id)
        if known is None:
            return [Decision(interval.version, user_id, "in", interval.from_at) for interval in self.of(user_id)]
        return known

    def _take(self, user_id: int, decisions: list[Decision]) -> Touched | None:
        """Goes back to the oldest of these decisions, and on from there."""
        known = self._decisions_of(user_id)
        erased_by = known[0] if known and known[0].decision == "erase" else None
        new = sorted(decision for decision in decisions if erased_by is None or decision > erased_by)
        if not new:
            return None
        place = bisect_left(known, new[0])
        later = known[place:]
        # What is known counts from its first reading, the earlier moment of two.
        new = sorted({decision.interaction_id: decision for decision in (*reversed(new), *later)}.values())
        if len(new) == len(later):
            return None
        erasures = [number for number, decision in enumerate(new) if decision.decision == "erase"]
        if erasures:
            place, new = 0, new[erasures[-1] :]
        known[place:] = new
        intervals = self._intervals.get(user_id, [])
        # The interval before them, which one of them may end, is looked at too.
        begin = max(0, bisect_left(intervals, new[0].interaction_id, key=attrgetter("version")) - 1) if place else 0
        before = intervals[begin:]
        now = before[:1] if place and before and before[0].version < new[0].interaction_id else []
        if now and known[place - 1].decision == "in":
            now[0] = now[0]._replace(to_at=None)
        for decision in new:
            _follow(now, decision)
        intervals[begin:] = now
        self._keep(user_id, known, intervals)
        return _between(before, now)

    def _keep(self, user_id: int, decisions: list[Decision], intervals: list[Interval]) -> None:
        if intervals:
            self._intervals[user_id] = intervals
        else:
            self._intervals.pop(user_id, None)
        if len(decisions) == 1 and intervals:
            self._decisions.pop(user_id, None)
        else:
            self._decisions[user_id] = decisions

    def of(self, user_id: int) -> Sequence[Interval]:
        """The person's consent intervals, oldest first; empty if there is none or nothing is known."""
        return self._intervals.get(user_id, ())

    def standing(self, user_id: int) -> Interval | None:
        """The interval that still holds, if the person is in."""
        intervals = self._intervals.get(user_id)
        return intervals[-1] if intervals and intervals[-1].to_at is None else None

    def idle(self, user_id: int, time: Touched) -> list[int]:
        """The opt-ins (their interactions) in that time that begin no interval, as the person was in already."""
        known, intervals = self._decisions.get(user_id, ()), self.of(user_id)
        idle: list[int] = []
        for decision in known[bisect_left(known, time.since, key=attrgetter("at")) :]:
            if decision.at >= time.until:
                break
            place = bisect_left(intervals, decision.interaction_id, key=attrgetter("version"))
            begins = place < len(intervals) and intervals[place].version == decision.interaction_id
            if decision.decision == "in" and not begins:
                idle.append(decision.interaction_id)
        return idle

    def begins(self, user_id: int) -> int:
        """Before this moment nothing of the person can be recorded, whatever decision is still heard of; 0: unknown."""
        known = self._decisions.get(user_id)
        return known[0].at if known and known[0].decision == "erase" else 0


def _between(before: Sequence[Interval], after: Sequence[Interval]) -> Touched | None:
    """Where these differ; None if nowhere."""
    same = 0
    for old, new in zip(before, after, strict=False):
        if old != new:
            break
        same += 1
    before, after = before[same:], after[same:]
    if not before and not after:
        return None
    again = 0
    for old, new in zip(reversed(before), reversed(after), strict=False):
        if old != new:
            break
        again += 1
    if before and after and before[0].version == after[0].version:
        since = min(FOREVER if one.to_at is None else one.to_at for one in (before[0], after[0]))
    else:
        since = min(one.from_at for one in (*before[:1], *after[:1]))
    return Touched(since, before[-again].from_at if again else FOREVER)
