"""What happened, what of it could be seen, and the rules that need no more than the rows. Pure.

Times are milliseconds. A span is (from, to), `to` FOREVER while it lasts.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

FOREVER = 2**63 - 1
Span: TypeAlias = tuple[int, int]
Row: TypeAlias = Mapping[str, Any]


class TrueStay(NamedTuple):
    """Someone's presence in one channel; `to_at` FOREVER while it lasts."""

    user_id: int
    guild_id: int
    channel_id: int
    from_at: int
    to_at: int


class TrueDecision(NamedTuple):
    """What a person decided, in the order of their interactions."""

    interaction_id: int
    user_id: int
    decision: str
    at: int


@dataclass
class Truth:
    """What happened until `now`, and what of it could be seen."""

    now: int
    stays: Sequence[TrueStay]
    decisions: Sequence[TrueDecision]
    seen: Mapping[int, Sequence[Span]]
    """By guild: when everything that happened arrived at once, and was kept."""
    looks: Mapping[int, Sequence[Span]] = field(default_factory=dict)
    """By guild: when it was seen, whether or not that was kept."""
    lost: Mapping[tuple[int, int], Sequence[Span]] = field(default_factory=dict)
    """By person and guild: what a listener forgot before it could know that it was consented to."""
    unheard: Mapping[tuple[int, int], Sequence[Span]] = field(default_factory=dict)
    """By person and guild: from a leave that was never sent until it was found out."""
    unsaid: Mapping[tuple[int, int], Sequence[Span]] = field(default_factory=dict)
    """By person and guild: from a leave that was never sent until there was a sign of it that must be heeded."""
    unrecorded: Mapping[int, Sequence[Span]] = field(default_factory=dict)
    """By channel: when its managers wanted nothing recorded."""
    lost_rooms: Mapping[int, Sequence[Span]] = field(default_factory=dict)
    """By channel: what a listener forgot before it could know that it was to be recorded."""
    unsure_rooms: Mapping[int, Sequence[Span]] = field(default_factory=dict)
    """By channel: when no listener could know whether it was to be recorded."""
    afk: Mapping[int, Sequence[Span]] = field(default_factory=dict)
    """By channel: when it was the AFK channel."""
    flags: Mapping[int, Sequence[tuple[int, int]]] = field(default_factory=dict)
    """By person: when they became what (`db_client.records.Flags`)."""
    tolerance: int = 120_000
    disks_lost: Sequence[int] = ()
    """When a listener's disk was lost."""
    disturbed: Sequence[Span] = ()
    """From when a second listener on the same shard had come until the first had compared after its end."""
    cut_blindly: frozenset[str] = frozenset()
    """Sessions that the service cut by itself after every listener had forgotten them: their durations are bounds."""
    slack: int = 0
    """How far a moment that was seen may be off: two clocks, a loopback connection, a busy machine."""


def consented(decisions: Iterable[TrueDecision]) -> list[Span]:
    """When one person's newest decision was `in`, and no erasure came after."""
    spans: list[Span] = []
    since: int | None = None
    for decision in sorted(decisions):
        if decision.decision == "in":
            since = decision.at if since is None else since
            continue
        if since is not None:
            spans.append((since, decision.at))
        since = None
        if decision.decision == "erase":
            spans.clear()
    return spans if since is None else [*spans, (since, FOREVER)]


def without(spans: Iterable[Span], holes: Iterable[Span]) -> list[Span]:
    """The spans, less the holes; each part once, though a moment is on both sides of a hole that has no length."""
    left = dict.fromkeys(spans)
    for begin, end in holes:
        parts = (part for a, b in left for part in ((a, min(b, begin)), (max(a, end), b)))
        left = dict.fromkeys(part for part in parts if part[0] <= part[1])
    return list(left)


def within(spans: Iterable[Span], others: Iterable[Span]) -> list[Span]:
    """What is in both."""
    others = list(others)
    return [(max(a, c), min(b, d)) for a, b in spans for c, d in others if max(a, c) <= min(b, d)]


def around(spans: Iterable[Span], moment: float) -> Span | None:
    """The span that holds the moment."""
    return next((span for span in spans if span[0] <= moment <= span[1]), None)


def end_of(row: Row) -> int:
    """The row's end, FOREVER while it is open."""
    return FOREVER if row["ended_at"] is None else int(row["ended_at"])


def broken_rules(rows: Sequence[Row], intervals: Mapping[int, Sequence[Span]]) -> Iterator[str]:
    """Rule 1 (`intervals`: each person's consent, as the writer knows it) and rule 3, which hold at any moment."""
    seats: dict[tuple[int, int], list[Row]] = defaultdict(list)
    for row in rows:
        seats[row["user_id"], row["guild_id"]].append(row)
        if not any(a <= row["started_at"] and end_of(row) <= b for a, b in intervals.get(row["user_id"], ())):
            yield f"rule 1: no consent covers {text_of(row)}"
    for of_seat in seats.values():
        of_seat.sort(key=lambda row: (row["started_at"], end_of(row)))
        for earlier, later in itertools.pairwise(of_seat):
            if end_of(earlier) > later["started_at"]:
                yield f"rule 3: {text_of(earlier)} and {text_of(later)} overlap"


def text_of(row: Row | None) -> str:
    """The row in a line."""
    if row is None:
        return "no row"
    return (
        f"{row['session_id']} of {row['user_id']}: {row['channel_id']} from {row['started_at']}"
        f" ({row['started_by']}, {row['started_within_ms']}) to {row['ended_at']}"
        f" ({row['ended_by']}, {row['ended_within_ms']})"
    )
