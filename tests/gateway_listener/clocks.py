"""What no clock may change, whatever it does: the length of what was seen, and what was read. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tests.gateway_listener.truth import FOREVER, Row, Span, Truth, end_of, text_of

CAME, WENT = frozenset({"joined", "switched"}), frozenset({"left", "switched"})


def wrong_lengths(truth: Truth, rows: Sequence[Row], looks: Mapping[int, Sequence[Span]]) -> Iterator[str]:
    """Sessions of stays that one unbroken look saw from beginning to end, and that are longer or shorter than these."""
    for stay in truth.stays:
        if not any(a < stay.from_at and stay.to_at < b for a, b in looks[stay.guild_id]):
            continue
        those = [
            row
            for row in rows
            if (row["user_id"], row["channel_id"]) == (stay.user_id, stay.channel_id)
            and (row["started_by"] in CAME and row["ended_by"] in WENT)
            and not (row["started_within_ms"] or row["ended_within_ms"])
            and abs(row["started_at"] - stay.from_at) <= truth.slack
            and abs(row["ended_at"] - stay.to_at) <= truth.slack
        ]
        if those and all(row["ended_at"] - row["started_at"] != stay.to_at - stay.from_at for row in those):
            yield f"a stay of {stay.to_at - stay.from_at} ms is {text_of(those[0])}"


def recorded_after_reading(truth: Truth, rows: Sequence[Row], read: Mapping[int, int]) -> Iterator[str]:
    """Sessions that can only be of stays which began when the listener had read that the person is out.

    `read`: when it read each decision that ends a consent, by its interaction.
    """
    for row in rows:
        begin = row["started_at"] - row["started_within_ms"] - truth.slack
        end = end_of(row) + (row["ended_within_ms"] or 0) + truth.slack
        near = [
            stay
            for stay in truth.stays
            if (stay.user_id, stay.guild_id, stay.channel_id) == (row["user_id"], row["guild_id"], row["channel_id"])
            and stay.from_at <= end
            and stay.to_at >= begin
        ]
        out = _out(truth, row["user_id"], read)
        if near and all(any(a < stay.from_at and stay.to_at < b for a, b in out) for stay in near):
            yield f"recorded after the opt-out was read: {text_of(row)}"


def _out(truth: Truth, user_id: int, read: Mapping[int, int]) -> list[Span]:
    """From when it was read that the person is out until they were in again, or a little before by a clock ahead."""
    decisions = sorted(decision for decision in truth.decisions if decision.user_id == user_id)
    spans: list[Span] = []
    for place, decision in enumerate(decisions):
        if decision.interaction_id in read:
            again = (later.at for later in decisions[place:] if later.decision == "in")
            spans.append((read[decision.interaction_id], next(again, FOREVER) - truth.slack))
    return spans
