"""A channel's name may be somebody's: it is told when something is recorded there, and goes with its last session."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from db_client import reading_statements
from db_client.records import Channel, ChannelRecording, Guild, Retraction, VoiceSession
from gateway_listener import frames
from gateway_listener.notes import remembered
from gateway_listener.reading import session_of
from tests.gateway_listener.harness import ADA, BOB, CAT, DESK, GUILD, NOON, SOFA, Harness

ROOM = 900
NAME = "Dorabella's room"


@pytest.fixture
def world() -> Harness:
    """A guild that is seen, with nobody in it; Ada is in."""
    world = Harness()
    world.connect({GUILD: {}})
    world.opt_in(ADA)
    return world


def channels(world: Harness) -> dict[int, tuple[str, bool]]:
    """What the service has: by id, name and whether it is marked deleted."""
    rows = world.service.rows("SELECT * FROM channels ORDER BY channel_id")
    return {row["channel_id"]: (row["name"], row["deleted_at"] is not None) for row in rows}


def made(channel: int, name: str, kind: int = 2) -> frames.ChannelChanged:
    return frames.ChannelChanged(GUILD, frames.ChannelInfo(channel, name, kind))


def renamed(world: Harness, channel: int, name: str, kind: int = 2) -> None:
    world.pass_ms(10)
    world.see(made(channel, name, kind))


# --- when a name is told ---


def test_the_name_follows_the_first_session_recorded_there(world: Harness) -> None:
    """In the same batch, right behind it, with the guild's; nothing of any other channel."""
    world.delivering = False
    world.state(ADA, DESK)
    assert [type(record) for record in world.queue] == [VoiceSession, Guild, Channel]
    world.pass_ms(10)
    world.state(ADA, DESK, flags=1)
    world.pass_ms(10)
    world.state(ADA, SOFA)
    assert [record.name for record in world.queue if isinstance(record, Channel)] == ["Desk", "Sofa"]
    world.delivering = True
    world.deliver()
    assert channels(world) == {DESK: ("Desk", False), SOFA: ("Sofa", False)}


def test_what_a_known_channel_is_called_by_now_is_told_at_once(world: Harness) -> None:
    """Its name, its kind, that it is gone; of the others nothing."""
    world.state(ADA, DESK)
    renamed(world, DESK, "Long desk")
    renamed(world, SOFA, "Long sofa")
    assert channels(world) == {DESK: ("Long desk", False)}
    renamed(world, DESK, "Long desk", kind=13)
    assert [row["kind"] for row in world.service.rows("SELECT kind FROM channels")] == [13]
    revision = world.tracker.revision
    renamed(world, DESK, "Long desk", kind=13)
    assert world.tracker.revision == revision
    world.state(ADA, None)
    world.see(frames.ChannelDeleted(GUILD, DESK))
    world.see(frames.ChannelDeleted(GUILD, SOFA))
    assert channels(world) == {DESK: ("Long desk", True)}


def test_a_channel_whose_name_comes_later(world: Harness) -> None:
    """Recorded in a channel that no snapshot named: its name is told when it is said, once."""
    world.state(ADA, ROOM)
    assert channels(world) == {}
    renamed(world, ROOM, "Attic")
    assert channels(world) == {ROOM: ("Attic", False)}
    revision = world.tracker.revision
    renamed(world, ROOM, "Attic")
    assert world.tracker.revision == revision


def test_a_visit_to_a_channel_that_is_deleted_at_once(world: Harness) -> None:
    """All of it in one batch: the name is told while it is known."""
    for content in (
        frames.VoiceState(GUILD, ADA, DESK, 0),
        frames.VoiceState(GUILD, ADA, None, 0),
        frames.ChannelDeleted(GUILD, DESK),
    ):
        world.tracker.see(frames.Frame(content, next(world._sequence)), world.pass_ms(5))
    world.hand_over()
    assert channels(world) == {DESK: ("Desk", True)}


# --- strangers' rooms ---


def visits(world: Harness) -> None:
    """Bob is in somewhere, Cat makes a room of her own, and leaves it; then it is gone."""
    world.pass_ms(10)
    world.see(made(ROOM, NAME))
    world.state(CAT, ROOM)
    renamed(world, ROOM, f"{NAME}, again")
    world.state(ADA, DESK)
    world.pass_ms(10)
    world.state(CAT, None)
    world.state(ADA, None)


def snapshot_with_the_room(world: Harness) -> None:
    infos = tuple(frames.ChannelInfo(i, n, 2) for i, n in ((DESK, "Desk"), (SOFA, "Sofa"), (ROOM, NAME)))
    world.see(frames.RollCall(GUILD, "Study room", None, infos, (frames.VoiceState(GUILD, CAT, ROOM, 0),)))


def restart(world: Harness) -> None:
    world.restart()
    world.hello()
    world.ready(GUILD)
    snapshot_with_the_room(world)


def new_disk(world: Harness) -> None:
    world.share()
    world.new_disk()
    world.read_baseline()
    world.hello()
    world.ready(GUILD)
    snapshot_with_the_room(world)


def consent_comes_and_goes(world: Harness) -> None:
    """Of somebody who was in the room before, and is not there any more."""
    world.opt_in(CAT)
    world.state(CAT, SOFA)
    world.opt_out(CAT)
    world.state(CAT, ROOM)


WHAT_HAPPENS = {
    "a roll call": snapshot_with_the_room,
    "the room is deleted": lambda world: world.see(frames.ChannelDeleted(GUILD, ROOM)),
    "a restart": restart,
    "a new disk": new_disk,
    "a consent that comes and goes": consent_comes_and_goes,
    "the bot leaves": lambda world: world.see(frames.GuildGone(GUILD)),
    "a comparison": lambda world: world.compare(),
}


@pytest.mark.parametrize("delivering", [True, False])
@pytest.mark.parametrize(("first", "then"), list(itertools.permutations(WHAT_HAPPENS, 2)))
def test_a_room_that_only_strangers_used(world: Harness, first: str, then: str, delivering: bool) -> None:
    """Its name is in no entry, no note and no row."""
    world.delivering = delivering
    for what in (first, then):
        visits(world)
        WHAT_HAPPENS[what](world)
        waiting = [record.to_json() for record in world.queue]
        kept = json.dumps([waiting, world.notes, world.service.rows("SELECT * FROM channels")])
        assert "Dorabella" not in kept


@pytest.mark.parametrize("complete", [True, False])
def test_names_that_an_earlier_version_kept_are_removed(world: Harness, complete: bool) -> None:
    """At the next start, whether or not the service must be asked first."""
    key = f"names:{GUILD}"
    notes = {key: json.dumps(["Study room", None, [[ROOM, NAME, 2]]]), **({"baseline": "1"} if complete else {})}
    memory = remembered(notes)
    assert (memory.complete, memory.foreign) == (complete, [key])
    world.notes = notes
    world.restart()
    assert key not in world.notes


# --- the service is the truth about what it has ---


def test_what_changed_while_nobody_listened_is_put_right_by_a_comparison(world: Harness) -> None:
    """Another name, a channel that is gone; a guild that is not seen is left for the next time."""
    world.state(ADA, DESK)
    world.pass_ms(10)
    world.state(ADA, SOFA)
    world.restart()
    world.compare()
    assert channels(world) == {DESK: ("Desk", False), SOFA: ("Sofa", False)}
    world.pass_ms(10)
    world.hello()
    world.ready(GUILD)
    infos = (frames.ChannelInfo(SOFA, "Divan", 2), frames.ChannelInfo(ROOM, NAME, 2))
    world.see(frames.RollCall(GUILD, "Library", None, infos, ()))
    assert channels(world) == {DESK: ("Desk", True), SOFA: ("Divan", False)}
    assert [row["name"] for row in world.service.rows("SELECT name FROM guilds")] == ["Library"]
    world.restart()
    world.connect({GUILD: {}})
    world.compare()
    assert channels(world) == {DESK: ("Desk", True), SOFA: ("Sofa", False)}
    assert [row["name"] for row in world.service.rows("SELECT name FROM guilds")] == ["Study room"]


def test_a_comparison_that_finds_all_as_it_is_writes_nothing(world: Harness) -> None:
    """After a restart too, when all that is known comes from the service."""
    world.state(ADA, DESK)
    world.restart()
    world.connect({GUILD: {ADA: DESK}})
    world.delivering = False
    world.compare()
    revision = world.tracker.revision
    world.compare()
    assert (world.queue, world.tracker.revision) == ([], revision)


def test_a_name_that_went_with_its_last_session_comes_back_with_the_next(world: Harness) -> None:
    """Retention, an erasure of somebody: the comparison shows that it is gone."""
    world.state(ADA, DESK)
    world.pass_ms(10)
    world.state(ADA, None)
    world.service.connection.execute("DELETE FROM voice_sessions")
    assert channels(world) == {}
    world.pass_ms(3 * 60 * 60 * 1000)
    world.compare()
    world.compare()
    assert channels(world) == {}
    renamed(world, DESK, "Long desk")
    world.state(ADA, DESK)
    assert channels(world) == {DESK: ("Long desk", False)}


def test_a_name_told_while_the_comparison_was_under_way_is_not_forgotten(world: Harness) -> None:
    """What was read may be from before it."""
    mark = world.tracker.revision
    world.state(ADA, DESK)
    world.pass_ms(10)
    revision = world.tracker.revision
    world.tracker.compare_names([Channel(DESK, GUILD, "Older", 2, 0), Guild(GUILD, "Older", None, 0)], world.now)
    world.tracker.forget_other_names(set(), mark)
    assert (world.tracker.take(), world.tracker.revision) == ([], revision)
    assert DESK not in world.tracker.channels_without_name()
    world.tracker.forget_other_names(set(), revision)
    assert DESK in world.tracker.channels_without_name()
    world.tracker.tell_names([DESK])
    assert [type(item) for item in world.tracker.take()] == [Guild, Channel]


def test_the_revisions_of_the_service_count(world: Harness) -> None:
    """A machine whose clock is behind can still put a name right."""
    world.state(ADA, DESK)
    world.service.connection.execute("UPDATE channels SET name = 'Other', revision = revision + 1000000000")
    world.service.connection.execute("UPDATE guilds SET name = 'Other', revision = revision + 1000000000")
    world.compare()
    assert channels(world) == {DESK: ("Desk", False)}
    assert [row["name"] for row in world.service.rows("SELECT name FROM guilds")] == ["Study room"]


@pytest.mark.parametrize("alone", [True, False])
def test_a_session_that_is_taken_back_and_written_anew_has_its_name(world: Harness, alone: bool) -> None:
    """A late decision retracts what was written; the name went with it, unless another session stood there."""
    world.opt_in(BOB)
    if not alone:
        world.state(BOB, DESK)
    world.pass_ms(1000)
    world.state(ADA, DESK)
    joined_at = world.now
    world.pass_ms(1000)
    world.delivering = False
    world.opt_out(ADA, joined_at - 1)
    world.opt_in(ADA, joined_at + 500)
    assert any(isinstance(record, Retraction) for record in world.queue)
    world.delivering = True
    world.deliver()
    assert world.times(ADA) == [(DESK, 1500, None, "opted_in", None)]
    assert channels(world) == {DESK: ("Desk", False)}


def test_a_visit_that_is_taken_back_takes_the_name_along(world: Harness) -> None:
    """It was over before the bot saw anything again, and consent does not cover all of that time."""
    world.hello()
    world.opt_out(ADA, world.pass_ms(10))
    world.opt_in(ADA, world.pass_ms(10))
    world.state(ADA, DESK)
    assert channels(world) == {DESK: ("Desk", False)}
    world.see(frames.GuildGone(GUILD))
    assert channels(world) == {}
    world.roll_call(GUILD, {ADA: DESK})
    assert channels(world) == {DESK: ("Desk", False)}


def test_a_visit_that_the_service_takes_only_as_it_ended_in_truth_has_its_name(world: Harness) -> None:
    """A clock that was behind made it reach into another session, so the service had no place for it at first."""
    world.state(ADA, DESK)
    world.pass_ms(100)
    world.service.write(Retraction(world.rows(ADA)[0]["session_id"], ADA, world.now + 9))
    world.state(ADA, SOFA)
    (stay,) = (stay for stay in world.tracker._ledger.stays_of(ADA, GUILD) if stay.channel_id == SOFA)
    world.pass_ms(100)
    world.state(ADA, None)
    world.service.write(Retraction(stay.stay_id, ADA, world.now + 9))
    assert channels(world) == {}
    stay.ended_at = world.now - 50
    world.tracker._ledger.changed(stay, world.now + 20)
    world.hand_over()
    assert channels(world) == {SOFA: ("Sofa", False)}


def test_a_channel_that_was_not_recorded_before_anybody_came(world: Harness) -> None:
    """Both decisions are heard of later: the first made the service drop the session, and with it the name."""
    before = [ChannelRecording(world.service.interaction(NOON + at), GUILD, DESK, at == 20) for at in (10, 20)]
    world.pass_ms(100)
    world.state(ADA, DESK)
    world.service.write(before[0])
    assert channels(world) == {}
    world.service.write(before[1])
    world.pass_ms(100)
    world.follow_channels()
    assert world.times(ADA) == [(DESK, 100, None, "joined", None)]
    assert channels(world) == {DESK: ("Desk", False)}


def test_a_session_that_replaces_another_listeners_has_its_name(world: Harness) -> None:
    """Theirs was the last in the channel when it went."""
    world.state(ADA, DESK)
    (ours,) = world.service.read(reading_statements.open_sessions(0, 1))
    world.service.write(Retraction(ours["session_id"], ADA, world.now + 5))
    world.service.write(session_of(ours)._replace(session_id="theirs", started_at=world.now + 10))
    world.service.write(Channel(DESK, GUILD, "Desk", 2, 1))
    world.pass_ms(100)
    assert world.compare() == {"unknown": 1}
    assert [row["session_id"] for row in world.rows(ADA)] == [ours["session_id"]]
    assert channels(world) == {DESK: ("Desk", False)}


def test_a_guild_that_is_not_seen_is_compared_when_it_is(world: Harness) -> None:
    """What it was called before says nothing."""
    world.state(ADA, DESK)
    world.see(frames.GuildUnavailable(GUILD))
    world.service.connection.execute("UPDATE channels SET name = 'Other'")
    world.service.connection.execute("UPDATE guilds SET name = 'Other'")
    world.compare()
    assert channels(world) == {DESK: ("Other", False)}
    assert [row["name"] for row in world.service.rows("SELECT name FROM guilds")] == ["Other"]
    world.roll_call(GUILD, {})
    assert channels(world) == {DESK: ("Desk", False)}
    assert [row["name"] for row in world.service.rows("SELECT name FROM guilds")] == ["Study room"]


def test_an_erasure_and_a_new_consent_in_the_same_stay(world: Harness) -> None:
    """The rest is recorded anew, and has its name."""
    world.state(ADA, DESK)
    world.pass_ms(1000)
    world.erase(ADA)
    assert channels(world) == {}
    world.opt_in(ADA, world.pass_ms(1000))
    assert channels(world) == {DESK: ("Desk", False)}


def test_a_name_that_the_service_dropped_by_itself_comes_back(world: Harness) -> None:
    """An old revision was cut to begin after the stay's end, and with it the name goes when the stay's end arrives
    (DROP_STALE). A late decision lets the stay stand after all: the comparison finds that its name is missing."""
    world.delivering = False
    world.service.write(world.decision(ADA, "out", world.pass_ms(10)))
    world.pass_ms(10)
    late = world.decision(ADA, "in", world.now)
    world.pass_ms(10)
    world.state(ADA, DESK)
    world.service.write(world.decision(ADA, "in", world.pass_ms(100)))
    first, *names = world.queue
    world.queue = []
    world.now -= 50
    world.state(ADA, None)
    for record in (first, *names):
        world.service.write(record)
    assert channels(world) == {DESK: ("Desk", False)}
    world.service.write(late)
    world.delivering = True
    world.deliver()
    assert channels(world) == {}
    world.follow()
    world.compare()
    assert world.times(ADA) != []
    assert channels(world) == {DESK: ("Desk", False)}


def test_a_name_that_was_lost_in_an_earlier_run_comes_back(world: Harness) -> None:
    """Nobody remembers the stay any more, but a session stands in the channel, and Discord says what it is called."""
    world.state(ADA, DESK)
    world.state(ADA, None)
    world.service.connection.execute("DELETE FROM channels")
    world.restart()
    world.connect({GUILD: {}})
    world.compare()
    assert channels(world) == {DESK: ("Desk", False)}


def test_names_come_page_by_page(world: Harness) -> None:
    """Each once, wherever a page ends: of the shard's guilds, and its channels that are not deleted."""
    for place in range(5):
        guild = GUILD + (place << 22)
        for channel in (1000 + place, 2000 + place):
            world.service.write(
                VoiceSession(
                    f"s{channel}", guild, channel, ADA, NOON + channel, "joined", 0, 1, NOON + channel + 1, "left", 0
                )
            )
            world.service.write(
                Channel(channel, guild, f"Room {channel}", 2, 1, deleted_at=5 if channel == 2002 else None)
            )
        world.service.write(Guild(guild, f"Guild {place}", None, 1))
    for shard in ((0, 1), (1, 2)):
        for statement, key, count in (
            (reading_statements.guild_names, "guild_id", 5),
            (reading_statements.channel_names, "channel_id", 9),
        ):
            read: list[dict[str, Any]] = []
            while page := world.service.read(statement(*shard, after=read[-1][key] if read else 0, limit=2)):
                assert len(page) <= 2
                read += page
            assert read == world.service.read(statement(*shard))
            assert [row[key] for row in read] == sorted({row[key] for row in read})
            assert len(read) == (count if shard == (0, 1) else count // 2)


def dispatched(world: Harness, kind: str, **data: Any) -> None:
    world.pass_ms(10)
    world.text(json.dumps({"op": 0, "t": kind, "s": next(world._sequence), "d": data}))


def called(world: Harness, name: str) -> None:
    """A roll call, with Ada in a channel of that name."""
    channel = {"id": str(DESK), "name": name, "type": 2, "flags": frames.HIDDEN_FLAG if name == frames.HIDDEN else 0}
    there = [{"user_id": str(ADA), "channel_id": str(DESK)}]
    dispatched(world, "GUILD_CREATE", id=str(GUILD), name="Study room", channels=[channel], voice_states=there)


def test_a_channel_that_is_hidden_from_the_bot_keeps_the_name_known_before(world: Harness) -> None:
    """Discord sends `___hidden___` for it: in an update, in a roll call, and to a run that knows the name no more."""
    called(world, "Desk")
    dispatched(world, "CHANNEL_UPDATE", id=str(DESK), guild_id=str(GUILD), name=frames.HIDDEN, type=2)
    called(world, frames.HIDDEN)
    assert channels(world) == {DESK: ("Desk", False)}
    world.restart()
    world.hello()
    world.ready(GUILD)
    called(world, frames.HIDDEN)
    world.compare()
    assert channels(world) == {DESK: ("Desk", False)}
    renamed(world, DESK, "Table")
    assert channels(world) == {DESK: ("Table", False)}


def test_a_channel_that_was_always_hidden_has_no_name_until_it_is_seen(world: Harness) -> None:
    """What stands for a name is none, and nothing is recorded there."""
    called(world, frames.HIDDEN)
    world.compare()
    assert channels(world) == {}
    renamed(world, DESK, "Desk")
    assert channels(world) == {DESK: ("Desk", False)}


def test_a_name_that_no_database_takes_is_one_all_the_same(world: Harness) -> None:
    """Half a surrogate pair would make a dead letter of it, which keeps a name for ever; and length is no matter."""
    called(world, "\ud83d" + "x" * 5000)
    assert channels(world) == {DESK: ("\ufffd" + "x" * 5000, False)}
