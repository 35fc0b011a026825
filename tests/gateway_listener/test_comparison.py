"""The comparison with the service happens on a busy shard too, and what is on its way is no difference."""

from __future__ import annotations

import itertools

import pytest

from db_client.records import Channel, Guild, VoiceSession
from gateway_listener.outbox import Forget, Note
from gateway_listener.recorder import Recorder
from tests.gateway_listener.evening import Evening, run_through
from tests.gateway_listener.harness import ADA, DESK, GUILD, SOFA, Harness

QUIET = 999
MOVERS = range(1000, 1050)
EVERY, PERIOD = 40, 300_000
"""Milliseconds between two events, and between two comparisons."""


class Busy:
    """A shard on which somebody moves every 40 ms; what is written reaches the service up to 90 ms later."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.evening = evening = Evening(monkeypatch)
        deliver = evening.disk.deliver
        monkeypatch.setattr(evening.disk, "deliver", lambda: None)

        def again() -> None:
            deliver()
            evening.call_later(0.09, again)

        again()
        channels = [{"id": str(channel), "type": 2, "name": f"Room {channel}"} for channel in (DESK, SOFA)]
        evening.identify([GUILD])
        evening.tell("GUILD_CREATE", {"id": str(GUILD), "name": "Study", "channels": channels, "voice_states": []})
        for user in (QUIET, *MOVERS):
            evening.service.write(Harness(service=evening.service).decision(user, "in"))
        evening.pass_ms(1500)
        self.move(QUIET, DESK)
        self._moves = itertools.count()

    def move(self, user: int, channel: int) -> None:
        """Somebody goes to a channel."""
        self.evening.tell(
            "VOICE_STATE_UPDATE", {"guild_id": str(GUILD), "user_id": str(user), "channel_id": str(channel)}
        )

    def until_compared(self) -> None:
        """Time passes to the next comparison; for a second before and after it, all is as busy as can be."""
        evening = self.evening
        evening.pass_ms(PERIOD - evening.now % PERIOD - 1000 if evening.now % PERIOD < PERIOD - 1000 else 0)
        for _ in range(2000 // EVERY):
            number = next(self._moves)
            self.move(MOVERS[number % len(MOVERS)], (DESK, SOFA)[number // len(MOVERS) % 2])
            evening.pass_ms(EVERY)


def test_a_shard_that_is_never_idle_is_compared_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """16 of 20 comparisons were left out at 25 events a second. Nothing differs, and nothing is written for it."""
    busy = Busy(monkeypatch)
    for number in range(1, 6):
        busy.until_compared()
        assert busy.evening.listener._counts["comparisons"] == number
    assert busy.evening.listener._drift == {}
    busy.evening.pass_ms(1000)
    entries = [entry for _, entries, _ in busy.evening.disk.commits for entry in entries]
    assert sum('"kind":"channel"' in entry for entry in entries) == 2
    assert sum('"kind":"guild"' in entry for entry in entries) == 1


def test_what_differs_is_put_right_while_others_move(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody's session and a channel's name are gone from the service, by whatever hand."""
    busy = Busy(monkeypatch)
    busy.until_compared()
    service = busy.evening.service
    (before,) = service.rows("SELECT * FROM voice_sessions WHERE user_id = :user", user=QUIET)
    service.rows("DELETE FROM voice_sessions WHERE user_id = :user", user=QUIET)
    service.rows("DELETE FROM channels WHERE channel_id = :channel", channel=DESK)
    busy.until_compared()
    assert busy.evening.listener._drift == {"missing": 1}
    (after,) = service.rows("SELECT * FROM voice_sessions WHERE user_id = :user", user=QUIET)
    assert {**after, "revision": 0} == {**before, "revision": 0}
    assert [row["name"] for row in service.rows("SELECT name FROM channels ORDER BY 1")] == ["Room 101", "Room 102"]


def test_what_is_on_its_way_is_no_difference() -> None:
    """Neither sessions nor names: of what the service does not have yet nothing is written again."""
    world = Harness()
    world.connect({GUILD: {}})
    world.opt_in(ADA)
    world.delivering = False
    world.state(ADA, DESK)
    waits = list(world.queue)
    assert [type(record) for record in waits] == [VoiceSession, Guild, Channel]
    assert world.compare() == {}
    assert world.queue == waits
    world.delivering = True
    world.deliver()
    world.delivering = False
    world.pass_ms(1000)
    world.state(ADA, None)
    waits = list(world.queue)
    assert world.compare() == {}
    assert world.queue == waits


def test_a_decision_that_was_not_read_yet_is_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service has ended the session by it, and the listener reads it within a second."""
    busy = Busy(monkeypatch)
    evening = busy.evening
    evening.pass_ms(PERIOD - evening.now % PERIOD - 1)
    evening.service.write(Harness(service=evening.service).decision(QUIET, "out", evening.now))
    run_through(evening.listener._compare())
    assert evening.listener._counts["comparisons"] == 1
    evening.pass_ms(2000)
    assert evening.listener._drift == {}


def test_who_is_erased_while_the_comparison_is_under_way_is_not_taken_over_again() -> None:
    """The session was read before it went."""
    world = Harness()
    world.connect({GUILD: {}})
    world.opt_in(ADA)
    world.state(ADA, DESK)
    (session,) = world.tracker._ledger.stays_of(ADA, GUILD)[0].recorded
    mark = world.tracker.revision
    world.pass_ms(10)
    world.erase(ADA)
    assert world.tracker.compare([session], mark, world.now) == {}
    assert world.tracker.take() == []


def test_the_recorder_knows_whom_it_has_not_written_yet() -> None:
    """Its thread has not begun: all is in memory."""
    recorder = Recorder(None)  # type: ignore[arg-type]
    recorder.hand_over([Guild(GUILD, "Study", None, 1), Forget(ADA), Note("key", "value")], None)
    assert recorder.subjects() == ({ADA}, {f"guild:{GUILD}"})
