"""Frames that are read late are noticed, and are never stored as if they had just happened."""

from __future__ import annotations

import pytest

from gateway_listener.heartbeat import Heartbeat
from tests.gateway_listener.harness import ADA, BOB, DESK, GUILD, NOON, SOFA, Harness

LATE = 500
TURN = 200
INTERVAL = 600_000


class Loop:
    """An event loop that comes round every 200 ms, with a connection that has been open for a while."""

    def __init__(self) -> None:
        self.now = NOON
        self.connects()
        assert self.late.turned(self.now)
        self.late.beat(self.now)
        self.late.acknowledged()

    def connects(self) -> None:
        self.late = Heartbeat(self.now, late_ms=LATE)
        self.late.hello(INTERVAL, self.now)
        self.late.opened(self.now)

    def turns(self, milliseconds: int) -> bool:
        """Time passes as it should; True if a heartbeat was asked for at the end."""
        asked = False
        for _ in range(milliseconds // TURN):
            self.now += TURN
            asked = self.late.turned(self.now)
        return asked

    def stands_still(self, milliseconds: int) -> None:
        self.now += milliseconds

    def frame(self) -> int | None:
        """A frame is read; since when it may have waited."""
        since = self.late.read(self.now)
        self.late.heard(self.now)
        return since


@pytest.fixture
def loop() -> Loop:
    return Loop()


def test_a_loop_that_comes_round_reads_frames_as_they_come(loop: Loop) -> None:
    """However rare frames are, and whatever the time between two heartbeats."""
    assert not loop.turns(100_000)
    assert loop.frame() is None


def test_after_a_stall_frames_may_be_as_old_as_its_beginning(loop: Loop) -> None:
    """Whether a frame or the timer is first to be served, and until a heartbeat sent after it is acknowledged."""
    loop.turns(1000)
    asleep = loop.now
    loop.stands_still(3000)
    assert loop.frame() == asleep
    assert loop.late.turned(loop.now)
    loop.late.beat(loop.now)
    loop.turns(200)
    assert loop.frame() == asleep
    loop.late.acknowledged()
    assert loop.frame() is None


def test_an_ack_of_a_heartbeat_from_before_the_stall_proves_nothing(loop: Loop) -> None:
    """It may itself have waited."""
    loop.late.beat(loop.now)
    loop.stands_still(3000)
    assert loop.late.turned(loop.now)
    loop.late.acknowledged()
    assert loop.frame() is not None
    loop.late.beat(loop.now)
    loop.late.acknowledged()
    assert loop.frame() is None


def test_a_stall_while_the_answer_is_awaited_asks_again(loop: Loop) -> None:
    """The first stall's beginning still counts."""
    asleep = loop.now
    loop.stands_still(1000)
    assert loop.late.turned(loop.now)
    loop.late.beat(loop.now)
    loop.stands_still(1000)
    assert loop.late.turned(loop.now)
    loop.late.acknowledged()
    assert loop.frame() == asleep
    loop.late.beat(loop.now)
    loop.late.acknowledged()
    assert loop.frame() is None


def test_heartbeats_to_know_are_seldom(loop: Loop) -> None:
    """Discord closes a connection that sends more than 120 messages a minute."""
    loop.stands_still(1000)
    asked = sum(loop.turns(TURN) for _ in range(60_000 // TURN))
    assert 0 < asked <= 60


def test_a_heartbeat_without_its_ack_in_time(loop: Loop) -> None:
    """What comes before the ACK may be as old as the last frame before the heartbeat."""
    loop.turns(1000)
    heard = loop.now
    loop.frame()
    loop.turns(5000)
    loop.late.beat(loop.now)
    loop.turns(400)
    assert loop.frame() is None
    loop.turns(400)
    assert loop.frame() == heard
    loop.late.acknowledged()
    assert loop.frame() is None


def test_the_burst_after_ready_is_late_when_it_takes_long(loop: Loop) -> None:
    """A heartbeat is sent behind READY; what is read half a second later, and before its ACK, may be from then."""
    loop.turns(1000)
    hello = loop.now
    loop.connects()
    assert loop.turns(200)
    loop.late.beat(loop.now)
    assert loop.frame() is None
    loop.turns(600)
    assert loop.frame() == hello
    loop.late.acknowledged()
    assert loop.frame() is None


def test_a_new_connection_owes_nothing_to_the_last(loop: Loop) -> None:
    """Heartbeats of the old one are never acknowledged."""
    loop.late.beat(loop.now)
    loop.turns(1000)
    assert loop.frame() is not None
    loop.connects()
    assert loop.frame() is None


# --- what it means for sessions ---


@pytest.fixture
def world() -> Harness:
    world = Harness()
    world.connect({GUILD: {}})
    world.opt_in(ADA)
    world.state(ADA, DESK)
    world.pass_ms(60_000)
    return world


def test_who_leaves_in_frames_read_late_was_last_known_before(world: Harness) -> None:
    """The end is where frames were last read in time, and says how much later it may have been."""
    awake = world.now
    world.late_since = awake
    world.pass_ms(9000)
    world.state(ADA, SOFA)
    desk, sofa = world.rows()
    assert (desk["ended_at"], desk["ended_within_ms"]) == (awake, 9000)
    assert (sofa["started_at"], sofa["started_within_ms"]) == (awake + 9000, 9000)


def test_what_is_read_late_is_no_sight_for_the_next_run(world: Harness) -> None:
    """The watermark waits: what else happened in that time may still be on its way when the process is killed."""
    world.ack()
    awake = world.now
    world.late_since = awake
    world.pass_ms(9000)
    world.ack()
    world.late_since = None
    world.restart()
    world.connect({GUILD: {}})
    (desk,) = world.rows()
    assert (desk["ended_at"], desk["ended_by"]) == (awake, "roll_call")
    assert desk["ended_within_ms"] == awake - desk["started_at"], "nothing was heard of Ada since she came"


def test_an_opt_out_among_frames_read_late_is_looked_at_again(world: Harness) -> None:
    """When frames come in time again the person was there all along, and the time up to the decision counts."""
    world.opt_in(BOB)
    world.state(BOB, DESK)
    world.late_since = world.now
    world.pass_ms(9000)
    world.ack()
    world.opt_out(BOB)
    decided = world.now
    world.late_since = None
    world.pass_ms(1000)
    world.ack()
    assert [row["ended_at"] for row in world.rows() if row["user_id"] == BOB] == [decided]
