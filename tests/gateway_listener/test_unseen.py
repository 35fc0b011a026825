"""Time that was not seen is not counted, and each end says how sure it is."""

from __future__ import annotations

import pytest

from db_client.records import GuildSight, VoiceSession, Watermark
from gateway_listener import frames
from gateway_listener.stays import REMEMBERED_MS
from tests.gateway_listener.harness import ADA, BOB, CAT, DESK, GUILD, NOON, SOFA, Harness

OTHER = GUILD * 3
STRANGER = 77


def within(world: Harness, user: int) -> list[tuple[int, int | None]]:
    return [(row["started_within_ms"], row["ended_within_ms"]) for row in world.rows(user)]


@pytest.fixture
def world() -> Harness:
    """Ada and Bob at the desk for a second, both in."""
    world = Harness()
    world.connect({GUILD: {}})
    world.opt_in(ADA)
    world.opt_in(BOB)
    world.state(ADA, DESK)
    world.state(BOB, DESK)
    world.pass_ms(1000)
    world.ack()
    return world


# --- decisions while nobody can look (each of these was found by test_model.py) ---


def test_an_opt_out_while_nobody_could_look_ends_where_the_person_was_last_seen(world: Harness) -> None:
    """It may be that they had left before: the row says so, even if nobody ever looks again."""
    world.restart()
    world.pass_ms(30_000)
    world.opt_out(ADA)
    assert world.times(ADA) == [(DESK, 0, 1000, "joined", "opted_out")]
    assert within(world, ADA) == [(0, 30_000)]
    world.connect({GUILD: {ADA: DESK}})
    assert world.times(ADA) == [(DESK, 0, 31_000, "joined", "opted_out")]
    assert within(world, ADA) == [(0, 0)]


def test_an_opt_in_while_nobody_could_look_waits_for_the_roll_call(world: Harness) -> None:
    """Nobody knows yet whether the person is still there."""
    world.state(CAT, DESK)
    world.tracker.hang_up()
    world.pass_ms(30_000)
    world.opt_in(CAT)
    assert world.rows(CAT) == []
    world.connect({GUILD: {CAT: DESK}})
    assert world.times(CAT) == [(DESK, 31_000, None, "opted_in", None)]


@pytest.mark.parametrize(
    ("content", "moves"),
    [
        (frames.Ack(), True),
        (frames.VoiceState(GUILD, ADA, SOFA, 0), True),
        (frames.GuildUnavailable(OTHER), True),
        (frames.GuildGone(OTHER), True),
        (frames.RollCall(OTHER, "Club", None, (), (frames.VoiceState(OTHER, CAT, 7, 0),)), True),
        (frames.VoiceState(GUILD, CAT, SOFA, 0), False),
        (frames.ChannelChanged(GUILD, frames.ChannelInfo(9, "Cat's room", 2)), False),
        (frames.ChannelDeleted(GUILD, SOFA), False),
        (frames.GuildChanged(GUILD, "Library", None), False),
        (frames.Seen(), False),
    ],
)
def test_only_what_no_stranger_can_cause_moves_the_watermark(
    world: Harness, content: frames.Content, moves: bool
) -> None:
    """On the disk and in the service: when somebody came who did not opt in is nobody's to know."""
    world.pass_ms(5000)
    world.see(content)
    world.share()
    moved_to = NOON + (6000 if moves else 1000)
    assert int(world.notes["watermark"]) == moved_to
    assert [row["observed_at"] for row in world.service.rows("SELECT * FROM listener_watermarks")] == [moved_to]


def test_a_stranger_in_a_guild_that_is_not_seen_holds_no_watermark_back(world: Harness) -> None:
    """Nor does who is recorded there: the service is told of that guild alone, and once."""
    world.roll_call(OTHER, {CAT: 7})
    world.see(frames.GuildUnavailable(OTHER))
    world.pass_ms(5000)
    world.ack()
    assert world.tracker.marks_to_share() == ([], NOON + 6000)
    world.see(frames.GuildUnavailable(GUILD))
    world.pass_ms(5000)
    world.ack()
    told = GuildSight(GUILD, NOON + 11_000, seen=False, unseen_since=NOON + 6000)
    assert world.tracker.marks_to_share() == ([told], NOON + 11_000)
    assert world.tracker.marks_to_share() == ([], NOON + 11_000)
    assert int(world.notes["watermark"]) == NOON + 11_000


def test_a_guild_that_was_never_seen_is_not_taken_for_seen_by_the_next_run() -> None:
    """READY alone shows nobody: after a restart it is still not known since when somebody has been there."""
    world = Harness()
    world.opt_in(ADA)
    world.hello()
    world.ready(GUILD)
    world.pass_ms(60_000)
    world.ack()
    world.restart()
    world.connect({GUILD: {ADA: DESK}})
    assert within(world, ADA) == [(60_000, None)]


def test_what_was_learned_from_the_service_stands_on_the_new_disk_too(world: Harness) -> None:
    """A second restart finds the sessions that the first one had asked the service for."""
    world.share()
    world.new_disk()
    world.read_baseline()
    world.restart()
    world.connect({GUILD: {ADA: DESK}})
    assert [row["ended_at"] for row in world.rows()] == [None, NOON + 1000]


def test_what_was_learned_from_the_service_is_not_taken_back_before_it_is_known_who_is_in(world: Harness) -> None:
    """The consent log is read after the sessions, and after what is not recorded; it changes nothing here."""
    world.share()
    world.record(SOFA, recorded=False)
    before = world.rows()
    world.new_disk()
    world.delivering = False
    world.read_baseline()
    assert (world.queue, world.rows()) == ([], before)


def test_a_new_disk_restarted_while_the_service_is_away_knows_what_was_open(world: Harness) -> None:
    """What the first run had asked the service for is on the disk: who is gone by then is ended."""
    world.share()
    world.new_disk()
    world.read_baseline()
    world.delivering = False
    world.restart(service_up=False)
    world.connect({GUILD: {ADA: SOFA}})
    world.delivering = True
    world.deliver()
    assert world.times(ADA) == [(DESK, 0, 1000, "joined", "roll_call"), (SOFA, 1000, None, "roll_call", None)]
    assert world.times(BOB) == [(DESK, 0, 1000, "joined", "roll_call")]


def test_a_new_disk_shares_no_watermark_before_it_has_read_the_last_one(world: Harness) -> None:
    """Its own would stand for the earlier listener's, and unseen time would count."""
    world.share()
    world.new_disk()
    world.pass_ms(60_000)
    world.connect({GUILD: {}})
    world.share()
    world.read_baseline()
    assert {row["ended_at"] for row in world.rows()} == {NOON + 1000}


def test_a_guild_that_the_bot_left_before_the_service_could_be_read(world: Harness) -> None:
    """READY does not name it, so nobody will ever look there again: its sessions end at the watermark."""
    world.share()
    world.new_disk()
    world.pass_ms(5000)
    world.connect({OTHER: {}})
    world.read_baseline()
    assert {(row["ended_at"], row["ended_by"]) for row in world.rows()} == {(NOON + 1000, "guild_left")}


def test_an_erasure_that_comes_after_the_next_opt_in_leaves_no_ghost(world: Harness) -> None:
    """What was on its way then is cut to the new consent when it arrives, and must go."""
    world.delivering = False
    world.state(ADA, SOFA)
    erase = world.decision(ADA, "erase", world.pass_ms(10))
    world.state(ADA, None)
    world.service.write(world.decision(ADA, "in", world.pass_ms(10)))
    world.service.write(erase)
    world.delivering = True
    world.deliver()
    world.follow()
    assert world.rows(ADA) == []


# --- RESUME ---


def test_replayed_ends_are_placed_where_sight_was_lost(world: Harness) -> None:
    """A leave that is replayed happened somewhere in the gap: it counts up to the watermark."""
    world.pass_ms(30_000)
    world.hello()
    world.state(ADA, None)
    world.resumed()
    assert world.times(ADA) == [(DESK, 0, 1000, "joined", "left")]
    assert within(world, ADA) == [(0, 30_000)]


def test_replayed_starts_are_placed_where_they_arrive(world: Harness) -> None:
    """A join that is replayed counts from its arrival."""
    world.opt_in(CAT)
    world.pass_ms(30_000)
    world.hello()
    world.state(CAT, SOFA)
    world.resumed()
    assert world.times(CAT) == [(SOFA, 31_000, None, "joined", None)]
    assert within(world, CAT) == [(30_000, None)]


def test_a_stay_wholly_inside_the_gap_has_no_length(world: Harness) -> None:
    """It is stored, so that the person sees it, and adds nothing."""
    world.opt_in(CAT)
    world.pass_ms(30_000)
    world.hello()
    world.state(CAT, SOFA)
    world.pass_ms(5)
    world.state(CAT, None)
    world.resumed()
    assert world.times(CAT) == [(SOFA, 31_000, 31_000, "joined", "left")]
    assert within(world, CAT) == [(30_000, 30_000)]


def test_a_stay_wholly_inside_the_gap_is_not_stored_if_it_may_have_been_without_consent(world: Harness) -> None:
    """Out, a visit, and in again before the replay: nobody can say that the visit was not in between."""
    world.tracker.hang_up()
    world.pass_ms(1000)
    world.opt_out(ADA)
    world.pass_ms(2000)
    world.opt_in(ADA)
    world.pass_ms(1000)
    world.hello()
    world.state(ADA, SOFA)
    world.state(ADA, None)
    world.resumed()
    assert world.times(ADA) == [(DESK, 0, 1000, "joined", "switched")]


def test_a_person_without_events_stays_on_through_a_resume(world: Harness) -> None:
    """However long the gap was: Discord replays everything that happened."""
    world.pass_ms(900_000)
    world.hello()
    world.resumed()
    world.pass_ms(1000)
    world.state(BOB, None)
    assert world.times(BOB) == [(DESK, 0, 902_000, "joined", "left")]


def test_after_resumed_events_are_live_again(world: Harness) -> None:
    """To the millisecond."""
    world.pass_ms(500)
    world.hello()
    world.resumed()
    world.pass_ms(500)
    world.state(ADA, None)
    assert world.times(ADA) == [(DESK, 0, 2000, "joined", "left")]
    assert within(world, ADA) == [(0, 0)]


def test_repeated_and_old_frames_change_nothing(world: Harness) -> None:
    """A sequence number counts once in a gateway session; a new session counts anew."""
    state = frames.VoiceState(GUILD, ADA, SOFA, 0)
    here = next(world._sequence)
    world.see(state, here)
    world.pass_ms(100)
    world.see(frames.VoiceState(GUILD, ADA, None, 0), here + 1)
    world.see(state, here)
    world.see(frames.VoiceState(GUILD, ADA, DESK, 0), here - 2)
    assert world.times(ADA)[-1] == (SOFA, 1000, 1100, "switched", "left")
    assert world.tracker.counts["repeated"] == 2
    world.see(frames.Ready("session 1", frozenset({GUILD})), 1)
    assert (world.tracker.counts["repeated"], world.tracker.figures()["unseen_guilds"]) == (3, 0)
    world.connect({GUILD: {ADA: DESK, BOB: DESK}})
    world.state(ADA, None)
    assert world.times(ADA)[-1][2] is not None


# --- roll calls ---


def test_a_short_gap_in_the_same_channel_goes_on(world: Harness) -> None:
    """Found where they were left, at most the tolerance later."""
    world.pass_ms(120_000)
    world.connect({GUILD: {ADA: DESK, BOB: DESK}})
    world.pass_ms(1000)
    world.state(ADA, None)
    assert world.times(ADA) == [(DESK, 0, 122_000, "joined", "left")]


def test_a_long_gap_in_the_same_channel_is_two_sessions(world: Harness) -> None:
    """A millisecond more than the tolerance and the time between is not counted."""
    world.pass_ms(120_001)
    world.connect({GUILD: {ADA: DESK, BOB: DESK}})
    assert world.times(ADA) == [
        (DESK, 0, 1000, "joined", "roll_call"),
        (DESK, 121_001, None, "roll_call", None),
    ]
    assert within(world, ADA) == [(0, 120_001), (120_001, None)]


def test_gone_and_elsewhere_at_the_roll_call(world: Harness) -> None:
    """Gone ends; elsewhere ends and starts."""
    world.pass_ms(10_000)
    world.connect({GUILD: {BOB: SOFA}})
    assert world.times(ADA) == [(DESK, 0, 1000, "joined", "roll_call")]
    assert world.times(BOB) == [(DESK, 0, 1000, "joined", "roll_call"), (SOFA, 11_000, None, "roll_call", None)]


def test_an_outage_freezes_the_guilds_own_watermark(world: Harness) -> None:
    """The shard goes on being seen; the guild was last seen when it went."""
    world.see(frames.GuildUnavailable(GUILD))
    for _ in range(10):
        world.pass_ms(40_000)
        world.ack()
    world.roll_call(GUILD, {ADA: DESK})
    assert world.times(ADA) == [
        (DESK, 0, 1000, "joined", "roll_call"),
        (DESK, 401_000, None, "roll_call", None),
    ]
    assert within(world, BOB) == [(0, 400_000)]


def test_no_ghosts_after_an_outage(world: Harness) -> None:
    """Who left in the outage is gone, and a later join is a join."""
    world.see(frames.GuildUnavailable(GUILD))
    world.pass_ms(1000)
    world.roll_call(GUILD, {})
    world.pass_ms(1000)
    world.state(ADA, SOFA)
    assert world.times(ADA)[-1] == (SOFA, 3000, None, "joined", None)


def test_removed_from_the_guild(world: Harness) -> None:
    """Sessions end, live, and the guild's record says since when."""
    world.pass_ms(500)
    world.see(frames.GuildGone(GUILD))
    assert world.times(ADA) == [(DESK, 0, 1500, "joined", "guild_left")]
    assert within(world, ADA) == [(0, 0)]
    (guild,) = world.service.rows("SELECT * FROM guilds")
    assert guild["left_at"] == NOON + 1500


def test_removed_from_the_guild_while_away(world: Harness) -> None:
    """A guild that READY does not name any more was left somewhere in the gap."""
    world.pass_ms(7000)
    world.connect({OTHER: {}})
    assert world.times(ADA) == [(DESK, 0, 1000, "joined", "guild_left")]
    assert within(world, ADA) == [(0, 7000)]


def test_added_to_a_guild(world: Harness) -> None:
    """Nobody can say since when people have been there; the consent bounds it."""
    world.pass_ms(500)
    world.roll_call(OTHER, {ADA: 7})
    row = world.rows(ADA)[-1]
    assert (row["started_at"], row["started_within_ms"], row["started_by"]) == (NOON + 1500, 1500, "roll_call")


def test_a_repeated_roll_call_of_a_live_guild_changes_nothing(world: Harness) -> None:
    """It says what is known."""
    world.pass_ms(10)
    world.roll_call(GUILD, {ADA: DESK, BOB: DESK})
    assert world.times(ADA) == [(DESK, 0, None, "joined", None)]


# --- a new process ---


def test_kill_and_restart_while_people_move(world: Harness) -> None:
    """Nobody absent is open, nobody is doubled, and who stayed goes on."""
    world.opt_in(CAT)
    world.pass_ms(20_000)
    world.restart()
    world.connect({GUILD: {BOB: DESK, CAT: SOFA}})
    world.pass_ms(1000)
    world.state(BOB, None)
    assert world.times(ADA) == [(DESK, 0, 1000, "joined", "roll_call")]
    assert world.times(BOB) == [(DESK, 0, 22_000, "joined", "left")]
    assert world.times(CAT) == [(SOFA, 21_000, None, "roll_call", None)]
    assert within(world, CAT) == [(20_000, None)]


def test_the_disk_alone_is_enough_for_a_restart(world: Harness) -> None:
    """With the service down the notes say who is in and what is open; the rows are right once it is back."""
    world.delivering = False
    world.pass_ms(500)
    world.state(BOB, SOFA)
    world.pass_ms(20_000)
    world.restart(service_up=False)
    world.connect({GUILD: {BOB: SOFA, CAT: DESK}})
    world.pass_ms(1000)
    world.state(BOB, None)
    world.delivering = True
    world.deliver()
    assert world.times(ADA) == [(DESK, 0, 1500, "joined", "roll_call")]
    assert world.times(BOB) == [(DESK, 0, 1500, "joined", "switched"), (SOFA, 1500, 22_500, "switched", "left")]
    assert world.times(CAT) == []


@pytest.mark.parametrize("known", ["at once", "late"])
def test_durations_go_on_after_a_restart(world: Harness, known: str) -> None:
    """What had been counted is kept, and counted on, also if it is known only after somebody has looked."""
    world.state(ADA, DESK, flags=1)
    world.pass_ms(1000)
    world.share()
    if known == "late":
        world.new_disk()
    else:
        world.restart()
    world.pass_ms(1000)
    world.connect({GUILD: {ADA: DESK}})
    world.pass_ms(1000)
    if known == "late":
        world.read_baseline()
    world.state(ADA, None)
    (row,) = world.rows(ADA)
    assert row["muted_ms"] == 2000


def test_a_decision_while_nobody_listened(world: Harness) -> None:
    """Out while the listener was down ends the session then; in starts at the roll call."""
    world.pass_ms(1000)
    world.service.write(world.decision(ADA, "out"))
    world.service.write(world.decision(CAT, "in"))
    world.pass_ms(3000)
    world.restart()
    world.connect({GUILD: {ADA: DESK, BOB: DESK, CAT: DESK}})
    assert world.times(ADA) == [(DESK, 0, 2000, "joined", "opted_out")]
    assert world.times(CAT) == [(DESK, 5000, None, "roll_call", None)]
    assert within(world, CAT) == [(3000, None)]


def test_an_unseen_guild_is_remembered_over_a_restart(world: Harness) -> None:
    """Its own watermark is on the disk."""
    world.see(frames.GuildUnavailable(GUILD))
    world.pass_ms(300_000)
    world.ack()
    world.restart()
    world.hello()
    world.ready(GUILD)
    world.pass_ms(1000)
    world.roll_call(GUILD, {ADA: DESK})
    assert world.times(ADA)[0] == (DESK, 0, 1000, "joined", "roll_call")
    assert within(world, ADA) == [(0, 301_000), (301_000, None)]


def test_killed_between_ready_and_the_roll_call(world: Harness) -> None:
    """The watermark on the disk waits for the roll calls: a guild that was not seen is not taken for seen."""
    world.pass_ms(200_000)
    world.hello()
    world.ready(GUILD)
    world.pass_ms(5000)
    world.ack()
    world.restart()
    world.connect({GUILD: {ADA: DESK, BOB: DESK}})
    assert world.times(ADA)[0] == (DESK, 0, 1000, "joined", "roll_call")


def test_a_guild_whose_roll_call_does_not_come(world: Harness) -> None:
    """After a while it is taken to be in an outage, and the others' watermark moves on without it. As it was not in the
    READY before, it was invited anew, and was never seen."""
    world.roll_call(OTHER, {})
    world.pass_ms(1000)
    world.connect({OTHER: {}})  # GUILD is gone in this READY
    world.hello()
    world.ready(GUILD, OTHER)
    world.roll_call(OTHER, {})
    world.pass_ms(20_000)
    world.ack()
    assert int(world.notes["watermark"]) == NOON + 22_000
    assert int(world.notes[f"unseen:{GUILD}"]) == 0
    world.roll_call(GUILD, {})
    assert f"unseen:{GUILD}" not in world.notes


# --- a new disk ---


def test_a_lost_disk_is_made_good_by_the_service(world: Harness) -> None:
    """The service's open sessions and watermark are the baseline."""
    world.share()
    world.pass_ms(20_000)
    world.new_disk()
    world.read_baseline()
    world.connect({GUILD: {BOB: DESK}})
    assert world.times(ADA) == [(DESK, 0, 1000, "joined", "roll_call")]
    assert world.times(BOB) == [(DESK, 0, None, "joined", None)]


def unseen(world: Harness) -> dict[int, int | None]:
    """Of which guilds the service has that they are not seen, and since when, counted from NOON."""
    rows = world.service.rows("SELECT guild_id, unseen_since FROM unseen_guilds")
    return {row["guild_id"]: row["unseen_since"] - NOON for row in rows}


def test_a_lost_disk_does_not_shorten_a_session_elsewhere(world: Harness) -> None:
    """One server is in an outage for long, with somebody in it: the others are seen all the time."""
    world.roll_call(OTHER, {})
    world.opt_in(CAT)
    world.state(CAT, 7, guild=OTHER)
    world.pass_ms(1000)
    world.see(frames.GuildUnavailable(OTHER))
    world.pass_ms(600_000)
    world.state(ADA, SOFA)
    world.pass_ms(60_000)
    world.ack()
    world.share()
    assert unseen(world) == {OTHER: 2000}
    world.new_disk()
    world.pass_ms(5000)
    world.connect({GUILD: {}, OTHER: {CAT: 7}})
    world.read_baseline()
    assert world.times(ADA)[1:] == [(SOFA, 602_000, 662_000, "switched", "roll_call")]
    assert within(world, ADA)[-1] == (0, 60_000), "she was last proved to be there when she came"
    assert world.times(CAT) == [(7, 1000, 2000, "joined", "roll_call"), (7, 667_000, None, "roll_call", None)]
    world.share()
    assert unseen(world) == {}


def test_an_outage_at_a_new_disk_keeps_the_guilds_own_mark(world: Harness) -> None:
    """On the disk and in the service: neither a restart nor a second lost disk takes the shard's for it."""
    world.share()
    world.new_disk()
    world.read_baseline()
    world.roll_call(OTHER, {})
    world.hello()
    world.ready(GUILD, OTHER)
    world.roll_call(OTHER, {})
    world.pass_ms(400_000)
    world.ack()
    world.share()
    assert (int(world.notes[f"unseen:{GUILD}"]), unseen(world)) == (NOON + 1000, {GUILD: 1000})
    world.new_disk()
    world.read_baseline()
    world.connect({GUILD: {ADA: DESK, BOB: DESK}})
    assert world.times(ADA) == [(DESK, 0, 1000, "joined", "roll_call"), (DESK, 401_000, None, "roll_call", None)]


def test_the_service_is_told_of_unseen_guilds_with_something_open_and_of_what_changes(world: Harness) -> None:
    """When the last session there ends, as by an opt-out, or the bot is removed, it is told of the guild no more."""
    world.see(frames.GuildUnavailable(GUILD))
    world.roll_call(OTHER, {})
    world.see(frames.GuildUnavailable(OTHER))
    world.pass_ms(60_000)
    world.ack()
    world.share()
    assert unseen(world) == {GUILD: 1000}
    world.opt_out(ADA)
    world.share()
    assert unseen(world) == {GUILD: 1000}
    world.opt_out(BOB)
    world.share()
    assert unseen(world) == {}
    world.roll_call(GUILD, {CAT: SOFA})
    world.opt_in(CAT)
    world.see(frames.GuildUnavailable(GUILD))
    world.share()
    assert unseen(world) == {GUILD: 61_000}
    world.see(frames.GuildGone(GUILD))
    world.share()
    assert unseen(world) == {}


@pytest.mark.parametrize("how", ["killed before it was told", "killed after", "a restored backup", "a clock ahead"])
def test_what_the_service_has_of_unseen_guilds_comes_to_be_true(world: Harness, how: str) -> None:
    """A restart knows of the outages, not of what was told; what a restore or a clock left there is looked for."""
    world.see(frames.GuildUnavailable(GUILD))
    world.pass_ms(5000)
    world.ack()
    if how == "killed after":
        world.share()
    world.restart()
    world.share()
    assert unseen(world) == {GUILD: 1000}
    world.connect({GUILD: {ADA: DESK, BOB: DESK}})
    world.share()
    assert unseen(world) == {}
    if how not in ("a restored backup", "a clock ahead"):
        return
    revision = NOON + (-1 if how == "a restored backup" else 10**12)
    world.service.write(GuildSight(GUILD, revision, seen=False, unseen_since=NOON - 9))
    world.look()
    world.share()
    assert unseen(world) == {}


@pytest.mark.parametrize("still_there", [{ADA: DESK, BOB: DESK}, {}])
def test_a_run_that_is_killed_when_it_has_seen_a_guild_again(world: Harness, still_there: dict[int, int]) -> None:
    """Together with its disk the service hears that the guild is seen, whether or not anything is open there: what
    begins there next counts from its beginning on."""
    world.see(frames.GuildUnavailable(GUILD))
    world.pass_ms(5000)
    world.ack()
    world.share()
    world.pass_ms(1000)
    world.roll_call(GUILD, still_there)
    assert unseen(world) == {}
    world.restart()
    world.connect({GUILD: still_there})
    world.share()
    assert unseen(world) == {}


def test_a_run_that_ended_before_it_took_back_what_the_run_before_it_had_told(world: Harness) -> None:
    """Its disk says that the guild is seen; so the service was told, too."""
    world.see(frames.GuildUnavailable(GUILD))
    world.pass_ms(5000)
    world.ack()
    world.share()
    for _ in range(2):
        world.pass_ms(1000)
        world.restart()
        world.connect({GUILD: {ADA: DESK, BOB: DESK}})
    world.share()
    assert unseen(world) == {}


def test_a_clock_that_was_years_ahead_leaves_no_mark_that_blocks(world: Harness) -> None:
    """The next mark stands, though it is an earlier one."""
    world.service.write(Watermark(0, NOON + 10**12))
    world.share()
    assert [row["observed_at"] for row in world.service.rows("SELECT observed_at FROM listener_watermarks")] == [
        NOON + 1000
    ]


def test_what_a_new_disk_sees_while_the_service_is_away_for_hours_is_written(world: Harness) -> None:
    """Nobody knows who is in before the service says so: until then what is over is kept, and not for long after."""
    world.share()
    world.opt_in(CAT)
    world.new_disk()
    world.pass_ms(1000)
    world.connect({GUILD: {ADA: DESK}})
    for user in (CAT, BOB):
        world.state(user, SOFA)
        world.pass_ms(5000)
        world.state(user, None)
        world.pass_ms(REMEMBERED_MS)
    for user in (CAT, BOB, STRANGER):
        world.state(user, SOFA)
        world.pass_ms(5000)
        world.state(user, None)
    world.pass_ms(REMEMBERED_MS)
    world.ack()
    assert not [record for record in world.queue if isinstance(record, VoiceSession)]
    world.read_baseline()
    late = 2 * REMEMBERED_MS
    assert world.times(CAT) == [
        (SOFA, 2000, 7000, "joined", "left"),
        (SOFA, 12_000 + late, 17_000 + late, "joined", "left"),
    ]
    assert world.times(BOB) == [
        (DESK, 0, 1000, "joined", "roll_call"),
        (SOFA, 7000 + REMEMBERED_MS, 12_000 + REMEMBERED_MS, "joined", "left"),
        (SOFA, 17_000 + late, 22_000 + late, "joined", "left"),
    ]
    assert world.rows(STRANGER) == []
    world.pass_ms(REMEMBERED_MS + 1)
    world.read_consent()
    assert world.tracker.figures()["stays_in_memory"] == 1


@pytest.mark.parametrize("decided_in", ["the gap", "sight"])
def test_a_lost_disk_and_an_opt_out_in_the_same_gap(world: Harness, decided_in: str) -> None:
    """What nobody saw does not count, whoever ends the session; a listener that saw it says when it ended."""
    world.share()
    world.pass_ms(50_000)
    world.ack()
    if decided_in == "sight":
        world.service.write(world.decision(ADA, "out"))
        assert (world.times(ADA), within(world, ADA)) == ([(DESK, 0, 1000, "joined", "opted_out")], [(0, 50_000)])
        world.follow()
        assert (world.times(ADA), within(world, ADA)) == ([(DESK, 0, 51_000, "joined", "opted_out")], [(0, 0)])
        return
    world.new_disk()
    world.pass_ms(200_000)
    world.service.write(world.decision(ADA, "out"))
    world.pass_ms(100_000)
    world.read_baseline()
    world.connect({GUILD: {ADA: DESK}})
    assert (world.times(ADA), within(world, ADA)) == ([(DESK, 0, 1000, "joined", "opted_out")], [(0, 250_000)])


@pytest.mark.parametrize("gap", [20_000, 200_000])
def test_the_service_can_be_read_late(world: Harness, gap: int) -> None:
    """Until then it is tracked in memory; then the same comes out as if it had been read at the start."""
    world.service.write(Watermark(0, NOON + 1000))
    world.opt_in(CAT)
    world.pass_ms(gap)
    world.new_disk()
    world.connect({GUILD: {BOB: DESK, CAT: SOFA}})
    world.pass_ms(1000)
    world.state(ADA, SOFA)
    world.pass_ms(1000)
    world.state(BOB, None)
    assert len(world.rows()) == 2
    world.pass_ms(1000)
    world.read_baseline()
    assert world.times(ADA) == [(DESK, 0, 1000, "joined", "roll_call"), (SOFA, gap + 2000, None, "joined", None)]
    assert world.times(CAT) == [(SOFA, gap + 1000, None, "roll_call", None)]
    if gap <= 120_000:
        assert world.times(BOB) == [(DESK, 0, gap + 3000, "joined", "left")]
    else:
        assert world.times(BOB) == [
            (DESK, 0, 1000, "joined", "roll_call"),
            (DESK, gap + 1000, gap + 3000, "roll_call", "left"),
        ]


@pytest.mark.parametrize("first", ["the service", "the gateway"])
def test_a_new_machine_whose_clock_is_behind(world: Harness, first: str) -> None:
    """What it sees begins where the session of before ends, though its clock says earlier: nothing is refused."""
    world.share()
    world.pass_ms(5000)
    world.state(ADA, SOFA)
    world.new_disk()
    world.pass_ms(-3000)
    if first == "the service":
        world.read_baseline()
    world.connect({GUILD: {ADA: DESK}})
    if first == "the gateway":
        world.read_baseline()
    world.pass_ms(60_000)
    world.state(ADA, None)
    assert world.times(ADA) == [
        (DESK, 0, 6000, "joined", "switched"),
        (SOFA, 6000, 6000, "switched", "roll_call"),
        (DESK, 6000, 63_000, "roll_call", "left"),
    ]
