"""A week of one listener in simulated time, with its limits reached, and every stored moment beside the truth."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from db_client.errors import NotKept
from db_client.records import Flags, Record
from gateway_listener import frames
from gateway_listener.flags import MOST_CHANGES, FlagHistory
from gateway_listener.frames import Frame
from gateway_listener.ledger import MOST_REMEMBERED
from gateway_listener.recorder import Recorder
from gateway_listener.stays import REMEMBERED_MS
from tests.gateway_listener.evening import Evening, run_through
from tests.gateway_listener.harness import ADA, BOB, DESK, GUILD, SOFA, Harness
from tests.gateway_listener.judge import differences
from tests.gateway_listener.people import BOT, GUILDS, PEOPLE
from tests.gateway_listener.small_world import SmallWorld
from tests.gateway_listener.sums import wrong_afk, wrong_sums

SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000
DAY = 24 * HOUR
PEOPLE_IN = range(1000, 2000)
FIRST_STRANGER = 10_000


class Week:
    """Seven days in the small world; each thing that happens is a method, and what differs is looked for after each."""

    def __init__(self) -> None:
        self.world = SmallWorld()
        self.watcher = self.world.watcher
        self.watcher.all_roll_calls()
        self.began_at = self.world.people.now
        self.random = random.Random(7)

    def wait(self, milliseconds: int) -> None:
        """Time passes; every hour or so it compares and tells the service up to when it saw, and nothing differs."""
        until = self.world.people.now + milliseconds
        while self.world.people.now < until:
            self.world.wait(min(HOUR, until - self.world.people.now))
            self.watcher.share()
            assert not self.world.compare(), "with nothing in the way nothing differs"
            assert not list(self.world.broken())

    def until_day(self, day: int) -> None:
        """The morning of that day."""
        self.wait(self.began_at + day * DAY - self.world.people.now)

    def ordinary_evening(self, hours: int) -> None:
        """People come, mute, switch and go, some of them without consent, and a bot that says so late or not at all."""
        until = self.world.people.now + hours * HOUR
        while self.world.people.now < until:
            user = self.random.choice((*PEOPLE, BOT))
            guild, kind = self.random.choice(GUILDS), self.random.choice((DESK, SOFA, None))
            self.world.people.move(user, guild, kind, member=self.random.random() < 0.5)
            self.wait(self.random.randrange(20 * MINUTE))
            self.world.people.set_flags(user, self.random.randrange(16))
            self.wait(self.random.randrange(MINUTE))

    def everybody_leaves(self) -> None:
        """Out of voice, and half an hour later nobody is open."""
        for user in (*PEOPLE, BOT):
            self.world.people.move(user, GUILDS[0], None)
        self.wait(HOUR // 2)

    def decide(self, user: int, decision: str) -> None:
        """By an endpoint that is well."""
        self.world.decide(user, decision, 0)
        self.world.wait(SECOND)

    def end(self) -> list[str]:
        """All that is wrong in a week of rows."""
        world = self.world
        world.settle()
        assert not world.compare()
        truth, rows = world.truth(), world.own_rows()
        found = [*world.broken(), *differences(truth, rows), *wrong_sums(truth, rows), *wrong_afk(truth, rows)]
        return [*found, *world.wrong_views(), *world.wrong_names()]


def test_a_week_of_a_listener() -> None:
    """Whatever happened in it: what is stored is what happened, or says how sure it is, and memory is what is there."""
    week = Week()
    world, watcher, people = week.world, week.watcher, week.world.people

    # An ordinary day: somebody opts in after three hours in voice, and out long after that.
    week.decide(ADA, "in")
    people.move(BOB, GUILDS[0], DESK)
    week.ordinary_evening(3)
    week.decide(BOB, "in")
    week.ordinary_evening(2 * REMEMBERED_MS // HOUR + 1)
    week.decide(BOB, "out")
    week.everybody_leaves()

    # Somebody changes states more often than is remembered, is out and in again meanwhile, and leaves.
    week.until_day(1)
    week.decide(BOB, "in")
    people.move(ADA, GUILDS[0], DESK)
    for place in range(3 * MOST_CHANGES):
        people.set_flags(ADA, place % 16)
        world.wait(700)
    week.decide(ADA, "out")
    week.decide(ADA, "in")
    for place in range(MOST_CHANGES // 4):
        people.set_flags(ADA, place % 16)
        world.wait(700)
    week.everybody_leaves()

    # An erasure and an opt-in, with a batch on its way; nobody compares before the person has left.
    week.until_day(2)
    world.surround(service_up=True, lagging=True, answers_lost=False, disk_full=False, batching=False)
    people.move(ADA, GUILDS[0], SOFA)
    world.wait(MINUTE)
    world.surround(service_up=False, lagging=False, answers_lost=False, disk_full=False, batching=False)
    for decision in ("erase", "in"):
        world.decide(ADA, decision, 0)
        world.wait(MINUTE)
    world.surround(service_up=True, lagging=False, answers_lost=False, disk_full=False, batching=False)
    world.wait(MINUTE)
    people.move(ADA, GUILDS[0], None)
    world.wait(MINUTE)
    assert world.service.rows("SELECT count(*) AS n FROM voice_sessions WHERE ended_at IS NULL") == [{"n": 0}]
    week.ordinary_evening(3)
    week.everybody_leaves()

    # A new disk, a restart, the service away, a restart; who is elsewhere by then has left.
    week.until_day(3)
    people.move(ADA, GUILDS[0], DESK)
    people.move(BOB, GUILDS[0], DESK)
    week.wait(MINUTE)
    watcher.kill(disk_lost=True)
    watcher.start()
    watcher.identify()
    watcher.all_roll_calls()
    world.wait(MINUTE)
    world.surround(service_up=False, lagging=False, answers_lost=False, disk_full=False, batching=False)
    watcher.kill()
    people.move(BOB, GUILDS[0], SOFA)
    watcher.start()
    watcher.identify()
    watcher.all_roll_calls()
    world.wait(MINUTE)
    world.surround(service_up=True, lagging=False, answers_lost=False, disk_full=False, batching=False)
    world.wait(MINUTE)
    assert world.compare() == {}
    week.everybody_leaves()

    # Managers take a channel out and in again while what was seen there waits, and while the service has cut already.
    week.until_day(4)
    people.move(ADA, GUILDS[0], DESK)
    week.wait(MINUTE)
    world.surround(service_up=True, lagging=True, answers_lost=False, disk_full=False, batching=False)
    for recorded in (False, True, False, True):
        people.set_flags(ADA, int(Flags.MUTED) * recorded)
        world.decide_recording(GUILDS[0], DESK, recorded)
        world.wait(MINUTE)
    world.surround(service_up=True, lagging=False, answers_lost=False, disk_full=False, batching=False)
    week.ordinary_evening(3)
    week.everybody_leaves()

    # An opt-out that an endpoint had kept for longer than stays are remembered.
    week.until_day(5)
    people.move(ADA, GUILDS[0], DESK)
    week.wait(HOUR)
    world.stuck[1] = True
    world.decide(ADA, "out", 1)
    week.wait(MINUTE)
    people.move(ADA, GUILDS[0], None)
    week.wait(REMEMBERED_MS + HOUR)
    world.stuck[1] = False
    week.wait(MINUTE)
    week.decide(ADA, "in")

    # Lost ACKs, outages, a gap, a removal and an invitation, and an ordinary evening over it.
    week.until_day(6)
    people.move(ADA, GUILDS[0], DESK)
    for closes in (False, True):
        watcher.lose_ack(closes=closes)
        week.ordinary_evening(2)
    world.outage(GUILDS[0])
    people.move(ADA, GUILDS[0], SOFA)
    world.wait(HOUR)
    world.recover(GUILDS[0])
    week.ordinary_evening(1)
    watcher.disconnect()
    world.wait(3 * MINUTE)
    watcher.identify()
    watcher.all_roll_calls()
    world.remove_bot(GUILDS[1])
    world.wait(HOUR)
    world.add_bot(GUILDS[1])
    week.ordinary_evening(2)
    week.everybody_leaves()

    week.until_day(7)
    assert watcher.harness.tracker.figures() == {
        "guilds": 2,
        "unseen_guilds": 0,
        "stays_in_memory": 0,
        "open_sessions": 0,
    }
    assert not week.end()


@pytest.fixture(scope="module")
def crowded() -> Harness:
    """As many visits of strangers as are remembered and one more, and then as many of people who are in."""
    world = Harness()
    world.connect({GUILD: {}})
    for user in PEOPLE_IN:
        world.opt_in(user)
    world.delivering = False
    numbers = itertools.count(1_000_000)

    def visit(user: int) -> None:
        for channel in (DESK, None):
            world.tracker.see(Frame(frames.VoiceState(GUILD, user, channel, 0), next(numbers)), world.now)

    for place in range(MOST_REMEMBERED + 1):
        visit(FIRST_STRANGER + place)
    for place in range(MOST_REMEMBERED + 1):
        visit(PEOPLE_IN[place % len(PEOPLE_IN)])
        world.tracker.take()
    return world


def test_so_many_stays_are_remembered_and_the_oldest_go_first(crowded: Harness) -> None:
    """Strangers' and the others' apart: neither pushes the other out."""
    tracker = crowded.tracker
    assert tracker.figures()["stays_in_memory"] == MOST_REMEMBERED
    held = [
        len(tracker._ledger.stays_of(user, GUILD))
        for user in (FIRST_STRANGER, FIRST_STRANGER + 1, PEOPLE_IN[0], PEOPLE_IN[1])
    ]
    assert held == [0, 1, MOST_REMEMBERED // len(PEOPLE_IN), MOST_REMEMBERED // len(PEOPLE_IN)]


def test_after_two_hours_none_of_them_is_held(crowded: Harness) -> None:
    """Whoever made them."""
    crowded.pass_ms(REMEMBERED_MS + 1)
    crowded.read_consent()
    assert crowded.tracker.figures()["stays_in_memory"] == 0
    everybody = (*PEOPLE_IN, *range(FIRST_STRANGER, FIRST_STRANGER + MOST_REMEMBERED + 1))
    assert not any(crowded.tracker._ledger.stays_of(user, GUILD) for user in everybody)


@pytest.mark.parametrize("first", [0, int(Flags.MUTED)])
def test_no_part_of_a_stay_has_more_of_a_state_than_time(first: int) -> None:
    """However often states changed, and wherever a consent cuts: the parts lie within their length, and add up."""
    history, chance = FlagHistory(0, first), random.Random(1)
    at = 0
    for place in range(4 * MOST_CHANGES):
        at += chance.randrange(1, 20)
        history.change(at, (place + 1) % 2 if chance.random() < 0.9 else int(Flags.MUTED))
    cuts = sorted({0, at, *(chance.randrange(at) for _ in range(500))})
    parts = [(end - start, history.spent(start, end)) for start, end in itertools.pairwise(cuts)]
    assert all(0 <= state <= length for length, spent in parts for state in spent)
    assert sum(spent.muted for _, spent in parts) == history.spent(0, at).muted


# --- what it says of itself ---


def figures(evening: Evening) -> dict[str, float]:
    """The page of figures: what does not stand at nothing."""
    evening.look()
    lines = (line.rpartition(" ") for line in evening.seen[-1].splitlines() if line.startswith("bigbrother_listener_"))
    values = {name.removeprefix("bigbrother_listener_"): float(value) for name, _, value in lines}
    return {name: value for name, value in values.items() if value}


@pytest.fixture
def evening(monkeypatch: pytest.MonkeyPatch) -> Evening:
    """A listener that sees one guild; Ada is in."""
    evening = Evening(monkeypatch)
    evening.identify([GUILD])
    channels = [{"id": str(channel), "type": 2, "name": "Room"} for channel in (DESK, SOFA)]
    evening.tell("GUILD_CREATE", {"id": str(GUILD), "name": "Guild", "channels": channels, "voice_states": []})
    evening.service.write(Harness(service=evening.service).decision(ADA, "in"))
    evening.pass_ms(2 * SECOND)
    return evening


def moves(evening: Evening, user: int, channel: int | None) -> None:
    """The person is in that channel now, as the gateway says it."""
    channel_id = None if channel is None else str(channel)
    evening.tell("VOICE_STATE_UPDATE", {"guild_id": str(GUILD), "user_id": str(user), "channel_id": channel_id})


def test_the_figures_say_what_was_done(evening: Evening) -> None:
    """Each is what happened to people who are in; a row that somebody's hand removed is counted as a difference."""
    before = figures(evening)
    for channel in (DESK, SOFA):
        moves(evening, ADA, channel)
        moves(evening, BOB, channel)
        evening.pass_ms(SECOND)
    seated = figures(evening)
    assert [seated[name] for name in ("open_sessions", "stays_in_memory", "guilds")] == [1, 2, 1]
    assert seated['tracked_total{kind="joined"}'] == seated['tracked_total{kind="switched"}'] * 0.5 == 1
    assert seated['recorded_total{kind="records"}'] > before['recorded_total{kind="records"}']
    evening.service.connection.execute("DELETE FROM voice_sessions WHERE ended_at IS NULL")
    evening.pass_ms(5 * MINUTE)
    assert figures(evening)['drift_total{kind="missing"}'] == 1
    moves(evening, ADA, None)
    evening.pass_ms(SECOND)
    after = figures(evening)
    assert after['tracked_total{kind="left"}'] == 1
    assert "open_sessions" not in after
    assert [row["ended_by"] for row in evening.service.rows("SELECT * FROM voice_sessions ORDER BY started_at")] == [
        "switched",
        "left",
    ]


@pytest.mark.parametrize("refuses", [True, False])
def test_what_could_not_be_written_before_the_end_is_said(evening: Evening, refuses: bool) -> None:
    """How much that was; with a disk that takes it nothing is said."""
    listener = evening.listener
    # A good disk has all the time it needs; the other one is not waited for.
    timing = replace(listener._settings.timing, last_delivery_within=0.1 if refuses else 60.0)
    listener._settings = replace(listener._settings, timing=timing)
    disk = _Refusing(refuses)
    listener._store = disk  # type: ignore[assignment]
    listener._recorder = Recorder(disk, retry_after=0.01)
    listener._recorder.start()
    try:
        moves(evening, ADA, DESK)
        with evening._handler:
            run_through(listener._finish())
    finally:
        disk.refuses = False
    said = [text for _, level, text, _ in evening.log if level == "ERROR" and "are lost" in str(text)]
    assert len(said) == refuses
    assert all(str(text)[0].isdigit() and not str(text).startswith("0") for text in said)


class _Refusing:
    """A disk that takes nothing while `refuses`."""

    def __init__(self, refuses: bool) -> None:
        self.refuses = refuses

    def keep(self, records: Sequence[Record], *, notes: Mapping[str, str | None] | None = None) -> None:
        if self.refuses:
            raise NotKept("disk full")

    def forget(self, user_id: int, *, before: int) -> int:
        return 0

    def stop(self, *, within: float) -> bool:
        return True
