"""A service that is away for longer than stays are remembered: what was seen live meanwhile is stored all the same."""

from __future__ import annotations

import itertools

import pytest

from gateway_listener import frames
from gateway_listener.frames import Frame
from gateway_listener.ledger import MOST_REMEMBERED
from gateway_listener.stays import REMEMBERED_MS
from tests.gateway_listener.harness import ADA, BOB, DESK, GUILD, NOON, Harness

HOUR = 60 * 60 * 1000


def test_decisions_that_waited_as_long_as_the_stay_cut_it_where_they_were_made() -> None:
    """Out and in again, in the middle of a stay that was over hours before anybody could be told: both parts stand."""
    world = Harness()
    world.connect({GUILD: {}})
    world.opt_in(ADA)
    world.delivering = False
    world.state(ADA, DESK)
    decisions = []
    for decision in ("out", "in"):
        world.pass_ms(HOUR // 2)
        world.ack()
        decisions.append(world.decision(ADA, decision))
    world.pass_ms(HOUR // 2)
    world.state(ADA, None)
    world.pass_ms(REMEMBERED_MS + HOUR)
    world.ack()
    for decided in decisions:
        world.service.write(decided)
    world.delivering = True
    world.deliver()
    world.follow()
    assert world.times(ADA) == [
        (DESK, 0, HOUR // 2, "joined", "opted_out"),
        (DESK, HOUR, HOUR // 2 * 3, "opted_in", "left"),
    ]


@pytest.mark.parametrize("hours", [1, 3])
def test_a_new_disk_keeps_what_it_saw_until_it_can_be_stored(hours: int) -> None:
    """However long nobody could ask who is in."""
    world = Harness()
    for user in (ADA, BOB):
        world.service.write(world.decision(user, "in"))
    world.new_disk()
    world.connect({GUILD: {}})
    for user, length in ((ADA, 1000), (BOB, 2000)):
        world.state(user, DESK)
        world.pass_ms(length)
        world.state(user, None)
    for _ in range(hours):
        world.pass_ms(HOUR)
        world.ack()
    world.read_baseline()
    assert [world.times(user) for user in (ADA, BOB)] == [
        [(DESK, 0, 1000, "joined", "left")],
        [(DESK, 1000, 3000, "joined", "left")],
    ]


@pytest.mark.timeout(60)
def test_one_person_has_as_many_stays_as_are_remembered() -> None:
    """No visit costs more because there were many before it; nor does forgetting them."""
    world = Harness()
    world.connect({GUILD: {}})
    world.opt_in(ADA)
    world.delivering = False
    numbers = itertools.count(1_000_000)
    for _ in range(MOST_REMEMBERED + 1):
        for channel in (DESK, None):
            world.tracker.see(Frame(frames.VoiceState(GUILD, ADA, channel, 0), next(numbers)), world.now)
        world.pass_ms(1)
        world.tracker.take()
    stays = world.tracker._ledger.stays_of(ADA, GUILD)
    assert (len(stays), stays[0].started_at) == (MOST_REMEMBERED, NOON + 1)
    world.tracker.consent_read(world.now + REMEMBERED_MS + 1)
    assert world.tracker.figures()["stays_in_memory"] == 0
