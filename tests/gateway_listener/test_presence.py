"""Whether the bot is in a server: said by Discord, asked for where it does not say, and nothing removed before."""

from __future__ import annotations

import itertools

import pytest

from db_client import upkeep_statements
from db_client.records import GuildPresence, GuildSetting, Lease, Removal
from gateway_listener import frames
from gateway_listener.notes import WATERMARK, remembered
from gateway_listener.presence import ASK_AGAIN_MS, TRY_AGAIN_MS
from tests.gateway_listener.harness import ADA, DESK, GUILD, SOFA, Harness

DAY = 86_400_000
OTHER = GUILD + (1 << 22)


def said(world: Harness, guild: int = GUILD) -> tuple[int | None, int | None] | None:
    """What the service has: since when the bot is not there, and when that was confirmed; None: nothing."""
    rows = world.service.rows("SELECT left_at, absence_confirmed_at FROM guilds WHERE guild_id = :guild", guild=guild)
    return (rows[0]["left_at"], rows[0]["absence_confirmed_at"]) if rows else None


def upkeep(world: Harness) -> None:
    """An endpoint removes what is due."""
    world.service.write(Lease("removal", "me", world.now, world.now + 1000))
    for _ in itertools.count():
        due = world.service.read(upkeep_statements.removal_due(world.now))
        if not due:
            return
        for row in due:
            world.service.write(Removal(row["guild_id"], world.now, "me"))


def days(world: Harness, count: int, *there: int) -> None:
    """Quiet days: hour after hour the listener looks and asks, and an endpoint removes what is due. The gateway was
    live all the time; by Discord's API the bot is in these guilds."""
    for _ in range(count * 4):
        world.pass_ms(DAY // 4)
        world.ack()
        world.look()
        world.ask(*there)
        upkeep(world)


def kept(world: Harness) -> tuple[int, int, int]:
    """How many sessions, settings and excluded channels of the guild are stored."""
    return tuple(  # type: ignore[return-value]
        world.service.rows(f"SELECT count(*) AS n FROM {table} WHERE guild_id = :guild", guild=GUILD)[0]["n"]
        for table in ("voice_sessions", "guild_settings", "unrecorded_channels")
    )


@pytest.fixture
def world() -> Harness:
    """A server with a session, a setting and an excluded channel."""
    world = Harness()
    world.connect({GUILD: {}})
    world.opt_in(ADA)
    world.state(ADA, DESK)
    world.pass_ms(1000)
    world.state(ADA, None)
    world.service.write(GuildSetting(world.service.interaction(world.now), GUILD, "leaderboard", "off"))
    world.record(SOFA, recorded=False)
    assert kept(world) == (1, 1, 1)
    return world


# --- what Discord says -----------------------------------------------------------------------------------------------


def test_every_server_that_ready_names_is_said_once_whoever_is_in_it(world: Harness) -> None:
    """Nobody needs to have opted in there, and an outage says nothing about it."""
    world.delivering = False
    world.connect({GUILD: {}, OTHER: {}})
    world.see(frames.GuildUnavailable(OTHER))
    world.roll_call(OTHER, {})
    world.connect({GUILD: {}, OTHER: {}})
    assert [record.guild_id for record in world.queue if isinstance(record, GuildPresence)] == [OTHER]
    world.delivering = True
    world.deliver()
    assert said(world, OTHER) == (None, None)


def test_kicked_and_invited_again_nothing_is_lost_though_nobody_comes_for_a_month(world: Harness) -> None:
    """Two seconds later; nobody who opted in comes to voice, and everything stands on day 31, and on day 62."""
    world.see(frames.GuildGone(GUILD))
    assert said(world) == (world.now, None)
    world.pass_ms(2000)
    world.roll_call(GUILD, {})
    assert said(world) == (None, None)
    days(world, 62, GUILD)
    assert kept(world) == (1, 1, 1)
    world.state(ADA, SOFA)
    assert len(world.rows()) == 1


def test_kicked_for_good_everything_is_gone_on_day_31_and_not_before(world: Harness) -> None:
    """With it what the listener knows of its channels."""
    world.see(frames.GuildGone(GUILD))
    left_at = world.now
    days(world, 29)
    assert kept(world) == (1, 1, 1)
    assert said(world) == (left_at, None)
    days(world, 2)
    assert kept(world) == (0, 0, 0)
    assert said(world) is None
    assert not [key for key in world.notes if key.startswith(("recording:", "left:", "names:"))]


def test_invited_again_at_any_moment_before_the_removal_nothing_is_lost(world: Harness) -> None:
    """Even when it had been confirmed, and the invitation is not delivered for a while."""
    world.see(frames.GuildGone(GUILD))
    world.pass_ms(30 * DAY)
    world.ack()
    world.look()
    assert world.ask() == [GUILD]
    assert said(world) == (world.now - 30 * DAY, world.now)
    world.delivering = False
    world.roll_call(GUILD, {})
    world.pass_ms(DAY + 1)
    upkeep(world)
    world.delivering = True
    world.deliver()
    upkeep(world)
    assert kept(world) == (1, 1, 1)
    assert said(world) == (None, None)


def test_a_departure_counts_from_when_it_was_noticed(world: Harness) -> None:
    """The listener was off for 40 days: nothing goes at the first look, and thirty days later all does."""
    world.pass_ms(40 * DAY)
    world.restart()
    world.connect({OTHER: {}})
    world.look()
    assert said(world) == (None, None)
    assert world.ask() == [GUILD]
    assert said(world) == (world.now, None)
    upkeep(world)
    assert kept(world) == (1, 1, 1)
    days(world, 29)
    assert kept(world) == (1, 1, 1)
    days(world, 2)
    assert kept(world) == (0, 0, 0)


# --- what is asked ---------------------------------------------------------------------------------------------------


def test_a_server_that_ready_does_not_name_is_asked_for_before_anything_is_said(world: Harness) -> None:
    """Absence proves nothing: no answer changes nothing, and is asked again, not each second; nor does a yes."""
    world.connect({OTHER: {}})
    world.look()
    assert world.ask(answers=False) == [GUILD]
    world.look()
    assert world.ask() == []
    world.pass_ms(TRY_AGAIN_MS)
    world.ack()
    assert world.ask(GUILD) == [GUILD]
    world.pass_ms(TRY_AGAIN_MS)
    world.ack()
    world.look()
    assert world.ask() == []
    assert said(world) == (None, None)
    world.pass_ms(ASK_AGAIN_MS)
    world.ack()
    assert world.ask() == [GUILD]
    assert said(world) == (world.now, None)


def test_without_an_answer_nothing_is_ever_removed(world: Harness) -> None:
    """Neither when it is asked whether the bot left, nor after thirty days; Discord's API is down for a year."""
    world.see(frames.GuildGone(GUILD))
    for _ in range(365):
        world.pass_ms(DAY)
        world.ack()
        world.look()
        world.ask(answers=False)
        upkeep(world)
    assert kept(world) == (1, 1, 1)
    days(world, 1)
    assert kept(world) == (0, 0, 0)


def test_the_bot_is_there_by_discords_word_after_thirty_days(world: Harness) -> None:
    """The one that READY forgot to name: it stays, and is not taken for left."""
    world.see(frames.GuildGone(GUILD))
    days(world, 31, GUILD)
    for _ in range(31 * 4):
        world.pass_ms(DAY // 4)
        world.ack()
        world.look()
        assert said(world) == (None, None)
        world.ask(GUILD)
    assert kept(world) == (1, 1, 1)


def test_what_the_gateway_says_while_discord_is_asked_counts(world: Harness) -> None:
    """An invitation overtakes the answer that the bot is not there, and a departure the one that it is."""
    world.connect({OTHER: {}})
    world.look()
    presence = world.tracker.presence
    assert presence.question(world.now) == GUILD
    world.roll_call(GUILD, {})
    assert not world.tracker.answer(GUILD, False, world.now)
    assert said(world) == (None, None)
    world.ready(OTHER)
    world.look()
    assert presence.question(world.now) == GUILD
    world.see(frames.GuildGone(GUILD))
    world.tracker.answer(GUILD, True, world.now)
    world.ack()
    assert said(world) == (world.now, None)


def test_a_server_of_which_the_service_has_nothing_any_more_is_not_asked_for(world: Harness) -> None:
    """It was removed while it was in doubt."""
    world.connect({OTHER: {}})
    world.look()
    world.tracker.compare_guilds([], [], [], world.now)
    assert world.ask() == []


def test_before_ready_nothing_is_asked_and_nothing_concluded(world: Harness) -> None:
    """Whatever the service has."""
    world.restart()
    world.look()
    assert world.ask() == []
    assert said(world) == (None, None)


# --- compared with the service ---------------------------------------------------------------------------------------


def test_a_server_with_settings_and_no_session_that_was_left_goes_too() -> None:
    """Its managers decided something; nobody was ever recorded there."""
    world = Harness()
    world.connect({GUILD: {}})
    world.service.write(GuildSetting(world.service.interaction(world.now), GUILD, "leaderboard", "off"))
    world.see(frames.GuildGone(GUILD))
    days(world, 31)
    assert kept(world) == (0, 0, 0)


def test_a_server_left_while_the_disk_was_lost_goes_too(world: Harness) -> None:
    """The new disk knows nothing of it; the service does."""
    world.new_disk()
    world.read_baseline()
    world.connect({OTHER: {}})
    days(world, 32)
    assert kept(world) == (0, 0, 0)
    assert said(world) is None


def test_a_server_that_is_thought_left_and_is_not_is_put_right_on_a_new_disk(world: Harness) -> None:
    """Whoever said it, with whatever revision: a clock that is ahead, an old program."""
    world.service.write(GuildPresence(GUILD, world.now + 99 * DAY, world.now, world.now + 30 * DAY))
    world.new_disk()
    world.read_baseline()
    world.connect({GUILD: {}})
    world.look()
    assert said(world) == (None, None)


def test_a_listener_that_was_away_for_a_moment_does_not_take_the_bot_for_away(world: Harness) -> None:
    """Only where it was away for as long as it takes to remove a server's data."""
    world.ack()
    world.pass_ms(1000)
    world.restart()
    assert f"left:{GUILD}" not in world.notes
    world.pass_ms(31 * DAY)
    world.restart()
    assert f"left:{GUILD}" in world.notes


def test_what_a_new_disk_hears_is_newer_than_what_was_said_before(world: Harness) -> None:
    """It counts at once, whatever was never compared, and however often something was said."""
    for _ in range(3):
        world.see(frames.GuildGone(GUILD))
        world.roll_call(GUILD, {})
    world.new_disk()
    world.read_baseline()
    world.pass_ms(1000)
    world.connect({GUILD: {}})
    world.see(frames.GuildGone(GUILD))
    assert said(world) == (world.now, None)


def test_what_was_said_and_lost_is_said_again(world: Harness) -> None:
    """The service was restored from a backup of before the departure: it counts from when it was noticed."""
    world.see(frames.GuildGone(GUILD))
    left_at = world.now
    world.service.rows("UPDATE guilds SET left_at = NULL, presence_revision = 0")
    world.pass_ms(DAY)
    world.ack()
    world.look()
    assert world.ask() == []
    assert said(world) == (left_at, None)


def test_what_arrives_late_for_a_removed_server_goes_in_its_time(world: Harness) -> None:
    """A queue file of before: stored, found, asked for, and gone after thirty days."""
    late = [GuildSetting(world.service.interaction(world.now), GUILD, "leaderboard", "off")]
    world.see(frames.GuildGone(GUILD))
    days(world, 31)
    assert kept(world) == (0, 0, 0)
    world.service.write(late[0])
    assert kept(world) == (0, 1, 0)
    days(world, 32)
    assert kept(world) == (0, 0, 0)


def test_another_shards_servers_are_left_to_it() -> None:
    """They are not named to this shard, and neither asked for nor said to be left."""
    mine = (GUILD >> 22) % 2
    world = Harness(shard=(mine, 2))
    world.connect({GUILD: {}})
    for guild in (GUILD, OTHER):
        world.service.write(GuildSetting(world.service.interaction(world.now), guild, "leaderboard", "off"))
    world.look()
    assert world.ask() == []
    world.restart(shard=(0, 1))
    world.connect({GUILD: {}})
    world.look()
    assert world.ask() == [OTHER]
    world.notes["left:1"] = "5"
    assert remembered(world.notes, 1, 2).foreign == [f"there:{GUILD}", "left:1"]


# --- whose word it is ------------------------------------------------------------------------------------------------


def test_nothing_is_said_by_an_application_of_which_it_is_not_known_that_the_data_are_its(world: Harness) -> None:
    """What was noticed is said once that is known."""
    stranger = Harness(service=world.service)
    stranger.tracker.presence.ours = False
    stranger.connect({OTHER: {}})
    stranger.see(frames.GuildGone(GUILD))
    assert (said(world), said(world, OTHER)) == ((None, None), None)
    stranger.tracker.presence.ours = True
    stranger.ack()
    assert (said(world), said(world, OTHER)) == ((stranger.now, None), (None, None))


# --- settings and what is recorded agree -----------------------------------------------------------------------------


def excluded(world: Harness) -> tuple[bool, bool]:
    """Whether the sofa is excluded by the service, and by the listener."""
    rows = world.service.rows("SELECT 1 FROM unrecorded_channels WHERE channel_id = :sofa AND to_at IS NULL", sofa=SOFA)
    before = len(world.rows())
    world.state(ADA, SOFA)
    world.pass_ms(1000)
    world.state(ADA, None)
    return bool(rows), len(world.rows()) == before


@pytest.mark.parametrize("restarted", [False, True])
def test_after_a_removal_and_a_new_invitation_settings_and_recording_agree(world: Harness, restarted: bool) -> None:
    """The channel was excluded, that was removed with the server, and so it is recorded; also after a restart."""
    world.see(frames.GuildGone(GUILD))
    days(world, 29)
    if restarted:
        world.restart()
        world.connect({OTHER: {}})
    days(world, 3)
    world.roll_call(GUILD, {})
    world.look()
    assert excluded(world) == (False, False)


def test_a_disk_that_slept_through_the_removal_agrees_too(world: Harness) -> None:
    """Another listener saw the bot leave, everything go, and the bot come back."""
    slept = dict(world.notes)
    assert int(slept[WATERMARK]) == world.now
    world.see(frames.GuildGone(GUILD))
    days(world, 32)
    world.roll_call(GUILD, {})
    world.notes = slept
    world.restart()
    world.connect({GUILD: {}})
    world.look()
    assert excluded(world) == (False, False)


@pytest.mark.parametrize("away", [1000, 29 * DAY, 40 * DAY])
def test_an_exclusion_that_the_service_has_is_never_lost(world: Harness, away: int) -> None:
    """However long the bot was not there, as long as nothing was removed."""
    world.see(frames.GuildGone(GUILD))
    world.pass_ms(away)
    world.ack()
    world.look()
    world.roll_call(GUILD, {})
    world.look()
    assert excluded(world) == (True, True)


@pytest.mark.parametrize("kicked", [False, True])
def test_an_exclusion_that_a_restored_service_lacks_stays(world: Harness, kicked: bool) -> None:
    """A backup of before the decision: the managers' will is not forgotten, though the bot was out for a day."""
    if kicked:
        world.see(frames.GuildGone(GUILD))
        days(world, 1)
        world.roll_call(GUILD, {})
    world.service.rows("DELETE FROM unrecorded_channels")
    world.look()
    assert excluded(world) == (False, True)
    world.restart()
    world.connect({GUILD: {}})
    world.look()
    assert excluded(world) == (False, True)


def test_an_invitation_in_the_middle_of_a_removal_loses_what_the_service_lost(world: Harness) -> None:
    """The removal ends before the invitation is delivered: the exclusion is still there at the first look, and goes."""
    world.see(frames.GuildGone(GUILD))
    world.pass_ms(30 * DAY)
    world.ack()
    world.look()
    world.ask()
    world.delivering = False
    world.roll_call(GUILD, {})
    world.look()
    upkeep(world)
    world.delivering = True
    world.deliver()
    world.look()
    assert excluded(world) == (False, False)
