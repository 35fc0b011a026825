"""Are the stored sessions what happened? Pure: the truth and the rows in, complaints out.

Wherever the guild was being seen, who was where is stored exactly. Elsewhere a row may differ from the truth only by
what it says itself (`started_within_ms`, `ended_within_ms`), or because the person was found in the same channel after
a gap within the tolerance.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence

from tests.gateway_listener.truth import (
    FOREVER,
    Row,
    Span,
    TrueDecision,
    TrueStay,
    Truth,
    around,
    consented,
    end_of,
    text_of,
    within,
    without,
)

DECIDED = frozenset({"opted_in", "recorded", "opted_out", "not_recorded"})


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
    """One person in one guild. Each thing that is let pass is a method of its own, which says why."""

    def __init__(
        self, truth: Truth, guild_id: int, consent: list[Span], stays: list[TrueStay], rows: list[Row]
    ) -> None:
        self.truth = truth
        self.seen = truth.seen.get(guild_id, ())
        self.looks = truth.looks.get(guild_id, self.seen)
        self.rows = sorted(rows, key=lambda row: (row["started_at"], end_of(row)))
        self.lost = truth.lost.get((stays[0].user_id, guild_id), ()) if stays else ()
        self.unheard = truth.unheard.get((stays[0].user_id, guild_id), ()) if stays else ()
        self.unsaid = truth.unsaid.get((stays[0].user_id, guild_id), ()) if stays else ()
        self.stays, self.consent = stays, consent
        self.pieces: list[TrueStay] = []
        """What should be stored: the stays, within consent and in recorded channels."""
        for stay in stays:
            recorded = without([(stay.from_at, stay.to_at)], truth.unrecorded.get(stay.channel_id, ()))
            self.pieces += [stay._replace(from_at=a, to_at=b) for a, b in within(recorded, consent)]

    def differences(self) -> Iterator[str]:
        edges = {0, self.truth.now}
        for span in (*self.seen, *self.lost, *((p.from_at, p.to_at) for p in self.pieces)):
            edges.update(span)
        for channel in {*(p.channel_id for p in self.pieces), *(row["channel_id"] for row in self.rows)}:
            for span in (*self.truth.lost_rooms.get(channel, ()), *self.truth.unsure_rooms.get(channel, ())):
                edges.update(span)
        for row in self.rows:
            edges.update((row["started_at"], end_of(row)))
            edges.update((row["started_at"] + row["started_within_ms"], end_of(row) - (row["ended_within_ms"] or 0)))
        marks = sorted(edge for edge in edges if 0 <= edge <= self.truth.now)
        for begin, end in itertools.pairwise(marks):
            if end - begin > 2 * self.truth.slack:
                yield from self._at(begin, end)
        for row in self.rows:
            if self._may_have_no_length(row):
                continue
            if end_of(row) - row["started_at"] <= self.truth.slack:
                yield from self._brief(row)
            else:
                yield from self._start(row)
                yield from self._end(row)

    # --- what must be so ---

    def _at(self, begin: int, end: int) -> Iterator[str]:
        """Who was where in a span in which nothing changes."""
        moment = (begin + end) / 2
        row = next((row for row in self.rows if row["started_at"] <= moment <= end_of(row)), None)
        stored = None if row is None else int(row["channel_id"])
        true = next((piece.channel_id for piece in self.pieces if piece.from_at <= moment <= piece.to_at), None)
        if stored == true or self._is_untold(stored or true, moment) or self._is_doubted(moment):
            return
        if row is not None and (self._may_have_no_length(row) or self._did_not_happen(row, moment)):
            return
        where = f"in {true}, and stored in {stored} ({text_of(row)})"
        if row is None:
            if around(self.seen, moment) is not None and not self._is_lost(true, moment):
                yield f"from {begin} to {end}, which was seen, {where}"
        elif not self._is_cut_in_the_dark(row, moment):
            if around(self.seen, moment) is not None:
                yield f"from {begin} to {end}, which was seen, {where}"
            elif not (self._is_unsure(row, moment) or self._is_a_short_gap(row, moment) or self._is_left(row, moment)):
                yield f"from {begin} to {end}, unseen, {where}"

    def _brief(self, row: Row) -> Iterator[str]:
        """A row without a length stands for a stay about then, if the row is not sure when."""
        earliest = row["started_at"] - row["started_within_ms"] - self.truth.slack
        latest = end_of(row) + (row["ended_within_ms"] or 0) + self.truth.slack
        # By a clock that is off it may have been on the other side of a decision.
        there = self.stays if self.truth.slack else self.pieces
        here = [piece for piece in there if piece.channel_id == row["channel_id"]]
        if any(piece.from_at <= latest and piece.to_at >= earliest for piece in here):
            return
        if not (self._is_untold(row["channel_id"], row["started_at"]) or self._did_not_happen(row, row["started_at"])):
            yield f"nobody was there in {text_of(row)}"

    def _start(self, row: Row) -> Iterator[str]:
        """It is a true one, or follows what was unseen or forgotten."""
        at, sure = row["started_at"], row["started_within_ms"] + self.truth.slack
        here = [piece for piece in self.pieces if piece.channel_id == row["channel_id"]]
        if any(abs(piece.from_at - at) <= sure for piece in here) or self._is_untold(row["channel_id"], at):
            return
        if self._is_cut_in_the_dark(row, at) or self._is_decided_in_a_short_gap(row, at, row["started_by"]):
            return
        if self._is_cut_by_afk(row, at, sure) or self._is_sent_again_untold(row) or self._did_not_happen(row, at):
            return
        goes_on = any(piece.from_at <= at - sure and at <= piece.to_at + self.truth.slack for piece in here)
        counted = any(
            r is not row
            and r["channel_id"] == row["channel_id"]
            and at - sure <= end_of(r) + self.truth.slack
            and r["started_at"] <= at
            for r in self.rows
        )
        forgotten = self._is_forgotten(row["channel_id"], at - sure - 0.5)
        if not (goes_on and ((counted and not self._is_in_sight(row["channel_id"], at)) or forgotten)):
            yield f"nobody came at the start of {text_of(row)}"

    def _end(self, row: Row) -> Iterator[str]:
        """It is a true one, or what follows is unseen or forgotten; an open one is true now."""
        if row["ended_at"] is None:
            if not any(piece.channel_id == row["channel_id"] and piece.to_at == FOREVER for piece in self.pieces):
                yield f"nobody is there any more: {text_of(row)}"
            return
        at, sure = row["ended_at"], row["ended_within_ms"] + self.truth.slack
        here = [piece for piece in self.pieces if piece.channel_id == row["channel_id"]]
        if any(abs(piece.to_at - at) <= sure for piece in here) or self._is_untold(row["channel_id"], at):
            return
        if self._is_cut_in_the_dark(row, at) or self._is_decided_in_a_short_gap(row, at, row["ended_by"]):
            return
        if self._is_cut_by_afk(row, at, sure) or self._is_left_behind(row) or self._did_not_happen(row, at):
            return
        goes_on = any(piece.from_at - self.truth.slack <= at and at + sure <= piece.to_at for piece in here)
        counted = any(
            r is not row
            and r["channel_id"] == row["channel_id"]
            and at + sure >= r["started_at"] - self.truth.slack
            and end_of(r) >= at
            for r in self.rows
        )
        forgotten = self._is_forgotten(row["channel_id"], at + sure + 0.5)
        if not (goes_on and ((counted and not self._is_in_sight(row["channel_id"], at)) or forgotten)):
            yield f"nobody left at the end of {text_of(row)}"

    # --- what is let pass, and why ---

    def _is_doubted(self, moment: float) -> bool:
        """A leave was never sent, and nobody could see it: a row's own doubt holds both this moment and the leave (or
        the decision that ended what should be stored now).

        Or nothing at all was heard of the person since the decision with which a row would begin.
        """
        came = {stay.from_at for stay in self.stays}
        now = next((piece for piece in self.pieces if piece.from_at <= moment <= piece.to_at), None)
        for left_at, _ in self.unheard:
            ended_at = left_at if now is None else min(left_at, now.to_at)
            for row in self.rows:
                at, sure = row["ended_at"], (row["ended_within_ms"] or 0) + self.truth.slack
                if at is not None and abs(moment - at) <= sure and abs(ended_at - at) <= sure:
                    return True
            unheard = [piece for piece in self.pieces if piece.to_at == left_at and piece.from_at not in came]
            if any(piece.from_at <= moment <= piece.to_at for piece in unheard):
                return True
        return False

    def _did_not_happen(self, row: Row, moment: float) -> bool:
        """While all is live, what is never sent, and never missed, did not happen: who left goes on to be there until
        something is said of them, whatever is decided meanwhile."""
        left = {stay.to_at for stay in self.stays if stay.channel_id == row["channel_id"]}
        slack = self.truth.slack
        return any(a in left and a - slack <= moment <= b + slack for a, b in self.unsaid)

    def _may_have_no_length(self, row: Row) -> bool:
        """It began at a decision when a leave had not been heard of, and says itself that its end may be its start."""
        at, slack = row["started_at"], self.truth.slack
        if row["ended_at"] is None or row["ended_at"] - row["ended_within_ms"] > at + slack:
            return False
        decided = row["started_by"] in DECIDED or any(at == begin for begin, _ in self.consent)
        return decided and any(a - slack <= at <= b for a, b in self.unheard)

    def _is_cut_by_afk(self, row: Row, at: int, sure: int) -> bool:
        """The channel became the AFK channel, or was it no more: what counts otherwise is another session."""
        return any(abs(edge - at) <= sure for span in self.truth.afk.get(row["channel_id"], ()) for edge in span)

    def _is_unsure(self, row: Row, moment: float) -> bool:
        """The row itself says that it is not sure of this moment."""
        if moment <= row["started_at"] + row["started_within_ms"]:
            return True
        return bool(row["ended_at"] is not None and moment >= row["ended_at"] - row["ended_within_ms"])

    def _is_a_short_gap(self, row: Row, moment: float) -> bool:
        """Who is found where they were, after at most the tolerance, is taken to have been there, until a decision."""
        begin, end = self._gap(moment)
        short = end - max(begin, row["started_at"]) <= self.truth.tolerance + self.truth.slack
        lasts = end_of(row) + self.truth.slack >= end
        return short and (lasts or self._is_decided_in_a_short_gap(row, end_of(row), row["ended_by"]))

    def _is_left(self, row: Row, moment: float) -> bool:
        """What a second listener left open is taken to have been seen by it, until a comparison takes it over."""
        return any(a <= row["started_at"] and moment <= b for a, b in self.truth.disturbed)

    def _is_left_behind(self, row: Row) -> bool:
        """A second listener's, of which a first that lost its disk knew nothing: it ends where that one saw."""
        return row["ended_by"] == "roll_call" and any(
            a <= row["started_at"] and row["ended_at"] <= lost_at <= b
            for a, b in self.truth.disturbed
            for lost_at in self.truth.disks_lost
        )

    def _is_decided_in_a_short_gap(self, row: Row, at: int, by: str) -> bool:
        """And so a decision in such a gap is taken to have met them there."""
        begin, end = self._gap(at)
        if by not in DECIDED or end - begin > self.truth.tolerance + self.truth.slack:
            return False
        return all(
            any(stay.channel_id == row["channel_id"] and stay.from_at <= moment <= stay.to_at for stay in self.stays)
            for moment in (begin, end)
        )

    def _gap(self, moment: float) -> Span:
        """From the last look before to the first one after."""
        begin = max((b for _, b in self.looks if b <= moment), default=0)
        return begin, min((a for a, _ in self.looks if a >= moment), default=self.truth.now)

    def _is_lost(self, channel: int | None, moment: float) -> bool:
        """A process ended before it could know that this was to be recorded, and nothing of it may be on a disk."""
        rooms = () if channel is None else self.truth.lost_rooms.get(channel, ())
        return around([*self.lost, *rooms], moment) is not None

    def _is_untold(self, channel: int | None, moment: float) -> bool:
        """The service keeps the newest unrecorded time of a channel only: who asks late is not told of the others."""
        return channel is not None and around(self.truth.unsure_rooms.get(channel, ()), moment) is not None

    def _is_sent_again_untold(self, row: Row) -> bool:
        """It was open when a disk was lost, and the next one was not told of what the service had cut it by."""
        return any(
            row["started_at"] <= lost_at <= end_of(row) and self._is_untold(row["channel_id"], lost_at)
            for lost_at in self.truth.disks_lost
        )

    def _is_cut_in_the_dark(self, row: Row, moment: float) -> bool:
        """The service ended it at a decision, nobody looked, and the disk that knew until when somebody had is lost.

        Or a second listener had left it open, and nobody had compared yet: only open sessions are compared.
        """
        if row["ended_by"] not in ("opted_out", "not_recorded"):
            return False
        if any(a <= row["ended_at"] <= b and a <= moment for a, b in self.truth.disturbed):
            return True
        begin = max((b for _, b in self.seen if b <= row["ended_at"]), default=0)
        end = min((a for a, _ in self.seen if a >= row["ended_at"]), default=self.truth.now)
        return begin <= moment and any(begin <= lost_at <= end for lost_at in self.truth.disks_lost)

    def _is_in_sight(self, channel: int, at: int) -> bool:
        """What begins or ends amid unbroken sight has no other reason than the truth."""
        slack = self.truth.slack
        return any(a + slack < at < b - slack for a, b in self.seen) and not self._is_lost(channel, at)

    def _is_forgotten(self, channel: int, moment: float) -> bool:
        """It was seen, and then lost with a disk or a process (see `_is_lost`)."""
        lost = self._is_lost(channel, moment)
        kept = around(self.seen, moment) is not None and not lost
        return not kept and (lost or around(self.looks, moment) is not None)
