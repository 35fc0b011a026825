"""How figures are formed and shown."""

from __future__ import annotations

import pytest

from bench.figures import Figure, Skipped, at_least, at_most, percentile, quantity, table


def test_the_ratio_is_formed_round_by_round() -> None:
    """A slow round of both does not move the ratio, as it would move a ratio of medians."""
    figure = Figure("rate", "/s", [(50, 100), (5, 10), (60, 100)], at_least(0.5))
    assert figure.ratios == [0.5, 0.5, 0.6]
    assert figure.ratio == 0.5
    assert not figure.missed


def test_goals_have_a_direction() -> None:
    """More is better for rates, less for costs; no goal is never missed."""
    rounds = [(1.1, 1.0)]
    assert Figure("", "", rounds, at_least(1.2)).missed
    assert not Figure("", "", rounds, at_least(1.0)).missed
    assert Figure("", "", rounds, at_most(1.0)).missed
    assert not Figure("", "", rounds, at_most(1.2)).missed
    assert not Figure("", "", rounds).missed


@pytest.mark.parametrize(
    ("value", "text"), [(0.51234, "0.512"), (51.234, "51.2"), (512.34, "512"), (51_234, "51,200"), (99.99, "100")]
)
def test_quantities_have_three_digits(value: float, text: str) -> None:
    """No more digits than mean something."""
    assert quantity(value) == text


def test_the_table_names_what_was_missed_and_skipped() -> None:
    """One row each, all columns under their headings."""
    rows = [Figure("a rate", "/s", [(1, 2), (1, 4)], at_least(0.5)), Skipped("another", "there is no rqlited")]
    head, line, first, second = table(rows).splitlines()
    assert len({len(head), len(line), len(first), len(second)}) == 1
    assert "MISSED" in first
    assert "0.25 .. 0.50" in first
    assert "skipped: there is no rqlited" in second


def test_percentiles() -> None:
    """The value below which that share lies."""
    assert percentile([3, 1, 2], 0.5) == 2
    assert percentile(range(100), 0.99) == 99
