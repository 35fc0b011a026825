"""No two questions asked of one state of the database differ by fewer than three people."""

import random

import pytest

from db_client import report_sums
from tests.reports.differencing import attack, contributions
from tests.reports.guilds import STRANGER, random_guild


def test_no_difference_of_two_answers_is_about_one_person_or_two():
    """Some thousand random pairs here; `python -m tests.reports.differencing` forms a hundred thousand."""
    formed, telling = attack(range(1000, 1008), 500)
    assert formed == 4000
    assert telling > 500


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("people >= 3", "people >= 2"),  # pairs count
        ("FROM other_hours GROUP BY n,", "FROM other_hours GROUP BY"),  # what is left is put together over the period
        ("min(b, shown_from, :closed_to) + offset", "min(b, shown_from) + offset"),  # the running hour counts twice
    ],
)
def test_the_attack_finds_groups_that_are_not_whole(monkeypatch, right, wrong):
    """With a mistake in the groups, the same attack finds somebody."""
    assert right in report_sums._CHANNEL_TIME
    monkeypatch.setattr(report_sums, "_CHANNEL_TIME", report_sums._CHANNEL_TIME.replace(right, wrong))
    with pytest.raises(AssertionError):
        attack(range(1000, 1020), 500)


def test_what_is_seen_by_name_counts_for_nobody():
    """What the attack thins out is hidden time only: of people who show all, no number changes."""
    guild = random_guild(3)
    shown = [user for user, at in guild.shown_from.items() if at == 0]
    changes = contributions(guild, STRANGER, random.Random(1))
    assert not any(by.get(user, 0) for by in changes.values() for user in shown)
