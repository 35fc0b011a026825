"""A listener that lives longer than its limits: what is over is forgotten when its time has come, and nothing else."""

from __future__ import annotations

import itertools

import pytest

from gateway_listener import frames
from gateway_listener.consent import Decision
from gateway_listener.edge import Edge
from gateway_listener.flags import FlagHistory
from gateway_listener.ledger import Ledger
from gateway_listener.stays import REMEMBERED_MS, Stay
from tests.gateway_listener.evening import Evening
from tests.gateway_listener.harness import ADA, BOB, CAT, DESK, GUILD, NOON, SOFA, Harness

HOUR = 60 * 60 * 1000


@pytest.fixture
def world() -> Harness:
    """Ada and Bob, who are in, at the desk."""
    world = Harness()
    world.connect({GUILD: {}})
    for user in (ADA, BOB):
        world.opt_in(user)
        world.state(user, DESK)
    return world


def test_stays_are_held_for_two_hours_after_their_end(world: Harness) -> None:
    """Counted while they are; a stay that goes on is held however long it is, and a decision still ends it."""
    assert world.tracker.figures() == {"guilds": 1, "unseen_guilds": 0, "stays_in_memory": 2, "open_sessions": 2}
    world.pass_ms(1000)
    world.state(ADA, None)
    left_at = world.now
    assert world.tracker.figures()["open_sessions"] == 1
    world.pass_ms(REMEMBERED_MS)
    world.read_consent()
    assert world.tracker.figures()["stays_in_memory"] == 2
    world.pass_ms(1)
    world.ack()
    assert world.tracker.figures()["stays_in_memory"] == 2, "a decision from before may still wait to be read"
    world.read_consent()
    assert world.tracker.figures() == {"guilds": 1, "unseen_guilds": 0, "stays_in_memory": 1, "open_sessions": 1}
    world.pass_ms(3 * HOUR)
    world.opt_out(BOB)
    assert world.times(BOB) == [(DESK, 0, world.now - NOON, "joined", "opted_out")]
    assert world.times(ADA) == [(DESK, 0, left_at - NOON, "joined", "left")]


def test_beginnings_and_ends_are_counted_by_what_they_came_of(world: Harness) -> None:
    """Of people who are in; a stranger's are not."""
    for user in (ADA, CAT):
        for channel in (SOFA, DESK, None):
            world.state(user, channel)
    world.roll_call(GUILD, {ADA: DESK})
    kinds = ("joined", "switched", "left", "roll_call")
    assert [world.tracker.counts[kind] for kind in kinds] == [2, 4, 1, 2]


def test_who_is_there_for_hours_before_opting_in_is_recorded_from_then(world: Harness) -> None:
    """A stay that goes on is not forgotten, recorded or not."""
    world.state(CAT, SOFA)
    for _ in range(5):
        world.pass_ms(HOUR)
        world.state(ADA, SOFA)
        world.state(ADA, DESK)
    world.opt_in(CAT)
    assert world.times(CAT) == [(SOFA, 5 * HOUR, None, "opted_in", None)]


def test_strangers_push_nobody_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many ended stays of people concerned are held, and as many others."""
    most = 300
    monkeypatch.setattr("gateway_listener.ledger.MOST_REMEMBERED", most)
    ids = itertools.count()
    ledger = Ledger(lambda: str(next(ids)))
    ledger.start_recording(NOON)
    ledger.decide([Decision(1, ADA, "in", NOON)], [], NOON, complete=True)

    def comes_and_goes(user: int, at: int) -> None:
        stay = Stay("", GUILD, DESK, user, at, "joined", at, False, FlagHistory(at, 0))
        ledger.enter(stay, at)
        stay.end(Edge(at + 1, at + 1, at + 1), "left")
        ledger.ended(stay, at + 1)

    comes_and_goes(ADA, NOON)
    for user in range(1000, 1001 + most):
        comes_and_goes(user, NOON)
    assert len(ledger.stays_of(ADA, GUILD)) == 1
    assert [len(ledger.stays_of(user, GUILD)) for user in (1000, 1001)] == [0, 1]
    for place in range(most):
        comes_and_goes(ADA, NOON + 1 + place)
    stays = ledger.stays_of(ADA, GUILD)
    assert (len(stays), stays[0].started_at) == (most, NOON + 1)


@pytest.mark.parametrize("user", [ADA, CAT])
def test_a_mistake_of_ours_costs_a_fresh_session(monkeypatch: pytest.MonkeyPatch, user: int) -> None:
    """It is counted and said where it is, without a word about whom, and its guild is unseen until the next roll call,
    which is asked for; a stranger's frame changes nothing and is not mentioned."""
    evening = Evening(monkeypatch)
    evening.identify([GUILD])
    evening.tell("GUILD_CREATE", {"id": str(GUILD), "name": "Study room", "channels": [], "voice_states": []})
    evening.service.write(Harness(service=evening.service).decision(ADA, "in"))
    evening.pass_ms(1500)

    def mistaken(state: frames.VoiceState, now: int) -> None:
        raise ZeroDivisionError(f"somebody is {state.user_id}")

    handlers = evening.listener._tracker._handlers
    right = handlers[frames.VoiceState]
    joins = {"guild_id": str(GUILD), "user_id": str(user), "channel_id": str(DESK)}
    handlers[frames.VoiceState] = mistaken
    evening.tell("VOICE_STATE_UPDATE", joins)
    handlers[frames.VoiceState] = right
    said = [line for line in evening.log if line[1] == "ERROR"]
    if user == CAT:
        assert said == []
    else:
        ((_, _, text, more),) = said
        assert "could not be followed" in str(text)
        assert "mistaken" in str(more)
        assert "somebody" not in str(more)
    assert evening.listener._counts["failed"] == len(said)
    assert evening.listener._tracker.figures()["unseen_guilds"] == len(said)
    assert (evening.connection._renewal is not None) is (user == ADA)
    if user == ADA:
        evening.hang_up()
        evening.identify([GUILD])
        state = {**joins, "user_id": str(ADA)}
        evening.tell("GUILD_CREATE", {"id": str(GUILD), "name": "Study room", "channels": [], "voice_states": [state]})
        evening.pass_ms(1500)
        assert [row["user_id"] for row in evening.rows()["voice_sessions"]] == [ADA]
    evening.tell("VOICE_STATE_UPDATE", {**joins, "user_id": str(ADA)})
    assert evening.listener._tracker.figures()["open_sessions"] == 1


def test_a_frame_of_somebody_who_is_in_that_cannot_be_read_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its guild is unseen until the next roll call, which is asked for; a stranger's, or nobody's, changes nothing."""
    evening = Evening(monkeypatch)
    evening.identify([GUILD, GUILD + 1])
    for guild in (GUILD, GUILD + 1):
        evening.tell("GUILD_CREATE", {"id": str(guild), "name": "Room", "channels": [], "voice_states": []})
    evening.service.write(Harness(service=evening.service).decision(ADA, "in"))
    evening.pass_ms(1500)
    figures = evening.listener._tracker.figures
    for user in (str(CAT), "nobody"):
        evening.tell("VOICE_STATE_UPDATE", {"guild_id": str(GUILD), "user_id": user, "channel_id": "nowhere"})
    assert (figures()["unseen_guilds"], evening.connection._renewal) == (0, None)
    evening.tell("VOICE_STATE_UPDATE", {"guild_id": str(GUILD), "user_id": str(ADA), "channel_id": "nowhere"})
    assert figures()["unseen_guilds"] == 1
    evening.tell("VOICE_STATE_UPDATE", {"guild_id": "nowhere", "user_id": str(ADA), "channel_id": "nowhere"})
    assert figures()["unseen_guilds"] == 2
    assert evening.connection._renewal == "a frame could not be read"


def test_a_comparison_that_cannot_be_read_concludes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does one that breaks off among the names."""
    evening = Evening(monkeypatch)
    evening.identify([GUILD])
    channels = [{"id": str(DESK), "type": 2, "name": "Desk"}]
    evening.tell("GUILD_CREATE", {"id": str(GUILD), "name": "Room", "channels": channels, "voice_states": []})
    evening.service.write(Harness(service=evening.service).decision(ADA, "in"))
    evening.pass_ms(1500)
    evening.tell("VOICE_STATE_UPDATE", {"guild_id": str(GUILD), "user_id": str(ADA), "channel_id": str(DESK)})
    query, asked = evening.disk.query, itertools.count()

    def breaks_off(*statements, within):  # type: ignore[no-untyped-def]
        evening.disk.up = not ("FROM channels" in statements[0].sql or next(asked) % 3 == 2)
        try:
            return query(*statements, within=within)
        finally:
            evening.disk.up = True

    monkeypatch.setattr(evening.disk, "query", breaks_off)
    commits = len(evening.disk.commits)
    evening.pass_ms(1_000_000)
    written = [entry for commit in evening.disk.commits[commits:] for entry in commit[1]]
    assert all('"kind":"watermark"' in entry for entry in written)
    monkeypatch.undo()
    assert [row["name"] for row in evening.service.rows("SELECT name FROM channels")] == ["Desk"]
