"""Whatever the machine's clock and Discord's do: moments are Discord's, lengths are lengths, no decision is overrun."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import replace

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from db_client.records import ChannelRecording
from gateway_listener.clock import APART_MS, ASK_AGAIN_MS, ASK_EVERY_MS, NEAR_MS, STEP_MS, Clock
from gateway_listener.dates import dates
from gateway_listener.frames import Frame, VoiceState
from gateway_listener.ledger import REMEMBERED_MS
from gateway_listener.listener import Listener
from tests.gateway_listener.harness import ADA, BOB, CAT, DESK, GUILD, NOON, SOFA, Harness
from tests.gateway_listener.running import QUICK, SLACK_MS, Scene
from tests.simulated_discord.server import wall_clock
from tests.waiting import soon

HOUR = 3_600_000
STEPS = (-2 * HOUR, -10_000, -2500, 2500, 10_000, 2 * HOUR)


class Hands:
    """The system's clock, a steady clock and Discord's, in milliseconds, that a test turns."""

    def __init__(self, *, system_ahead: int = 0, steady: int = 50_000) -> None:
        self.discord, self.system, self.steady = NOON + 400, NOON + 400 + system_ahead, steady
        self.clock = Clock(wall=lambda: self.system / 1000, steady=lambda: self.steady / 1000)

    def pass_ms(self, milliseconds: int) -> None:
        self.discord += milliseconds
        self.system += milliseconds
        self.steady += milliseconds

    def ask(self, *, round_trip: int = 60) -> int:
        """Discord's API answers; by how much the clock is set."""
        sent_at = self.clock.steady_ms()
        self.pass_ms(round_trip // 2)
        date = self.discord // 1000
        self.pass_ms(round_trip - round_trip // 2)
        return self.clock.heard(date, sent_at, self.clock.steady_ms())

    @property
    def off_by(self) -> int:
        """What the clock shows, minus Discord's."""
        return self.clock.now() - self.discord


# --- the clock ---


@pytest.mark.parametrize("step", STEPS)
def test_the_clock_does_not_follow_the_systems(step: int) -> None:
    """Whatever is done to it, with Discord heard or not: an hour is an hour, to the millisecond."""
    for is_heard in (False, True):
        hands = Hands()
        if is_heard:
            hands.ask()
        before = hands.clock.now()
        hands.pass_ms(HOUR // 2)
        hands.system += step
        hands.pass_ms(HOUR // 2)
        assert hands.clock.now() - before == HOUR


@pytest.mark.parametrize("system_ahead", [*STEPS, -NOON, 30 * 365 * 24 * HOUR])
def test_the_clock_is_discords_from_the_first_answer_on(system_ahead: int) -> None:
    """Hours behind, years ahead, 1970 after a power cut: it is right to a second and half a round trip, and says by
    how much it was set."""
    hands = Hands(system_ahead=system_ahead)
    shown = hands.clock.now()
    by = hands.ask()
    assert abs(hands.off_by) <= 530
    assert by == hands.clock.now() - shown - 60


def test_a_machine_whose_clock_is_right_keeps_it() -> None:
    """Its clock says milliseconds, Discord's `Date` seconds only: within those nothing is set."""
    hands = Hands(system_ahead=300)
    assert [hands.ask() for _ in range(5)] == [0] * 5
    assert hands.off_by == 300


def test_each_answer_narrows_what_is_known() -> None:
    """An answer just before a second ends and one just after it begins leave little in between."""
    hands = Hands(system_ahead=-2400)
    for _ in range(40):
        hands.ask(round_trip=20)
        hands.pass_ms(77)
    difference = hands.clock.difference()
    assert difference is not None
    by, uncertainty = difference
    assert uncertainty == pytest.approx(APART_MS / 1000, abs=0.06)
    assert by == pytest.approx(-2.4, abs=uncertainty)


def test_what_is_known_gets_older() -> None:
    """Steady clocks drift: after an hour without an answer it is less sure."""
    hands = Hands()
    hands.ask()
    fresh = hands.clock.difference()
    hands.pass_ms(HOUR)
    old = hands.clock.difference()
    assert fresh is not None
    assert old is not None
    assert old[1] == pytest.approx(fresh[1] + 1.8)


def test_the_clock_that_drifts_is_set_before_it_matters() -> None:
    """A steady clock that is slow by 100 ppm: asked hourly, it never shows anything that is off by more than 3 s."""
    hands = Hands()
    hands.ask()
    for _ in range(24 * 30):
        hands.pass_ms(HOUR)
        hands.discord += HOUR // 10_000
        hands.ask()
        assert abs(hands.off_by) <= STEP_MS + 1000


@pytest.mark.parametrize("step", STEPS)
def test_discords_clock_is_followed_when_two_answers_say_so(step: int) -> None:
    """One alone may be another machine's, whose clock is wrong: nothing is set by it, and Discord is asked again."""
    hands = Hands()
    hands.ask()
    hands.discord += step
    assert hands.ask() == 0
    steady = hands.clock.steady_ms()
    hands.pass_ms(ASK_AGAIN_MS)
    assert hands.clock.asks()
    assert hands.ask(round_trip=0) == pytest.approx(step, abs=1100)
    assert abs(hands.off_by) <= 1100
    assert hands.clock.steady_ms() == steady + ASK_AGAIN_MS, "a clock that is set is not taken for a stall"


def test_discords_machines_are_not_of_one_opinion() -> None:
    """Some hundredths of a second apart: nothing is made of it, also after a connection has ended."""
    hands = Hands()
    for n in range(200):
        hands.discord += 200 * (-1) ** n
        hands.clock.interrupted()
        assert hands.ask(round_trip=20) == 0
        assert not hands.clock.asks()
        hands.pass_ms(ASK_AGAIN_MS + 77)
        assert hands.clock.now() - hands.discord in (0, -200)


def test_one_answer_with_another_time_does_not_matter() -> None:
    """Some machine between Discord and us has a clock of its own."""
    hands = Hands()
    hands.ask()
    now = hands.clock.steady_ms()
    assert hands.clock.heard(hands.discord // 1000 + 3600, now, now) == 0
    assert hands.ask() == 0
    now = hands.clock.steady_ms()
    assert hands.clock.heard(hands.discord // 1000 + 7200, now, now) == 0
    assert hands.off_by == 0


@pytest.mark.parametrize("seen", ["the connection had ended", "the system's clock has gone on"])
def test_a_sleep_that_the_steady_clock_did_not_count_has_passed(seen: str) -> None:
    """Not every system counts it. Nothing is moved for it: what was before was before, and a stall is a stall."""
    hands = Hands()
    hands.system += 3 * HOUR
    hands.ask()
    hands.discord += 8 * HOUR
    if seen == "the connection had ended":
        hands.clock.interrupted()
    else:
        hands.system += 8 * HOUR
    steady = hands.clock.steady_ms()
    assert hands.ask() == 0
    assert abs(hands.off_by) <= 1100
    assert hands.clock.steady_ms() - steady == pytest.approx(8 * HOUR, abs=1200)


def test_the_clock_never_runs_back() -> None:
    """Even if the steady clock should."""
    hands = Hands()
    before = hands.clock.now()
    hands.steady -= 10
    hands.system -= 100
    assert hands.clock.now() >= before


def test_when_discord_is_asked() -> None:
    """Once an hour; soon after a moment of Discord's that is still to come here, and after the system's clock was set;
    but not at every turn."""
    hands = Hands()
    assert hands.clock.asks()
    hands.ask()
    assert not hands.clock.asks()
    hands.pass_ms(ASK_EVERY_MS)
    assert hands.clock.asks()
    assert not hands.clock.asks()
    hands.ask()
    hands.pass_ms(ASK_AGAIN_MS)
    assert hands.clock.told(hands.discord + 1000) == 0
    assert not hands.clock.asks()
    assert hands.clock.told(hands.discord + 60_000) == 0
    assert hands.clock.asks()
    hands.ask()
    hands.pass_ms(ASK_AGAIN_MS)
    hands.system += 60_000
    assert hands.clock.asks()
    hands.ask()
    assert not hands.clock.asks()


def test_nobody_heard_discord() -> None:
    """A proxy takes `Date` away: then the system's clock stands, but it is no earlier than what has been decided."""
    hands = Hands(system_ahead=-2 * HOUR)
    assert hands.clock.difference() is None
    assert hands.clock.told(hands.discord) == 2 * HOUR
    assert hands.off_by == 0
    asked = 0
    for _ in range(3600):
        hands.pass_ms(1000)
        asked += hands.clock.asks()
    assert asked <= 61


# --- the tracker ---


def moved(world: Harness, by: int) -> None:
    """The listener's clock is set, as `Listener._set_clock` does it."""
    world.now += by
    world.tracker.shift(by)
    world._settle()


def lengths(world: Harness, user: int) -> list[int | None]:
    return [None if row["ended_at"] is None else row["ended_at"] - row["started_at"] for row in world.rows(user)]


def no_overlaps(world: Harness) -> bool:
    for user in (ADA, BOB, CAT):
        rows = sorted(world.rows(user), key=lambda row: (row["started_at"], row["ended_at"] or 2**63))
        if any((a["ended_at"] or 2**63) > b["started_at"] for a, b in itertools.pairwise(rows)):
            return False
    return True


def running(*, behind: int = 0) -> Harness:
    """Everyone is in since a day, the listener runs since an hour; by Discord's clock, which is ahead, it is noon."""
    world = Harness()
    for user in (ADA, BOB, CAT):
        world.opt_in(user, NOON - 24 * HOUR)
    world.restart()
    world.pass_ms(-HOUR - behind)
    world.restart()
    world.connect({GUILD: {}})
    world.pass_ms(HOUR)
    return world


@pytest.fixture
def world() -> Iterator[Harness]:
    """With a clock that is right."""
    world = running()
    yield world
    assert no_overlaps(world)


@pytest.mark.parametrize("by", [-10_000, -2500, 2500, 10_000, 2 * HOUR])
def test_the_clock_is_set_while_people_are_in_voice(world: Harness, by: int) -> None:
    """What is over and what goes on keeps its length, and stands where Discord's time says; nothing overlaps."""
    world.state(ADA, DESK)
    world.state(BOB, SOFA, flags=1)
    world.pass_ms(60_000)
    world.state(ADA, SOFA)
    world.pass_ms(5000)
    world.state(BOB, SOFA)
    moved(world, by)
    world.pass_ms(5000)
    world.state(ADA, None)
    world.state(BOB, None)
    world.state(CAT, DESK)
    world.pass_ms(5000)
    world.state(CAT, None)
    assert world.times(ADA) == [
        (DESK, by, by + 60_000, "joined", "switched"),
        (SOFA, by + 60_000, by + 70_000, "switched", "left"),
    ]
    assert world.times(BOB) == [(SOFA, by, by + 70_000, "joined", "left")]
    assert world.rows(BOB)[0]["muted_ms"] == 65_000
    assert world.times(CAT) == [(DESK, by + 70_000, by + 75_000, "joined", "left")]
    assert {row["started_within_ms"] + row["ended_within_ms"] for row in world.rows()} == {0}
    assert world.compare() == {}


@pytest.mark.parametrize("steps", [(10_000, -10_000), (-10_000, 10_000), (7000, 7000), (-3000, -3000)])
def test_the_clock_is_set_twice(world: Harness, steps: tuple[int, int]) -> None:
    """Both ways, with a new stay in between."""
    world.state(ADA, DESK)
    for by in steps:
        world.pass_ms(1000)
        world.state(ADA, SOFA if world.times(ADA)[-1][0] == DESK else DESK)
        moved(world, by)
    world.pass_ms(1000)
    world.state(ADA, None)
    assert lengths(world, ADA) == [1000, 1000, 1000]
    assert world.times(ADA)[0][1] == sum(steps)


def test_the_clock_is_set_back_to_before_this_run(world: Harness) -> None:
    """What an earlier run stored stands there: nothing is moved into it, and the rest is right."""
    world.state(ADA, DESK)
    world.pass_ms(1000)
    world.state(ADA, None)
    world.restart()
    world.pass_ms(1000)
    world.connect({GUILD: {}})
    world.pass_ms(1000)
    world.state(ADA, SOFA)
    moved(world, -60_000)
    world.pass_ms(1000)
    world.state(ADA, None)
    world.pass_ms(70_000)
    world.state(ADA, DESK)
    world.pass_ms(5000)
    world.state(ADA, None)
    assert world.times(ADA)[0] == (DESK, 0, 1000, "joined", "left")
    assert lengths(world, ADA)[-1] == 5000


@pytest.mark.parametrize("by", [-6000, 6000])
def test_what_is_over_waits_for_the_log_though_the_clock_is_set(world: Harness, by: int) -> None:
    """Nothing is forgotten before the log was read two hours after it, on whichever side of the setting that was."""
    world.state(ADA, DESK)
    world.pass_ms(1000)
    world.state(ADA, None)
    world.pass_ms(REMEMBERED_MS - 10_000)
    world.read_consent()
    moved(world, by)
    world.pass_ms(20_000)
    world.ack()
    assert world.tracker.figures()["stays_in_memory"] == 1
    world.read_consent()
    assert world.tracker.figures()["stays_in_memory"] == 0


@pytest.mark.parametrize("by", [-10_000, 10_000])
def test_a_number_that_was_left_out_before_the_clock_was_set(world: Harness, by: int) -> None:
    """What may have been lost lies between the two numbers that did come, as far apart as they were."""
    world.state(ADA, DESK)
    next(world._sequence)
    world.pass_ms(60_000)
    world.ack()
    moved(world, by)
    world.pass_ms(1000)
    world.state(ADA, SOFA)
    assert [row["started_within_ms"] for row in world.rows(ADA)] == [0, 61_000]


@pytest.mark.parametrize("by", [-10_000, 10_000])
def test_a_stay_of_many_hours_keeps_its_length(world: Harness, by: int) -> None:
    """However much of what came before it has been forgotten; and so does what it was muted."""
    world.state(ADA, DESK, flags=1)
    world.pass_ms(3 * HOUR)
    world.state(ADA, DESK)
    world.read_consent()
    world.pass_ms(3 * HOUR)
    moved(world, by)
    world.pass_ms(5000)
    world.state(ADA, None)
    (row,) = world.rows(ADA)
    assert lengths(world, ADA) == [6 * HOUR + 5000]
    assert (row["started_within_ms"], row["ended_within_ms"], row["muted_ms"]) == (0, 0, 3 * HOUR)


def test_a_stay_says_what_it_lost_to_one_that_is_forgotten(world: Harness) -> None:
    """What ended when it began stands in the service, where nobody moves it: it cannot begin before that."""
    world.state(ADA, SOFA)
    world.pass_ms(1000)
    world.state(ADA, DESK, flags=1)
    world.pass_ms(2000)
    world.state(ADA, DESK)
    world.pass_ms(3 * HOUR)
    world.read_consent()
    moved(world, -10_000)
    world.pass_ms(5000)
    world.state(ADA, None)
    sofa, desk = world.rows(ADA)
    assert lengths(world, ADA) == [1000, 3 * HOUR - 3000]
    assert (sofa["ended_within_ms"], desk["started_within_ms"], desk["ended_within_ms"]) == (0, 10_000, 0)
    assert desk["muted_ms"] <= desk["ended_at"] - desk["started_at"]


def test_the_clock_is_set_back_by_more_than_this_run_is_old(world: Harness) -> None:
    """What an earlier run stored ended before: all that was seen since then moves, and time does not stand still."""
    world.restart()
    world.pass_ms(3 * HOUR)
    world.connect({GUILD: {}})
    world.state(ADA, DESK)
    world.pass_ms(1000)
    moved(world, -2 * HOUR)
    world.pass_ms(1000)
    world.state(ADA, SOFA)
    world.pass_ms(1000)
    world.state(ADA, None)
    assert world.times(ADA) == [
        (DESK, HOUR, HOUR + 2000, "joined", "switched"),
        (SOFA, HOUR + 2000, HOUR + 3000, "switched", "left"),
    ]
    assert {row["started_within_ms"] + row["ended_within_ms"] for row in world.rows()} == {0}


def test_an_unwritten_switch_and_a_clock_that_is_set(world: Harness) -> None:
    """The service hears of the end before it hears of the next beginning."""
    world.state(ADA, DESK)
    world.pass_ms(1000)
    world.tracker.see(Frame(VoiceState(GUILD, ADA, SOFA, 0)), world.now)
    moved(world, 5000)
    world.pass_ms(1000)
    world.state(ADA, None)
    assert lengths(world, ADA) == [1000, 1000]


# --- decisions ---


@pytest.mark.parametrize("behind", [1500, 2 * HOUR])
@pytest.mark.parametrize("decision", ["out", "erase"])
def test_nothing_is_recorded_after_an_opt_out_was_read(behind: int, decision: str) -> None:
    """Though its moment is still to come by this machine's clock, and whether or not the clock is set then."""
    world = running(behind=behind)
    world.decide(ADA, decision, NOON)
    world.state(ADA, DESK)
    world.pass_ms(1000)
    world.state(ADA, None)
    assert world.rows(ADA) == []
    moved(world, behind)
    world.state(ADA, SOFA)
    world.pass_ms(3000)
    world.state(ADA, None)
    assert world.rows(ADA) == []


@pytest.mark.parametrize("ended_by", ["opted_out", "not_recorded"])
@pytest.mark.parametrize("behind", [1500, 2 * HOUR])
def test_a_stay_ends_when_what_ends_it_is_read(behind: int, ended_by: str) -> None:
    """At the latest, whether the person decided it or the channel's managers, and nothing follows; when the clock is
    set, at the decision."""
    world = running(behind=behind)
    world.state(ADA, DESK)
    world.pass_ms(60_000)
    if ended_by == "opted_out":
        world.decide(ADA, "out", NOON + 60_000)
    else:
        world.service.write(ChannelRecording(world.service.interaction(NOON + 60_000), GUILD, DESK, False))
        world.follow_channels()
    for channel in (None, DESK, None):
        world.pass_ms(3000)
        world.state(ADA, channel)
    assert world.times(ADA) == [(DESK, -behind, 60_000 - behind, "joined", ended_by)]
    moved(world, behind)
    assert world.times(ADA) == [(DESK, 0, 60_000, "joined", ended_by)]


def test_an_opt_out_that_was_read_before_discord_was_heard(world: Harness) -> None:
    """The clock was behind, and is set before anything is seen: the decision is placed where Discord's time says."""
    world.state(ADA, DESK)
    world.pass_ms(60_000)
    world.ack()
    world.service.write(world.decision(ADA, "out", NOON + 100_000))
    world.pass_ms(-30_000)
    world.restart()
    moved(world, 80_000)
    world.connect({GUILD: {ADA: DESK}})
    assert world.times(ADA) == [(DESK, 0, 100_000, "joined", "opted_out")]


@pytest.mark.parametrize("seen", [False, True])
def test_a_clock_that_is_set_back_moves_no_decision_of_before_this_run(world: Harness, seen: bool) -> None:
    """The machine starts an hour ahead; who opted out while nothing ran was recorded until then, or until last seen."""
    world.state(ADA, DESK)
    world.pass_ms(60_000)
    world.ack()
    world.service.write(world.decision(ADA, "out", NOON + 50_000))
    world.pass_ms(HOUR + 20_000)
    world.restart()
    if seen:
        world.hello()
    moved(world, -HOUR)
    world.connect({GUILD: {ADA: DESK}})
    assert world.times(ADA) == [(DESK, 0, 50_000, "joined", "opted_out")]


def test_an_opt_out_counts_from_its_first_reading_though_the_log_is_read_anew(world: Harness) -> None:
    """The service was restored, and its log has the decision with Discord's moment, which has passed by now."""
    world.follow(complete=True)
    world.state(ADA, DESK)
    world.pass_ms(5000)
    world.opt_out(ADA, at=world.now + 1500)
    world.pass_ms(5000)
    world.follow(complete=True)
    assert world.times(ADA) == [(DESK, 0, 5000, "joined", "opted_out")]


def test_a_channel_that_was_always_recorded_stays_so() -> None:
    """Its managers say so by a clock that is ahead of ours: no moment is left out for that."""
    world = running(behind=1500)
    world.state(ADA, DESK)
    world.pass_ms(60_000)
    world.service.write(ChannelRecording(world.service.interaction(NOON + 60_000), GUILD, DESK, True))
    world.follow_channels()
    world.pass_ms(5000)
    world.state(ADA, None)
    assert world.times(ADA) == [(DESK, -1500, 63_500, "joined", "left")]


def test_an_opt_in_is_followed_though_the_clock_is_behind(world: Harness) -> None:
    """From its own moment on: nothing may stand before that."""
    world.state(ADA, None)
    world.opt_out(BOB)
    world.pass_ms(1000)
    world.state(BOB, DESK)
    world.pass_ms(60_000)
    world.opt_in(BOB, world.now + 1500)
    assert world.times(BOB) == [(DESK, 62_500, None, "opted_in", None)]
    world.pass_ms(5000)
    world.state(BOB, None)
    assert world.times(BOB) == [(DESK, 62_500, 66_000, "opted_in", "left")]


@pytest.mark.parametrize("by", [-10_000, 10_000])
def test_discords_clock_is_set_after_an_opt_out(world: Harness, by: int) -> None:
    """Nothing that came after the reading of it is recorded."""
    world.state(ADA, DESK)
    world.pass_ms(30_000)
    world.opt_out(ADA)
    moved(world, by)
    world.pass_ms(1000)
    world.state(ADA, SOFA)
    world.pass_ms(3000)
    world.state(ADA, None)
    assert world.times(ADA) == [(DESK, by, 30_000 + min(by, 0), "joined", "opted_out")]


@pytest.mark.parametrize("decision", ["out", "erase", "not recorded"])
def test_what_came_after_an_opt_out_was_read_stays_after_it(world: Harness, decision: str) -> None:
    """Discord's clock is set back to before that, and what was seen in between moves with it: it is not recorded."""
    world.pass_ms(60_000)
    if decision == "not recorded":
        world.record(SOFA, False)
    else:
        world.decide(ADA, decision)
    world.pass_ms(1000)
    world.state(ADA, SOFA)
    world.pass_ms(3000)
    world.state(ADA, None)
    world.pass_ms(1000)
    moved(world, -10_000)
    world.pass_ms(20_000)
    assert world.rows(ADA) == []


@pytest.mark.parametrize("decision", ["out", "not recorded"])
@pytest.mark.parametrize("is_over", [True, False])
@pytest.mark.parametrize("by", [-500, -2500, -10_000])
def test_a_stay_that_began_after_a_decision_was_read_stays_after_it(
    world: Harness, by: int, is_over: bool, decision: str
) -> None:
    """Discord's clock is set back then: the stay is moved, and so is the reading of what it came after."""
    world.state(BOB, SOFA)
    world.pass_ms(60_000)
    if decision == "out":
        world.opt_out(BOB)
    else:
        world.record(SOFA, recorded=False)
    world.pass_ms(50)
    world.state(BOB, DESK)
    world.pass_ms(10)
    world.state(BOB, SOFA)
    world.pass_ms(1000)
    if is_over:
        world.state(BOB, None)
    moved(world, by)
    world.pass_ms(1000)
    ended_by = "opted_out" if decision == "out" else "not_recorded"
    rows = [row for row in world.times(BOB) if row[0] == SOFA]
    assert rows == [(SOFA, by, by + 60_000, "joined", ended_by)]


# --- what an earlier run left ---


@pytest.mark.parametrize("ahead", [10 * 60_000, 2 * HOUR, 30 * 365 * 24 * HOUR])
def test_an_earlier_run_had_a_clock_that_was_ahead(ahead: int) -> None:
    """It does not block anything, for however long: what it left says how far it may be off, what follows is exact."""
    world = Harness()
    for user in (ADA, BOB):
        world.opt_in(user, NOON - HOUR)
    world.pass_ms(ahead)
    world.connect({GUILD: {}})
    world.state(ADA, DESK)
    world.pass_ms(60_000)
    world.ack()
    world.pass_ms(-ahead)
    world.restart()
    world.connect({GUILD: {ADA: DESK}})
    world.pass_ms(5000)
    world.state(ADA, None)
    world.state(BOB, SOFA)
    world.pass_ms(5000)
    world.state(BOB, None)
    world.ack()
    at = 60_000
    assert world.times(ADA) == [
        (DESK, at, at, "joined", "roll_call"),
        (DESK, at, at + 5000, "roll_call", "left"),
    ]
    first, second = world.rows(ADA)
    assert first["started_within_ms"] == first["ended_within_ms"] == HOUR + at
    assert second["started_within_ms"] == HOUR + at
    assert world.times(BOB) == [(SOFA, at + 5000, at + 10_000, "joined", "left")]
    assert int(world.notes["watermark"]) == NOON + at + 10_000
    assert world.compare() == {}


def test_the_clock_went_ahead_during_an_earlier_run(world: Harness) -> None:
    """A stay that began in good time ends there, and may have lasted until now."""
    world.state(ADA, DESK)
    world.pass_ms(20 * 60_000)
    world.now += HOUR
    world.ack()
    world.now -= HOUR
    world.restart()
    world.connect({GUILD: {}})
    assert world.times(ADA) == [(DESK, 0, 0, "joined", "roll_call")]
    assert world.rows(ADA)[0]["ended_within_ms"] == 20 * 60_000


def test_the_next_run_shows_a_little_less(world: Harness) -> None:
    """As two runs can: nothing is doubted for that, and nothing overlaps."""
    world.state(ADA, DESK)
    world.pass_ms(30_000)
    world.ack()
    world.pass_ms(-NEAR_MS)
    world.restart()
    world.connect({GUILD: {ADA: DESK}})
    world.pass_ms(30_000)
    world.state(ADA, None)
    assert world.times(ADA) == [(DESK, 0, 60_000 - NEAR_MS, "joined", "left")]


@pytest.mark.parametrize("system", [-2 * HOUR, 2 * HOUR, -NOON, 30 * 365 * 24 * HOUR])
def test_what_was_left_stands_until_discord_is_heard(world: Harness, system: int) -> None:
    """The machine starts with a wrong clock: before Discord's time is known nothing is concluded from its own."""
    world.state(ADA, DESK)
    world.state(BOB, DESK)
    world.pass_ms(60_000)
    world.ack()
    world.pass_ms(30_000)
    world.now += system
    world.restart()
    world.pass_ms(1000)
    moved(world, -system)
    world.connect({GUILD: {ADA: DESK, CAT: SOFA}})
    world.pass_ms(5000)
    world.state(ADA, None)
    assert world.times(ADA) == [(DESK, 0, 96_000, "joined", "left")]
    assert world.times(BOB) == [(DESK, 0, 60_000, "joined", "roll_call")]
    assert world.rows(BOB)[0]["ended_within_ms"] == 60_000, "he was last proved to be there when he came"
    assert world.rows(CAT)[0]["started_within_ms"] == 31_000


def test_a_new_disk_and_a_service_that_heard_of_the_future(world: Harness) -> None:
    """The watermark there says nothing, and what stands open from the future does not stay."""
    world.now += 30 * 365 * 24 * HOUR
    world.state(ADA, DESK)
    world.ack()
    world.share()
    world.now -= 30 * 365 * 24 * HOUR
    world.new_disk()
    world.connect({GUILD: {ADA: DESK}})
    world.pass_ms(1000)
    world.read_baseline()
    world.pass_ms(5000)
    world.state(ADA, None)
    assert world.times(ADA)[-1] == (DESK, 0, 6000, "roll_call", "left")
    assert all(row["ended_at"] <= world.now for row in world.rows(ADA))


def test_a_shard_that_was_given_more_guilds_and_a_disk_that_heard_of_the_future() -> None:
    """When the disk's guilds were seen, nobody can say: what stood open there does not end in the future."""
    world = Harness(shard=(0, 2))
    world.connect({GUILD: {}})
    world.opt_in(BOB)
    world.state(BOB, SOFA)
    world.now += 30 * 365 * 24 * HOUR
    world.ack()
    world.now -= 30 * 365 * 24 * HOUR
    world.restart(service_up=False, shard=(0, 1))
    world.pass_ms(1000)
    world.connect({GUILD: {}})
    world.read_baseline()
    assert world.times(BOB) == [(SOFA, 0, 0, "joined", "roll_call")]


# --- what is heard ---


@pytest.mark.parametrize(
    ("status", "headers", "is_heard"),
    [
        (200, {}, True),
        (429, {}, True),
        (500, {}, True),
        (501, {}, True),
        (502, {}, False),
        (503, {}, False),
        (504, {}, False),
        (200, {"Age": "0"}, False),
        (200, {"Date": "soon"}, False),
        (200, {"Date": "Fri, 15 Jan 2027 25:00:00 GMT"}, False),
    ],
)
async def test_which_answers_say_what_time_it_is(status: int, headers: dict[str, str], is_heard: bool) -> None:
    """Those that were made just now by Discord, whatever they say else; each with when it was asked for and came."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Date": "Fri, 15 Jan 2027 08:00:00 GMT", **headers})

    app = web.Application()
    app.router.add_get("/", answer)
    heard: list[tuple[float, int, int]] = []
    moments = itertools.count(1)
    trace = dates(lambda: next(moments), lambda *what: heard.append(what))
    async with (
        TestServer(app) as server,
        aiohttp.ClientSession(trace_configs=[trace]) as session,
        session.get(server.make_url("/")) as answered,
    ):
        await answered.read()
    assert heard == ([(NOON / 1000, 1, 2)] if is_heard else [])


# --- the listener ---


async def asked(listener: Listener, *, times: int = 2) -> None:
    """Discord is asked for its time, as it is hourly and whenever there is a doubt."""
    for _ in range(times):
        assert listener._gateway is not None
        await listener._gateway.ask_time()


def difference(listener: Listener) -> float:
    return listener.condition().gauges["clock_difference_seconds"][1]


@pytest.mark.parametrize("ahead", [-2 * 3600.0, 2 * 3600.0, 30 * 365 * 86_400.0, None])
async def test_a_machine_starts_with_a_wrong_clock(
    stage: Scene, caplog: pytest.LogCaptureFixture, ahead: float | None
) -> None:
    """Hours behind or ahead, years, 1970: what is recorded is right, with the first frame; then NTP puts it right."""
    wrong = [-time.time() if ahead is None else ahead]
    await stage.decide(stage.ada, "in")
    patient = replace(QUICK, late=10.0)  # what a busy machine reads late is in doubt, and this is about the clock
    async with stage.listening(timing=patient, clock=Clock(wall=lambda: time.time() + wrong[0])) as listener:
        assert difference(listener) == pytest.approx(wrong[0], abs=1.1)
        await soon(lambda: "this machine's clock is" in caplog.text, what="a warning")
        stage.discord.join(stage.ada, stage.desk)
        stage.discord.join(stage.bob, stage.desk)
        joined_at = wall_clock()
        await stage.decide(stage.bob, "in")
        await stage.followed(listener, stage.bob)
        await soon(lambda: wall_clock() > joined_at + 1200, what="a second, to which the clock is right, has passed")
        await stage.decide(stage.ada, "out")
        await stage.followed(listener, stage.ada, is_in=False)
        await stage.moment()  # what comes in the millisecond of the reading has not come after it
        wrong[0] = 0.0
        stage.discord.switch(stage.ada, stage.sofa)
        await stage.moment()
        stage.discord.leave(stage.ada)
        await stage.moment()
        stage.discord.leave(stage.bob)
        await soon(lambda: stage.seated(listener) == 0)
        rows = {row["user_id"]: row for row in await stage.settled(listener, stays=2)}
        assert difference(listener) == pytest.approx(0, abs=1.1)
        assert caplog.text.count("this machine's clock is") == 1
    true = {(stay["user_id"], stay["channel_id"]): stay for stay in stage.discord.stays()}
    ada, ada_sat = rows[stage.ada], true[stage.ada, stage.desk]
    bob, bob_sat = rows[stage.bob], true[stage.bob, stage.desk]
    # Where a busy machine read the switch late, nobody knows which came first; then the row says so.
    assert (ada["ended_by"], ada["ended_within_ms"]) == ("opted_out", 0) or ada["ended_within_ms"] > 0
    assert ada["ended_at"] <= ada_sat["ended_at"]
    for row, sat, edge in ((ada, ada_sat, "started"), (bob, bob_sat, "started"), (bob, bob_sat, "ended")):
        assert abs(row[f"{edge}_at"] - sat[f"{edge}_at"]) <= row[f"{edge}_within_ms"] + 1100 + SLACK_MS


@pytest.mark.parametrize("by", [-10_000, 10_000])
async def test_discords_clock_is_set_while_somebody_is_in_voice(stage: Scene, by: int) -> None:
    """The stay's length is what it was for whoever sat there."""
    await stage.decide(stage.ada, "in", wall_clock() - 60_000)
    async with stage.listening() as listener:
        begun = time.monotonic()
        stage.discord.join(stage.ada, stage.desk)
        await soon(lambda: stage.seated(listener) == 1)
        await stage.moment()
        stage.discord.set_faults(clock_ahead=by)
        await asked(listener)
        await soon(lambda: listener._counts["clock_set"] == 1)
        stage.discord.leave(stage.ada)
        await soon(lambda: stage.seated(listener) == 0)
        sat = (time.monotonic() - begun) * 1000
        (row,) = await stage.settled(listener, stays=1)
    doubt = row["started_within_ms"] + row["ended_within_ms"]  # where a busy machine read frames late
    assert row["ended_at"] - row["started_at"] == pytest.approx(sat, abs=SLACK_MS + doubt)
    if by > 0:
        assert row["ended_at"] == pytest.approx(stage.discord.now(), abs=1100 + SLACK_MS + doubt)


async def test_an_earlier_run_could_not_hear_discord(stage: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """A proxy took `Date` away and the machine was two hours ahead; then all is well, and there is a restart."""
    ahead = [2 * 3600.0]
    await stage.decide(stage.ada, "in")
    await stage.decide(stage.bob, "in")
    stage.discord.set_faults(no_date=True)
    async with stage.listening(clock=Clock(wall=lambda: time.time() + ahead[0])) as listener:
        assert "clock_difference_seconds" not in listener.condition().gauges
        stage.discord.join(stage.ada, stage.desk)
        await soon(lambda: stage.seated(listener) == 1)
        await stage.settled(listener, stays=1)
        await soon(lambda: "without a Date" in caplog.text, what="a warning")
    stage.discord.set_faults(no_date=False)
    async with stage.listening() as listener:
        stage.discord.leave(stage.ada)
        stage.discord.join(stage.bob, stage.sofa)
        await soon(lambda: stage.seated(listener) == 1)
        await stage.moment()
        stage.discord.leave(stage.bob)
        await soon(lambda: stage.seated(listener) == 0)
        rows = await stage.settled(listener, stays=3)
    stage.check([row for row in rows if row["user_id"] == stage.bob], stage.bob)
    assert all(row["ended_at"] <= wall_clock() + 1100 for row in rows)
    for row in (row for row in rows if row["user_id"] == stage.ada):
        assert row["started_at"] - row["started_within_ms"] <= stage.discord.stays()[0]["started_at"]


async def test_a_decision_from_the_future_has_discord_asked(stage: Scene) -> None:
    """Discord's clock went on by a minute, and nobody had asked since."""
    async with stage.listening() as listener:
        stage.discord.set_faults(clock_ahead=60_000)
        await stage.decide(stage.ada, "in", stage.discord.now())
        await soon(lambda: listener._counts["clock_set"] == 1, within=30)
        assert abs(listener._clock.now() - stage.discord.now()) <= 1100
