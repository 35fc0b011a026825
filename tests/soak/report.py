"""Stored time beside true time. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.figures import percentile
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

    doubts: Mapping[str, Sequence[int]]
    """Milliseconds by which edges say that they may be off, least first: of all beginnings, and of all ends."""

    def lines(self) -> Iterator[str]:
        """What is printed: the figures, what must be nothing, and how sure the rows are."""
        yield f"{self.people} people with consent were in voice for {self.true_ms / 1000:.1f} s in all"
        yield f"{self.seen_ms / 1000:.1f} s of it were surely seen"
        yield f"{self.stored_ms / 1000:.1f} s are stored, in {self.rows} rows"
        yield f"largest difference of one person, explained by unseen time: {self.farthest_ms / 1000:.1f} s"
        yield from self._table()
        yield from self.problems[:20]

    def _table(self) -> Iterator[str]:
        kinds = Counter(map(kind_of, self.problems))
        for kind in ("lost", "doubled", "against consent", "beyond its row's doubt"):
            yield f"| {kind:<24} | {kinds[kind]:>8} |"
        yield f"| {'':<24} | {'unsure':>8} | {'median':>8} | {'95th':>8} | {'greatest':>8} |"
        for name, doubts in self.doubts.items():
            shown = (percentile(doubts, 0.5), percentile(doubts, 0.95), doubts[-1])
            cells = " | ".join(f"{value / 1000:6.3f} s" for value in shown)
            yield f"| {f'doubt of {len(doubts)} {name}':<24} | {sum(map(bool, doubts)):>8} | {cells} |"


def kind_of(problem: str) -> str:
    """What sort of wrong it is."""
    if "stored in None" in problem or "not stored" in problem:
        return "lost"
    if problem.startswith("rule 3"):
        return "doubled"
    if problem.startswith("rule 1"):
        return "against consent"
    return "beyond its row's doubt"


def compare(
    truth: Truth,
    rows: Sequence[Mapping[str, Any]],
    *,
    every_decision: Iterable[TrueDecision] | None = None,
) -> Report:
    """The rows beside the truth; whatever cannot be explained is a problem.

    `every_decision` are those by which nothing may be stored against consent, if they are more than the truth has.
    """
    consents = _consents(truth.decisions)
    true_ms: dict[int, int] = defaultdict(int)
    stored_ms: dict[int, int] = defaultdict(int)
    seen_ms = 0
    for stay in truth.stays:
        spans = within([(stay.from_at, min(stay.to_at, truth.now))], consents.get(stay.user_id, ()))
        true_ms[stay.user_id] += _length(spans)
        seen_ms += _length(within(spans, truth.seen.get(stay.guild_id, ())))
    for row in rows:
        stored_ms[row["user_id"]] += min(end_of(row), truth.now) - row["started_at"]
    rules = broken_rules(rows, consents if every_decision is None else _consents(every_decision))
    return Report(
        people=sum(length > 0 for length in true_ms.values()),
        true_ms=sum(true_ms.values()),
        seen_ms=seen_ms,
        stored_ms=sum(stored_ms.values()),
        rows=len(rows),
        farthest_ms=max((abs(true_ms[user] - stored_ms[user]) for user in {*true_ms, *stored_ms}), default=0),
        problems=[*rules, *differences(truth, rows)],
        doubts={
            "beginnings": sorted(row["started_within_ms"] for row in rows),
            "ends": sorted(row["ended_within_ms"] for row in rows if row["ended_at"] is not None),
        },
    )


def _consents(decisions: Iterable[TrueDecision]) -> dict[int, list[Span]]:
    by_person: dict[int, list[TrueDecision]] = defaultdict(list)
    for decision in decisions:
        by_person[decision.user_id].append(decision)
    return {user: consented(made) for user, made in by_person.items()}


def _length(spans: Iterable[Span]) -> int:
    return sum(end - begin for begin, end in spans)
