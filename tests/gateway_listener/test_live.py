"""What is seen live is stored to the millisecond, and only of those who said so."""

from __future__ import annotations

import json

import pytest

from db_client.records import Flags
from tests.gateway_listener.harness import ADA, AFK, BOB, BOT, CAT, DESK, GUILD, NOON, SOFA, Harness


@pytest.fixture
def world() -> Harness:
    """A guild that is seen, with nobody in it."""
    world = Harness()
    world.connect({GUILD: {}})
    return world


def test_join_switch_and_leave(world: Harness) -> None:
    """A switch ends one session and starts the next at the same moment."""
    world.opt_in(ADA)
    world.pass_ms(100)
    world.state(ADA, DESK)
    world.pass_ms(100)
    world.state(ADA, SOFA)
    world.pass_ms(100)
    world.state(ADA, None)
    assert world.times(ADA) == [(DESK, 100, 200, "joined", "switched"), (SOFA, 200, 300, "switched", "left")]
    assert all(row["started_within_ms"] == row["ended_within_ms"] == 0 for row in world.rows())


def test_nothing_about_a_person_without_consent_leaves_memory(world: Harness) -> None:
    """No record, no note, nothing in the service."""
    world.delivering = False
    world.state(BOB, DESK)
    world.pass_ms(100)
    world.state(BOB, SOFA, flags=3)
    world.opt_out(BOB)
    world.state(BOB, None)
    assert not [record for record in world.queue if record.person == BOB]
    assert not [key for key, value in world.notes.items() if str(BOB) in key or str(BOB) in value]


def test_opt_in_while_in_voice_starts_at_that_moment(world: Harness) -> None:
    """Not earlier, however long the person has been there."""
    world.state(ADA, DESK)
    world.pass_ms(500)
    world.opt_in(ADA)
    world.pass_ms(500)
    world.state(ADA, None)
    assert world.times(ADA) == [(DESK, 500, 1000, "opted_in", "left")]


def test_opt_out_while_in_voice_ends_at_that_moment(world: Harness) -> None:
    """And opting in again within the second opens a new session."""
    world.opt_in(ADA)
    world.state(ADA, DESK)
    world.pass_ms(500)
    world.opt_out(ADA)
    world.pass_ms(300)
    world.opt_in(ADA)
    world.pass_ms(200)
    world.state(ADA, None)
    assert world.times(ADA) == [(DESK, 0, 500, "joined", "opted_out"), (DESK, 800, 1000, "opted_in", "left")]


def test_a_decision_that_took_an_hour(world: Harness) -> None:
    """The session starts when the decision was made, for the person was seen in voice since."""
    world.state(ADA, DESK)
    decided_at = world.pass_ms(1000)
    world.pass_ms(1_800_000)
    world.state(ADA, SOFA)
    world.pass_ms(1_800_000)
    world.opt_in(ADA, decided_at)
    assert world.times(ADA) == [
        (DESK, 1000, 1_801_000, "opted_in", "switched"),
        (SOFA, 1_801_000, None, "switched", None),
    ]


def test_erasure_removes_rows_queue_and_notes(world: Harness) -> None:
    """And what comes after a new consent is recorded again, in the same stay."""
    world.opt_in(ADA)
    world.state(ADA, DESK)
    world.pass_ms(100)
    world.delivering = False
    world.state(ADA, DESK, flags=1)
    assert world.queue
    world.erase(ADA)
    assert world.queue == []
    assert world.forgotten == [ADA]
    assert not [key for key, value in world.notes.items() if str(ADA) in key or f'"user_id":{ADA}' in value]
    world.delivering = True
    world.pass_ms(100)
    assert world.rows() == []
    world.opt_in(ADA)
    world.pass_ms(100)
    world.state(ADA, None)
    assert world.times(ADA) == [(DESK, 200, 300, "opted_in", "left")]


def test_what_was_on_its_way_over_an_erasure_gives_way_to_the_new_consent(world: Harness) -> None:
    """It arrives after both, and stands under its old id until the listener has heard of them."""
    world.opt_in(ADA)
    world.delivering = False
    world.state(ADA, DESK)
    on_its_way = list(world.queue)
    for decision in ("erase", "in"):
        world.pass_ms(100)
        world.service.write(world.decision(ADA, decision))
    for record in on_its_way:
        world.service.write(record)
    world.follow()
    world.delivering = True
    world.pass_ms(100)
    world.state(ADA, None)
    assert world.times(ADA) == [(DESK, 200, 300, "opted_in", "left")]


def test_a_late_erasure_leaves_what_came_after_it(world: Harness) -> None:
    """The queue is emptied of the person; the session of the newer consent is written again."""
    erased_at = world.pass_ms(100)
    world.pass_ms(100)
    world.opt_in(ADA)
    world.delivering = False
    world.state(ADA, DESK)
    world.erase(ADA, erased_at)
    world.delivering = True
    world.pass_ms(100)
    world.state(ADA, None)
    assert world.times(ADA) == [(DESK, 200, 300, "joined", "left")]


def test_the_four_durations(world: Harness) -> None:
    """Muted, deafened, video and stream, each to the millisecond, whoever comes and goes."""
    world.opt_in(ADA)
    world.state(ADA, DESK, flags=int(Flags.MUTED))
    world.pass_ms(100)
    world.state(BOB, DESK)
    world.pass_ms(100)
    world.state(ADA, DESK, flags=int(Flags.MUTED | Flags.DEAFENED))
    world.pass_ms(100)
    world.state(ADA, DESK, flags=int(Flags.VIDEO | Flags.STREAM))
    world.pass_ms(100)
    world.state(BOB, None)
    world.pass_ms(100)
    world.state(ADA, None)
    (row,) = world.rows(ADA)
    sums = {name: row[f"{name}_ms"] for name in ("muted", "deafened", "video", "stream")}
    assert sums == {"muted": 300, "deafened": 100, "video": 200, "stream": 200}


def test_an_open_session_says_what_holds_since_when(world: Harness) -> None:
    """So that a report can count a running session's durations up to now."""
    world.opt_in(ADA)
    world.state(ADA, DESK, flags=int(Flags.MUTED))
    world.pass_ms(100)
    world.state(ADA, DESK, flags=int(Flags.MUTED | Flags.DEAFENED))
    world.pass_ms(100)
    world.state(CAT, DESK)
    (row,) = world.rows(ADA)
    assert (row["flags"], row["flags_at"] - NOON, row["deafened_ms"], row["muted_ms"]) == (3, 100, 0, 100)


def test_durations_of_the_parts_add_up(world: Harness) -> None:
    """A session that consent cut in two has in each part what was spent there."""
    world.opt_in(ADA)
    world.state(ADA, DESK, flags=int(Flags.MUTED))
    world.pass_ms(100)
    world.opt_out(ADA)
    world.pass_ms(50)
    world.state(ADA, DESK)
    world.opt_in(ADA)
    world.pass_ms(100)
    world.state(ADA, DESK, flags=int(Flags.MUTED))
    world.pass_ms(30)
    world.state(ADA, None)
    assert [row["muted_ms"] for row in world.rows(ADA)] == [100, 30]


def test_a_bot_is_nowhere(world: Harness) -> None:
    """Found out late, because its `member` was missing at first, it leaves at that moment; nothing of it stays."""

    def told(channel: int, **member: object) -> None:
        data = {"guild_id": str(GUILD), "user_id": str(BOT), "channel_id": str(channel), **member}
        world.text(json.dumps({"t": "VOICE_STATE_UPDATE", "s": None, "op": 0, "d": data}))

    bot = {"member": {"user": {"id": str(BOT), "bot": True}}}
    told(DESK)
    world.pass_ms(100)
    told(DESK, **bot)
    world.pass_ms(100)
    world.opt_in(BOT)
    told(SOFA, **bot)
    assert world.rows() == []
    assert world.tracker.figures()["stays_in_memory"] == 0
    told(SOFA)
    world.pass_ms(100)
    told(SOFA, **bot)
    assert world.times(BOT) == [(SOFA, 200, 300, "joined", "left")]


def test_the_afk_channel_is_stored_as_such(world: Harness) -> None:
    """Totals leave it out; the row says that it is."""
    world.opt_in(ADA)
    world.state(ADA, AFK)
    world.state(ADA, DESK)
    assert sorted((row["channel_id"], row["afk"]) for row in world.rows()) == [(DESK, 0), (AFK, 1)]


def test_the_same_state_again_is_no_news(world: Harness) -> None:
    """Duplicates write nothing."""
    world.opt_in(ADA)
    world.state(ADA, DESK)
    revision = world.tracker.revision
    world.pass_ms(100)
    world.state(ADA, DESK)
    world.state(BOB, None)
    assert world.tracker.revision == revision


def test_two_guilds_are_two_seats(world: Harness) -> None:
    """What happens in one guild does not touch the other."""
    other = GUILD * 3
    world.roll_call(other, {})
    world.opt_in(ADA)
    world.state(ADA, DESK)
    world.pass_ms(100)
    world.state(ADA, 7, guild=other)
    world.pass_ms(100)
    world.state(ADA, None)
    assert world.times(ADA) == [(DESK, 0, 200, "joined", "left"), (7, 100, None, "joined", None)]


def test_a_deleted_channel_is_empty(world: Harness) -> None:
    """Even if Discord does not say so person by person."""
    from gateway_listener.frames import ChannelDeleted

    world.opt_in(ADA)
    world.state(ADA, DESK)
    world.pass_ms(100)
    world.see(ChannelDeleted(GUILD, DESK))
    assert world.times(ADA) == [(DESK, 0, 100, "joined", "left")]
    (channel,) = world.service.rows("SELECT * FROM channels WHERE channel_id = :id", id=DESK)
    assert (channel["name"], channel["deleted_at"]) == ("Desk", NOON + 100)


def test_a_person_is_on_one_seat_at_a_time(world: Harness) -> None:
    """After any number of moves there is at most one open session, and none overlap."""
    world.opt_in(ADA)
    for place in range(20):
        world.state(ADA, DESK if place % 2 else SOFA)
        world.pass_ms(10)
    times = world.times(ADA)
    assert [end for _, _, end, _, _ in times][:-1] == [start for _, start, _, _, _ in times][1:]
    assert times[-1][2] is None


def test_a_clock_that_runs_back_is_not_followed(world: Harness) -> None:
    """Times never run backwards, so nothing ends before it began."""
    world.opt_in(ADA)
    world.state(ADA, DESK)
    world.pass_ms(-5000)
    world.state(ADA, SOFA)
    world.pass_ms(6000)
    world.state(ADA, None)
    assert world.times(ADA) == [(DESK, 0, 0, "joined", "switched"), (SOFA, 0, 1000, "switched", "left")]
