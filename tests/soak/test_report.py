"""What a soak takes for the truth of a leave that was never sent, and what it does not let pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.gateway_listener.truth import FOREVER, TrueDecision, TrueStay, Truth
from tests.soak.report import compare, kind_of

ADA, GUILD, DESK = 11, 1, 101
SECOND = 1000
CAME, LEFT, FOUND_BY = 100 * SECOND, 107 * SECOND, 120 * SECOND
# Ada left without a word after seven seconds; she is asked for by FOUND_BY. All of it was seen.
TRUTH = Truth(
    now=200 * SECOND,
    stays=[TrueStay(ADA, GUILD, DESK, CAME, LEFT)],
    decisions=[TrueDecision(1, ADA, "in", 0)],
    seen={GUILD: [(0, FOREVER)]},
    looks={GUILD: [(0, FOREVER)]},
    unheard={(ADA, GUILD): [(LEFT, FOUND_BY)]},
    unsaid={(ADA, GUILD): [(LEFT, FOUND_BY)]},
    slack=1500,
)


def row(ended_at: int, by: str, within: int, *, started_at: int = CAME, started_by: str = "joined") -> dict[str, Any]:
    return {
        "session_id": f"stay{started_at}",
        "user_id": ADA,
        "guild_id": GUILD,
        "channel_id": DESK,
        "started_at": started_at,
        "started_by": started_by,
        "started_within_ms": 0,
        "ended_at": ended_at,
        "ended_by": by,
        "ended_within_ms": within,
    }


def kinds(rows: Sequence[dict[str, Any]], *decisions: tuple[str, int], truth: Truth = TRUTH) -> set[str]:
    made = [TrueDecision(2 + place, ADA, what, at) for place, (what, at) in enumerate(decisions)]
    problems = compare(replace(truth, decisions=[*truth.decisions, *made]), rows).problems
    return set(map(kind_of, problems))


def test_what_is_found_out_is_in_doubt_back_to_the_last_proof() -> None:
    """The whole visit may lie within the doubt of a row without a length."""
    assert kinds([row(CAME, "left", 12 * SECOND)]) == set()
    assert kinds([row(CAME + 2 * SECOND, "roll_call", 10 * SECOND)]) == set()


@pytest.mark.parametrize("within", [0, 4 * SECOND])
def test_a_doubt_that_does_not_hold_the_leave_is_none(within: int) -> None:
    """Nor is a visit that is missing excused by a leave that was lost."""
    assert kinds([row(CAME, "left", within)]) == {"lost"}
    assert kinds([]) == {"lost"}


def test_nobody_can_know_before_something_is_said() -> None:
    """A decision that came before any sign is exact, and what it began goes on."""
    out, again, end = LEFT + 3 * SECOND, LEFT + 5 * SECOND, LEFT + 8 * SECOND
    first, second = row(out, "opted_out", 0), row(end, "opted_out", 0, started_at=again, started_by="opted_in")
    assert kinds([first], ("out", out)) == set()
    assert kinds([first, second], ("out", out), ("in", again), ("out", end)) == set()


def test_after_that_it_should_have_been_found_out() -> None:
    """A row that goes on, exact, is wrong; and so is one in which nobody was in a channel that nobody left."""
    late = FOUND_BY + 20 * SECOND
    assert kinds([row(late, "opted_out", 0)], ("out", late)) == {"beyond its row's doubt"}
    elsewhere = {**row(LEFT + 3 * SECOND, "opted_out", 0), "channel_id": DESK + 1}
    assert kinds([elsewhere], ("out", LEFT + 3 * SECOND)) != set()


def test_a_leave_that_was_sent_is_exact() -> None:
    """Nothing of this holds for it."""
    told = replace(TRUTH, unheard={}, unsaid={})
    assert kinds([row(LEFT, "left", 0)], truth=told) == set()
    assert kinds([row(LEFT + 5 * SECOND, "opted_out", 0)], ("out", LEFT + 5 * SECOND), truth=told) != set()
    assert kinds([row(CAME, "left", 12 * SECOND)], truth=told) == {"lost"}
