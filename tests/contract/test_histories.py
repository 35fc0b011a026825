"""Whatever order a person's records arrive in, and however often: what stands is what was decided."""

from __future__ import annotations

import itertools
import os

from hypothesis import given, settings
from hypothesis import strategies as st

from db_client.records import ConsentDecision, Record, VoiceSession
from tests.contract.histories import (
    FOREVER,
    INTERVALS,
    SESSIONS,
    STANDING,
    Memory,
    consented,
    decisions,
    sessions,
)

EXAMPLES = int(os.environ.get("HISTORIES", "150"))


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.data(), decisions())
def test_order_and_repetition_of_decisions_do_not_matter(data: st.DataObject, history: list[ConsentDecision]) -> None:
    """opt_in_users and consent_intervals end equal, delivered in order once, or in any order with repetitions."""
    repeated = history + (data.draw(st.lists(st.sampled_from(history), max_size=3)) if history else [])
    with Memory() as once, Memory() as shuffled:
        once.deliver(history)
        shuffled.deliver(data.draw(st.permutations(repeated)))
        assert shuffled.rows(INTERVALS) == once.rows(INTERVALS)
        assert shuffled.rows(STANDING) == once.rows(STANDING)
        assert [(a, FOREVER if b is None else b) for _, a, b in once.rows(INTERVALS)] == consented(history)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.data(), decisions(), sessions())
def test_stored_sessions_lie_within_consent(
    data: st.DataObject, history: list[ConsentDecision], stays: list[VoiceSession]
) -> None:
    """Delivered in any order: every stored row lies within one consent interval, none overlap, at most one is open."""
    records: list[Record] = [*history, *stays]
    with Memory() as memory:
        memory.deliver(data.draw(st.permutations(records)))
        stored = [(start, FOREVER if end is None else end) for _, start, end in memory.rows(SESSIONS)]
    intervals = consented(history)
    for start, end in stored:
        assert any(begun <= start and end <= over for begun, over in intervals), (stored, intervals)
    for (start, end), (other_start, other_end) in itertools.combinations(stored, 2):
        assert max(start, other_start) >= min(end, other_end), stored
    assert sum(end == FOREVER for _, end in stored) <= 1
