"""Stored time beside true time. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.gateway_listener.judge import differences
from tests.gateway_listener.truth import Span, TrueDecision, Truth, broken_rules, consented, end_of, within


@dataclass
class Report:
    """The figures, and everything that is wrong."""

    people: int
    true_ms: int
    seen_ms: int
    stored_ms: int
    rows: int
    farthest_ms: int
    """The largest difference of one person, all of it explained by time in which nobody could look."""
    problems: list[str]

    def lines(self) -> Iterator[str]:
        """What is printed."""
        lost = sum("stored in None" in problem for problem in self.problems)
        doubled = sum(problem.startswith("rule 3") for problem in self.problems)
        yield f"{self.people} people with consent were in voice for {self.true_ms / 1000:.1f} s in all"
        yield f"{self.seen_ms / 1000:.1f} s of it were surely seen"
        yield f"{self.stored_ms / 1000:.1f} s are stored, in {self.rows} rows"
        yield f"largest difference of one person, explained by unseen time: {self.farthest_ms / 1000:.1f} s"
        yield f"lost: {lost}, doubled or overlapping: {doubled}, unexplained differences: {len(self.problems)}"
        yield from self.problems[:20]


def compare(truth: Truth, rows: Sequence[Mapping[str, Any]]) -> Report:
    """The rows beside the truth; whatever cannot be explained is a problem."""
    decisions: dict[int, list[TrueDecision]] = defaultdict(list)
    for decision in truth.decisions:
        decisions[decision.user_id].append(decision)
    consents = {user: consented(of_person) for user, of_person in decisions.items()}
    true_ms: dict[int, int] = defaultdict(int)
    stored_ms: dict[int, int] = defaultdict(int)
    seen_ms = 0
    for stay in truth.stays:
        spans = within([(stay.from_at, min(stay.to_at, truth.now))], consents.get(stay.user_id, ()))
        true_ms[stay.user_id] += _length(spans)
        seen_ms += _length(within(spans, truth.seen.get(stay.guild_id, ())))
    for row in rows:
        stored_ms[row["user_id"]] += min(end_of(row), truth.now) - row["started_at"]
    return Report(
        people=sum(length > 0 for length in true_ms.values()),
        true_ms=sum(true_ms.values()),
        seen_ms=seen_ms,
        stored_ms=sum(stored_ms.values()),
        rows=len(rows),
        farthest_ms=max((abs(true_ms[user] - stored_ms[user]) for user in {*true_ms, *stored_ms}), default=0),
        problems=[*broken_rules(rows, consents), *differences(truth, rows)],
    )


def _length(spans: Iterable[Span]) -> int:
    return sum(end - begin for begin, end in spans)
