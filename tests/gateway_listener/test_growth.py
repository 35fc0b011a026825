"""What an event costs does not depend on what was before it: work is counted in steps of the interpreter."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from db_client.records import ChannelRecording, Record
from db_client.statements import Statement
from gateway_listener import frames
from gateway_listener.consent import Consents, Decision
from gateway_listener.frames import ChannelInfo
from gateway_listener.outbox import Item
from gateway_listener.recording import ChannelDecision, Hole
from tests.gateway_listener.evening import Evening
from tests.gateway_listener.harness import ADA, AFK, BOB, DESK, GUILD, NOON, SOFA, Harness

SECOND = 1000
Act = Callable[[], object]


def steps(act: Act) -> int:
    """How many instructions of Python `act` runs."""
    done = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal done
        frame.f_trace_opcodes = True
        done += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        act()
    finally:
        sys.settrace(before)
    return done


class World(Harness):
    """A listener whose items are dropped as they come; `of` counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[Item] = []
        self._decided = 0
        self.connect({GUILD: {}})
        self.decided(ADA, "in")

    def _settle(self, *more: Any) -> None:
        if hasattr(self, "items"):
            self.items += self.tracker.take()

    def decided(self, user: int, decision: str) -> None:
        """The listener reads a decision that was made now."""
        self._decided += 1
        self.tracker.decide([Decision(self._decided, user, decision, self.now)], (), self.now)
        self._settle()

    def erased(self, user: int) -> None:
        """The listener reads an erasure that was made now."""
        self._decided += 1
        self.tracker.decide([Decision(self._decided, user, "erase", self.now)], {user}, self.now)
        self._settle()

    def excluded(self, channel: int, hole: Hole) -> None:
        """The listener reads what was decided about a channel now."""
        self._decided += 1
        self.tracker.decide_recording([ChannelDecision(channel, GUILD, self._decided, hole)], self.now)
        self._settle()

    def toggled(self, times: int) -> None:
        """Ada goes out and in, once a second."""
        for number in range(2 * times):
            self.pass_ms(SECOND)
            self.decided(ADA, "in" if number % 2 else "out")

    def moved(self, times: int, user: int = ADA) -> None:
        """Somebody moves between two rooms, once a second."""
        for number in range(2 * times):
            self.pass_ms(SECOND)
            self.state(user, SOFA if number % 2 else DESK)

    def closed(self, times: int) -> None:
        """The desk is not to be recorded, and is again, once a second."""
        for _ in range(times):
            closed = self.pass_ms(SECOND)
            self.excluded(DESK, Hole(closed, None))
            self.excluded(DESK, Hole(closed, self.pass_ms(SECOND)))

    def next(self) -> int:
        """The next second."""
        return self.pass_ms(SECOND)


def a_decision_after_many(world: World, past: int) -> Act:
    """In one stay that goes on."""
    world.state(ADA, DESK)
    world.toggled(past)
    world.next()
    return lambda: (world.decided(ADA, "out"), world.decided(ADA, "in"))


def a_mute_after_many_decisions(world: World, past: int) -> Act:
    """The stay has many sessions."""
    world.state(ADA, DESK)
    world.toggled(past)
    world.next()
    return lambda: world.state(ADA, DESK, flags=1)


def a_switch_after_many_decisions(world: World, past: int) -> Act:
    """The stay has many sessions."""
    world.state(ADA, DESK)
    world.toggled(past)
    world.next()
    return lambda: world.state(ADA, SOFA)


def a_decision_after_many_stays(world: World, past: int) -> Act:
    """Of one person, within two hours."""
    world.moved(past)
    world.next()
    return lambda: (world.decided(ADA, "out"), world.decided(ADA, "in"))


def a_switch_after_many_stays(world: World, past: int) -> Act:
    """Of one person, within two hours."""
    world.moved(past)
    world.next()
    return lambda: world.state(ADA, DESK)


def a_stay_that_is_forgotten(world: World, past: int) -> Act:
    """The oldest of many of one person."""
    world.moved(past)
    world.now = NOON + SECOND * 2 + 2 * 60 * 60 * SECOND + 1
    return world.ack


def a_second_erasure(world: World, past: int) -> Act:
    """The first has taken many stays along."""
    world.moved(past)
    world.erased(ADA)
    world.next()
    world.decided(ADA, "in")
    world.next()
    return lambda: world.erased(ADA)


def a_decision_about_a_channel(world: World, past: int) -> Act:
    """In which somebody was often, before an earlier decision, and others are elsewhere."""
    world.moved(past)
    world.decided(BOB, "in")
    world.closed(1)
    world.moved(1, BOB)
    closed = world.next()
    world.excluded(DESK, Hole(closed, None))
    return lambda: world.excluded(DESK, Hole(closed, world.next()))


def a_mute_in_a_channel_after_many_decisions(world: World, past: int) -> Act:
    """All of which cut the stay."""
    world.state(ADA, DESK)
    world.closed(past)
    world.next()
    return lambda: world.state(ADA, DESK, flags=1)


def a_channel_event(world: World, past: int) -> Act:
    """In a server of many channels."""
    channels = tuple(ChannelInfo(1000 + number, "Room", 2) for number in range(past))
    world.see(frames.RollCall(GUILD, "Study room", None, channels, ()))
    world.next()
    world.see(frames.ChannelChanged(GUILD, ChannelInfo(DESK, "Desk", 2)))
    return lambda: (
        world.see(frames.ChannelChanged(GUILD, ChannelInfo(DESK, "Long desk", 2))),
        world.see(frames.ChannelDeleted(GUILD, DESK)),
    )


def what_does_not_concern_others(world: World, past: int) -> Act:
    """Decisions, and a channel that goes, while many others are in voice, or were."""
    world.state(ADA, DESK)
    for user in range(1000, 1000 + past):
        world.decided(user, "in")
        world.state(user, SOFA, guild=1 << 31)
        world.state(user + past, SOFA, guild=1 << 31)
        world.next()
        world.state(user + past, None, guild=1 << 31)
    world.next()
    world.closed(1)
    closed = world.next()
    return lambda: (
        world.decided(ADA, "out"),
        world.excluded(DESK, Hole(closed, None)),
        world.see(frames.ChannelDeleted(GUILD, SOFA)),
    )


@pytest.mark.parametrize(
    "scene",
    [
        a_decision_after_many,
        a_mute_after_many_decisions,
        a_switch_after_many_decisions,
        a_decision_after_many_stays,
        a_switch_after_many_stays,
        a_stay_that_is_forgotten,
        a_second_erasure,
        a_decision_about_a_channel,
        a_mute_in_a_channel_after_many_decisions,
        a_channel_event,
        what_does_not_concern_others,
    ],
)
def test_what_an_event_costs_does_not_grow_with_the_past(scene: Callable[[World, int], Act]) -> None:
    """Ten times the past, and the same work; and as many records."""

    def cost(past: int) -> tuple[int, int]:
        world = World()
        act = scene(world, past)
        world.items.clear()
        done = steps(act)
        return done, sum(isinstance(item, Record) for item in world.items)

    (few, little), (many, much) = cost(20), cost(200)
    assert much == little
    assert many < few * 1.5, (few, many)


@pytest.mark.parametrize("times", [40, 200])
def test_who_toggles_consent_while_in_voice_is_written_once_for_each_decision(times: int) -> None:
    """Every session of the stay was written again, and the name of its channel: 1,760 records for 41 rows."""
    world = World()
    world.state(ADA, DESK)
    world.items.clear()
    world.toggled(times)
    assert sum(isinstance(item, Record) for item in world.items) <= 2 * times


def test_who_opts_out_after_many_stays_writes_the_last_one_only() -> None:
    """Those that were over before it are as they were."""
    world = World()
    world.moved(100)
    world.items.clear()
    world.decided(ADA, "out")
    assert sum(isinstance(item, Record) for item in world.items) == 1


class Counted(Decision):
    """A decision that takes steps to be compared."""

    def __eq__(self, other: object) -> bool:
        return tuple(self) == other

    def __lt__(self, other: tuple[object, ...]) -> bool:
        return tuple(self) < other

    __hash__ = Decision.__hash__


@pytest.mark.parametrize("at_once", [True, False], ids=["at the start", "one by one"])
def test_the_decisions_of_one_person_cost_the_same_each(at_once: bool) -> None:
    """30,000 took half a minute, at each start."""

    def cost(count: int) -> int:
        made = [Counted(place + 1, ADA, ("in", "out")[place % 2], NOON + place) for place in range(count)]
        consents = Consents()

        def hear() -> None:
            for part in [made] if at_once else [[decision] for decision in made]:
                consents.add(part)

        done = steps(hear)
        assert len(consents.of(ADA)) == count / 2
        return done

    few, many = cost(100), cost(1000)
    assert many < 15 * few, (few, many)


def test_each_look_at_the_channels_goes_back_a_day_and_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one of a run is at all of them; of two days old decisions none is read again, and a late one is."""
    evening = Evening(monkeypatch)
    read: list[list[int]] = []
    query = evening.disk.query

    def reads(*statements: Statement, within: float) -> list[list[dict[str, Any]]]:
        answers = query(*statements, within=within)
        looks = [rows for one, rows in zip(statements, answers, strict=True) if "unrecorded_channels" in one.sql]
        read.extend(sorted(row["channel_id"] for row in rows) for rows in looks)
        return answers

    monkeypatch.setattr(evening.disk, "query", reads)

    def decided(channel: int, hours_ago: int) -> None:
        interaction = evening.service.interaction(evening.now - hours_ago * 60 * 60 * 1000)
        evening.service.write(ChannelRecording(interaction, GUILD, channel, recorded=False))

    decided(SOFA, 48)
    decided(DESK, 0)
    evening.pass_ms(3000)
    decided(AFK, 23)
    evening.pass_ms(1000)
    assert read == [[DESK, SOFA], [DESK], [DESK], [DESK, AFK]]
