"""Are the stored sessions what happened? Pure: the truth and the rows in, complaints out.

Times are milliseconds. A span is (from, to), `to` FOREVER while it lasts. Wherever the guild was being seen, who was
where is stored exactly. Elsewhere a row may differ from the truth only by what it says itself (`started_within_ms`,
`ended_within_ms`), or because the person was found in the same channel after a gap within the tolerance.
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
    lost: Mapping[int, Sequence[Span]] = field(default_factory=dict)
    """By person: what a listener forgot before it could know that it was consented to."""
    unrecorded: Mapping[int, Sequence[Span]] = field(default_factory=dict)
    """By channel: when its managers wanted nothing recorded."""
    tolerance: int = 120_000
    disk_lost: bool = False
    """A disk was lost: what a decision then ended in the service, ended at the decision."""
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
    """The spans, less the holes."""
    left = list(spans)
    for begin, end in holes:
        left = [part for a, b in left for part in ((a, min(b, begin)), (max(a, end), b)) if part[0] <= part[1]]
    return left


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
            yield f"rule 1: no consent covers {_text(row)}"
    for of_seat in seats.values():
        of_seat.sort(key=lambda row: (row["started_at"], end_of(row)))
        for earlier, later in itertools.pairwise(of_seat):
            if end_of(earlier) > later["started_at"]:
                yield f"rule 3: {_text(earlier)} and {_text(later)} overlap"


def differences(truth: Truth, rows: Sequence[Row]) -> Iterator[str]:
    """All in which the rows are not the truth."""
    decisions: dict[int, list[TrueDecision]] = defaultdict(list)
    for decision in truth.decisions:
        decisions[decision.user_id].append(decision)
    stays: dict[tuple[int, int], list[TrueStay]] = defaultdict(list)
    for stay in truth.stays:
        stays[stay.user_id, stay.guild_id].append(stay)
    stored: dict[tuple[int, int], list[Row]] = defaultdict(list)
    for row in rows:
        stored[row["user_id"], row["guild_id"]].append(row)
    for seat in sorted({*stays, *stored}):
        yield from _Seat(truth, seat[1], consented(decisions[seat[0]]), stays[seat], stored[seat]).differences()


class _Seat:
    """One person in one guild."""

    def __init__(
        self, truth: Truth, guild_id: int, consent: list[Span], stays: list[TrueStay], rows: list[Row]
    ) -> None:
        self.truth = truth
        self.consent = consent
        self.seen = truth.seen.get(guild_id, ())
        self.looks = truth.looks.get(guild_id, self.seen)
        self.rows = sorted(rows, key=lambda row: (row["started_at"], end_of(row)))
        self.lost = truth.lost.get(stays[0].user_id, ()) if stays else ()
        self.pieces: list[TrueStay] = []
        """What should be stored: the stays, within consent and in recorded channels."""
        for stay in stays:
            recorded = without([(stay.from_at, stay.to_at)], truth.unrecorded.get(stay.channel_id, ()))
            self.pieces += [stay._replace(from_at=a, to_at=b) for a, b in within(recorded, consent)]

    def differences(self) -> Iterator[str]:
        edges = {0, self.truth.now}
        for span in (*self.seen, *self.lost, *((p.from_at, p.to_at) for p in self.pieces)):
            edges.update(span)
        for row in self.rows:
            edges.update((row["started_at"], end_of(row)))
            edges.update((row["started_at"] + row["started_within_ms"], end_of(row) - (row["ended_within_ms"] or 0)))
        marks = sorted(edge for edge in edges if 0 <= edge <= self.truth.now)
        for begin, end in itertools.pairwise(marks):
            if end - begin > 2 * self.truth.slack:
                yield from self._at(begin, end)
        for row in self.rows:
            if self._is_cut_blindly(row) or end_of(row) - row["started_at"] <= self.truth.slack:
                continue
            yield from self._start(row)
            yield from self._end(row)

    def _at(self, begin: int, end: int) -> Iterator[str]:
        """Who was where in a span in which nothing changes."""
        moment = (begin + end) / 2
        row = next((row for row in self.rows if row["started_at"] <= moment <= end_of(row)), None)
        stored = None if row is None else row["channel_id"]
        true = next((piece.channel_id for piece in self.pieces if piece.from_at <= moment <= piece.to_at), None)
        if stored == true or (row is not None and self._is_cut_blindly(row)):
            return
        if around(self.seen, moment) is not None:
            if stored is None and around(self.lost, moment) is not None:
                return
            yield f"from {begin} to {end}, which was seen, in {true}, and stored in {stored} ({_text(row)})"
        elif row is not None and not self._is_excused(row, moment):
            yield f"from {begin} to {end}, unseen, in {true}, and stored in {stored} ({_text(row)})"

    def _is_cut_blindly(self, row: Row) -> bool:
        return self.truth.disk_lost and bool(row["ended_by"] == "opted_out")

    def _is_excused(self, row: Row, moment: float) -> bool:
        """The row itself says that it is not sure of this moment, or the gap is short."""
        if moment <= row["started_at"] + row["started_within_ms"]:
            return True
        if row["ended_at"] is not None and moment >= row["ended_at"] - row["ended_within_ms"]:
            return True
        begin, end = self._gap(moment)
        return bool(end - max(begin, row["started_at"]) <= self.truth.tolerance + self.truth.slack)

    def _is_forgotten(self, moment: float) -> bool:
        """It was seen, and then lost with a disk, or before anybody could know that it was consented to."""
        kept = around(self.seen, moment) is not None and around(self.lost, moment) is None
        return not kept and around([*self.looks, *self.lost], moment) is not None

    def _gap(self, moment: float) -> Span:
        begin = max((b for _, b in self.looks if b <= moment), default=0)
        return begin, min((a for a, _ in self.looks if a >= moment), default=self.truth.now)

    def _start(self, row: Row) -> Iterator[str]:
        at, sure = row["started_at"], row["started_within_ms"] + self.truth.slack
        here = [piece for piece in self.pieces if piece.channel_id == row["channel_id"]]
        if any(abs(piece.from_at - at) <= sure for piece in here):
            return
        goes_on = any(piece.from_at <= at - sure and at <= piece.to_at + self.truth.slack for piece in here)
        counted = any(
            r is not row
            and r["channel_id"] == row["channel_id"]
            and at - sure <= end_of(r) + self.truth.slack
            and r["started_at"] <= at
            for r in self.rows
        )
        forgotten = self._is_forgotten(at - sure - 0.5)
        if not (goes_on and (counted or forgotten)):
            yield f"nobody came at the start of {_text(row)}"

    def _end(self, row: Row) -> Iterator[str]:
        if row["ended_at"] is None:
            if not any(piece.channel_id == row["channel_id"] and piece.to_at == FOREVER for piece in self.pieces):
                yield f"nobody is there any more: {_text(row)}"
            return
        at, sure = row["ended_at"], row["ended_within_ms"] + self.truth.slack
        here = [piece for piece in self.pieces if piece.channel_id == row["channel_id"]]
        if any(abs(piece.to_at - at) <= sure for piece in here):
            return
        goes_on = any(piece.from_at - self.truth.slack <= at and at + sure <= piece.to_at for piece in here)
        counted = any(
            r is not row
            and r["channel_id"] == row["channel_id"]
            and at + sure >= r["started_at"] - self.truth.slack
            and end_of(r) >= at
            for r in self.rows
        )
        forgotten = self._is_forgotten(at + sure + 0.5)
        if not (goes_on and (counted or forgotten)):
            yield f"nobody left at the end of {_text(row)}"


def _text(row: Row | None) -> str:
    if row is None:
        return "no row"
    return (
        f"{row['session_id']} of {row['user_id']}: {row['channel_id']} from {row['started_at']}"
        f" ({row['started_by']}, {row['started_within_ms']}) to {row['ended_at']}"
        f" ({row['ended_by']}, {row['ended_within_ms']})"
    )
