"""Channels that their managers do not want recorded: sessions end and begin with the decisions."""

from __future__ import annotations

import itertools

import pytest

from db_client.records import VoiceSession
from gateway_listener.consent import Interval
from gateway_listener.edge import Edge
from gateway_listener.flags import FlagHistory
from gateway_listener.recording import MOST_HOLES, ChannelDecision, Channels, Hole, Unrecorded
from gateway_listener.sessions import sessions_of
from gateway_listener.stays import Stay
from tests.gateway_listener.harness import ADA, DESK, GUILD, NOON, Harness
from tests.gateway_listener.running import Scene
from tests.waiting import soon


@pytest.fixture
def world() -> Harness:
    """A guild in sight, and Ada, who is in, at the desk since noon."""
    world = Harness()
    world.connect({GUILD: {}})
    world.opt_in(ADA)
    world.state(ADA, DESK)
    return world


def test_a_running_session_ends_with_the_decision_and_another_begins_with_the_next(world: Harness) -> None:
    """In the listener and in the service alike, as often as the managers change their minds."""
    for recorded in (False, True, False, True):
        world.pass_ms(1000)
        world.record(DESK, recorded)
    world.pass_ms(1000)
    world.state(ADA, None)
    assert world.times(ADA) == [
        (DESK, 0, 1000, "joined", "not_recorded"),
        (DESK, 2000, 3000, "recorded", "not_recorded"),
        (DESK, 4000, 5000, "recorded", "left"),
    ]


def test_who_comes_into_an_unrecorded_channel_is_not_written_before_it_is_recorded(world: Harness) -> None:
    """Neither in the service nor on the disk."""
    world.pass_ms(500)
    world.state(ADA, None)
    world.pass_ms(500)
    world.record(DESK, recorded=False)
    world.pass_ms(1000)
    world.state(ADA, DESK)
    assert len(world.rows()) == 1
    assert not [key for key in world.notes if key.startswith("open:")]
    world.pass_ms(1000)
    world.record(DESK, recorded=True)
    assert world.times(ADA)[1:] == [(DESK, 3000, None, "recorded", None)]


def test_a_decision_that_is_heard_of_late_cuts_what_was_written(world: Harness) -> None:
    """The channel was unrecorded for a second, and the listener hears of it after the person has left."""
    world.pass_ms(1000)
    world.record(DESK, recorded=False, follow=False)
    world.pass_ms(1000)
    world.record(DESK, recorded=True, follow=False)
    world.pass_ms(1000)
    world.state(ADA, None)
    world.follow_channels()
    assert world.times(ADA) == [(DESK, 0, 1000, "joined", "not_recorded"), (DESK, 2000, 3000, "recorded", "left")]


def test_a_restart_without_the_service_remembers_which_channels_are_not_recorded(world: Harness) -> None:
    """The roll call finds the person there, and nothing about it is kept on the disk."""
    world.pass_ms(1000)
    world.record(DESK, recorded=False)
    world.delivering = False
    world.restart(service_up=False)
    world.connect({GUILD: {ADA: DESK}})
    assert not [record for record in world.queue if isinstance(record, VoiceSession)]
    assert not [key for key in world.notes if key.startswith("open:")]


@pytest.mark.parametrize("edges", list(itertools.combinations(range(0, 12, 2), 4)))
@pytest.mark.parametrize("until", [7, None])
def test_sessions_are_the_stay_within_consent_less_the_holes(edges: tuple[int, ...], until: int | None) -> None:
    """Compared moment by moment; ids are unique."""
    holes = [Hole(edges[0], edges[1]), Hole(edges[2], edges[3])]
    stay = Stay("stay", GUILD, DESK, ADA, 1, "joined", 1, False, FlagHistory(1, 0))
    stay.end(Edge(11, 11, 11), "left")
    sessions = sessions_of(stay, [Interval(1, 0, until)], 1, holes)
    counted = {half for s in sessions for half in range(2 * s.started_at + 1, 2 * (s.ended_at or 0), 2)}
    allowed = set(range(3, 2 * min(11, until or 11), 2))
    assert counted == {half for half in allowed if not any(2 * a < half < 2 * (b or 0) for a, b in holes)}
    assert len({session.session_id for session in sessions}) == len(sessions)


def test_an_older_decision_that_comes_late_changes_nothing() -> None:
    """And a time whose end nobody told is taken to have lasted until the next one began."""
    channels = Channels()
    newer = ChannelDecision(DESK, GUILD, 9, Hole(NOON + 9, None))
    assert channels.add([ChannelDecision(DESK, GUILD, 5, Hole(NOON, None)), newer])
    assert not channels.add([newer, ChannelDecision(DESK, GUILD, 7, Hole(NOON, NOON + 5))])
    assert channels.holes(DESK) == (Hole(NOON, NOON + 9), Hole(NOON + 9, None))


def test_of_a_channel_that_is_closed_again_and_again_the_oldest_times_become_one(world: Harness) -> None:
    """Its note does not grow for ever; what was recorded in between stands, and nothing is recorded while it is closed,
    even if the stay is looked at again from its beginning."""
    for _ in range(MOST_HOLES + 2):
        for recorded in (False, True):
            world.pass_ms(1000)
            world.record(DESK, recorded)
    world.pass_ms(1000)
    world.state(ADA, None)
    rows = world.rows()
    assert len(rows) == MOST_HOLES + 3
    noted = Unrecorded.from_json(world.notes[f"recording:{DESK}"])
    assert len(noted.holes) == MOST_HOLES
    assert noted.holes[0] == Hole(NOON + 1000, NOON + 6000)
    (stay,) = world.tracker._ledger.stays_of(ADA, GUILD)
    world.tracker._ledger.changed(stay, world.now)
    world.ack()
    assert world.rows() == [*rows[:1], *rows[3:]]


async def test_the_whole_listener_follows_what_managers_decide(stage: Scene) -> None:
    """Somebody at the desk is not recorded any more within a moment of the decision."""
    async with stage.listening() as listener:
        stage.discord.join(stage.ada, stage.desk)
        await stage.settled(listener, stays=1)
        await stage.record(stage.desk, recorded=False)
        await soon(lambda: not listener._tracker.figures()["open_sessions"])
        await stage.record(stage.desk, recorded=True)
        rows = await stage.settled(listener, stays=2)
        assert [row["ended_by"] for row in rows] == ["not_recorded", None]
        assert rows[1]["started_by"] == "recorded"
