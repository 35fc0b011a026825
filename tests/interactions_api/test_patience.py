"""Small parts that keep the answers in time and the log short."""

from __future__ import annotations

import logging

import pytest

from interactions_api.patience import LONGEST_S, SHORTEST_S, Patience
from interactions_api.seldom import EVERY_S, Seldom


def test_waiting_in_vain_makes_the_next_wait_shorter_until_one_succeeds():
    """1, 1/2, 1/3 ... and 1 again."""
    patience = Patience()
    waits = []
    for in_time in (False, False, True, False):
        waits.append(patience.seconds(2.0))
        patience.learn(in_time)
    assert waits == [LONGEST_S, LONGEST_S / 2, LONGEST_S / 3, LONGEST_S]
    assert Patience(in_vain=1, longest_s=1.7).seconds(2.0) == 0.85


@pytest.mark.parametrize(
    ("in_vain", "left", "wait"), [(1000, 2.0, SHORTEST_S), (0, 0.3, 0.3), (1000, 0.01, 0.01), (0, -1.0, 0.0)]
)
def test_a_wait_is_never_longer_than_what_is_left_of_the_budget(in_vain, left, wait):
    """And otherwise at least long enough for a service that is well again to be noticed."""
    assert Patience(in_vain).seconds(left) == wait


def test_strangers_cannot_fill_the_log(caplog):
    """Of a thousand refusals in a minute one is logged; the next line says how many there were."""
    now = [0.0]
    told = Seldom({"forged": "a forged request"}, lambda: now[0])
    with caplog.at_level(logging.WARNING):
        for _ in range(1000):
            told.about("forged")
        now[0] += EVERY_S
        told.about("forged")
    assert [record.times for record in caplog.records] == [1, 1000]
