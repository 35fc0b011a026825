"""What nobody saw is not counted: a session that runs counts to when its guild was last seen, in every report alike."""

from __future__ import annotations

import random
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db_client import report_statements as say
from db_client import reports
from db_client.periods import DAY_MS, Period, Window, bars_of, window_of
from db_client.records import GuildSight, Record, Watermark
from db_client.report_cells import cells_of
from db_client.report_sums import channel_time
from db_client.report_windows import FRESH_MS, seen_to
from db_client.statements import Statement
from tests.reports.guilds import AFK_CHANNEL, CHANNELS, NEVER, STRANGER, random_guild
from tests.reports.service_file import GUILD, ServiceFile, Stay
from tests.reports.stories import as_seen

MINUTE, HOUR = 60_000, 3_600_000
NOW = 1_790_000_000_000
HIDDEN, OTHER_GUILD = 4, GUILD + 1
PUBLIC = 0
"""Nobody's id: what an answer for everybody may say."""


def every_report(window: Window, now: int, zone: ZoneInfo, viewer: int, member: int, at: int) -> dict[str, Statement]:
    """All statements in which a session that runs can be counted, by name."""
    bars = bars_of(window, zone)
    who = (GUILD, viewer, window)
    return {
        "own_channels": say.own_channels(*who, seen_to=at),
        "own_bars": say.own_bars(GUILD, viewer, bars, seen_to=at),
        "own_alone": say.own_alone(*who, seen_to=at),
        "own_sessions": say.own_sessions(*who, seen_to=at, limit=50),
        "shown_channels": say.shown_channels(GUILD, member, window, seen_to=at),
        "shown_bars": say.shown_bars(GUILD, member, bars, seen_to=at),
        "leaderboard": say.leaderboard(*who, seen_to=at, limit=50),
        "leaderboard of a channel": say.leaderboard(*who, seen_to=at, limit=50, channel_id=CHANNELS[0]),
        "leaderboard of the AFK": say.leaderboard(*who, seen_to=at, limit=50, channel_id=AFK_CHANNEL),
        "together": say.together(*who, seen_to=at, limit=50),
        "together with one": say.together(*who, seen_to=at, limit=50, member_id=member),
        "channel_time": channel_time(GUILD, viewer, cells_of(window, now, zone), seen_to=at, limit=10),
    }


def answers(file: ServiceFile, asked: dict[str, Statement]) -> dict[str, list[dict[str, object]]]:
    """The rows of each, but for what only says whether a session has ended."""
    only_of_ended = ("ended_at", "ended_by", "ended_within_ms", "runs_to")
    return {
        name: [{key: value for key, value in row.items() if key not in only_of_ended} for row in file.rows(statement)]
        for name, statement in asked.items()
    }


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**9), st.sampled_from(list(Period)), st.sampled_from([1, 2, 3, STRANGER]))
def test_what_runs_counts_in_every_report_as_if_it_had_ended_when_the_guild_was_last_seen(seed, period, viewer):
    """Every number of every report, whoever asks for whatever period, wherever the mark lies."""
    choose = random.Random(seed)
    guild = random_guild(seed)
    window = window_of(period, guild.now, guild.zone)
    newest = {stay.user_id: stay for stay in sorted(guild.stays, key=lambda stay: stay.started_at)}
    running = {stay for stay in newest.values() if choose.random() < 0.7}
    stays = tuple(replace(stay, ended_at=None) if stay in running else stay for stay in guild.stays)
    moments = [at for stay in guild.stays for at in (stay.started_at, stay.ended_at or guild.now)]
    moments += [window.from_at, guild.now, guild.now - DAY_MS, *(at for at in guild.shown_from.values() if at != NEVER)]
    mark = choose.choice(moments) + choose.choice([0, 1, -1]) * choose.randrange(0, DAY_MS, 10 * MINUTE)
    guild = replace(guild, stays=stays, seen_to=min(guild.now, mark))
    asked = every_report(window, guild.now, guild.zone, viewer, 1 + seed % 3, guild.seen_to)
    ended = guild.file(tuple(as_seen(guild.stays, guild.seen_to)))
    assert answers(guild.file(), asked) == answers(ended, asked)


def marked(*records: Record) -> ServiceFile:
    """People who show their time (1, 2), and who do not (`HIDDEN`); the marks."""
    file = ServiceFile()
    file.people([1, 2], [HIDDEN])
    file.store(*records)
    return file


def sight(file: ServiceFile, viewer: int = STRANGER, guild: int = GUILD) -> tuple[int, bool]:
    """Up to when the guild was seen, and whether the viewer is told."""
    [row] = file.rows(say.guild_sight(guild, viewer))
    return seen_to(row["mark"], NOW), bool(row["told"])


def snowflake(shard: int) -> int:
    """A guild of that shard of four."""
    return (40 + shard) << 22


MARKS: dict[str, tuple[list[Record], int, int]] = {
    "fresh": ([Watermark(0, NOW - 20_000)], GUILD, NOW),
    "as old as counts as fresh": ([Watermark(0, NOW - FRESH_MS)], GUILD, NOW),
    "a moment older": ([Watermark(0, NOW - FRESH_MS - 1)], GUILD, NOW - FRESH_MS - 1),
    "fifty hours old": ([Watermark(0, NOW - 50 * HOUR)], GUILD, NOW - 50 * HOUR),
    "of a clock that is ahead": ([Watermark(0, NOW + HOUR)], GUILD, NOW),
    "of nobody": ([], GUILD, 0),
    "of a guild that is not seen": (
        [Watermark(0, NOW - 5), GuildSight(GUILD, 7, seen=False, unseen_since=NOW - HOUR)], GUILD, NOW - HOUR),
    "of another guild meanwhile": (
        [Watermark(0, NOW - 5), GuildSight(GUILD, 7, seen=False, unseen_since=NOW - HOUR)], OTHER_GUILD, NOW),
    "of a guild that is seen again": (
        [Watermark(0, NOW - 5), GuildSight(GUILD, 7, seen=False, unseen_since=NOW - HOUR),
         GuildSight(GUILD, 8, seen=True)], GUILD, NOW),
    "of a guild that was never seen": (
        [Watermark(0, NOW - 5), GuildSight(GUILD, 7, seen=False, unseen_since=None)], GUILD, 0),
    "of the guild's shard": (
        [Watermark(1, NOW - 5, 4), Watermark(2, NOW - HOUR, 4)], snowflake(2), NOW - HOUR),
    "of its shard before there were more": (
        [Watermark(0, NOW - 3 * HOUR, 1), Watermark(0, NOW - 2 * HOUR, 2), Watermark(1, NOW - 5, 2)],
        snowflake(2), NOW - 2 * HOUR),
    "of its shard among more": (
        [Watermark(0, NOW - 50 * HOUR, 1), Watermark(2, NOW - 5, 4), Watermark(3, NOW - HOUR, 4)],
        snowflake(2), NOW),
}  # fmt: skip


@pytest.mark.parametrize("name", MARKS)
def test_how_far_a_guild_was_seen(name):
    """Now, if its mark is no older than a gap that is bridged; else to the mark."""
    records, guild, seen = MARKS[name]
    assert sight(marked(*records), guild=guild)[0] == seen


# How often the time of two people who sit together is in the answer to one of them: on the board also as one's own; of
# the channels in the server's sum, the channel's, and the hours.
TIMES = {
    "own_channels": 1, "own_bars": 1, "own_alone": 0, "own_sessions": 1, "shown_channels": 1, "shown_bars": 1,
    "leaderboard": 3, "leaderboard of a channel": 3, "leaderboard of the AFK": 0, "together": 1, "together with one": 1,
    "channel_time": 6,
}  # fmt: skip


@pytest.mark.parametrize(
    ("mark", "counted"),
    [
        (NOW - 50 * HOUR, 1000),
        (NOW - 20_000, 50 * HOUR + 1000),
        (NOW - 51 * HOUR, 0),
        (0, 0),
        (NOW + HOUR, 50 * HOUR + 1000),
    ],
)
def test_a_session_that_was_seen_for_a_second_counts_as_a_second_in_every_report(mark, counted):
    """Whatever has passed since; and one that began behind the mark counts nothing, never less."""
    file = marked(Watermark(0, mark))
    began = NOW - 50 * HOUR - 1000
    file.seat(Stay(1, CHANNELS[0], began, None), Stay(2, CHANNELS[0], began, None))
    window = Window(NOW - 100 * HOUR, NOW)
    told = answers(file, every_report(window, NOW, ZoneInfo("UTC"), 1, 2, sight(file)[0]))
    sums = ("counted_ms", "in_window_ms", "together_ms", "alone_ms")
    assert {name: sum(row.get(key, 0) for row in rows for key in sums) for name, rows in told.items()} == {
        name: times * counted for name, times in TIMES.items()
    }


def test_the_states_of_a_running_session_end_where_it_was_last_seen():
    """Muted for 100 of its first 400 ms and ever since; seen until 700, or until 300."""
    file = marked()
    file.seat(Stay(1, 101, 0, None, muted_ms=100, flags=1, flags_at=400))
    cases = [(Window(0, 1000), 700, 400), (Window(500, 1000), 700, 200), (Window(800, 1000), 700, 0)]
    for window, seen, muted in [*cases, (Window(0, 1000), 300, 75)]:
        running = file.rows(say.own_running(GUILD, 1, seen_to=seen))
        time = reports.voice_time(
            file.rows(say.own_channels(GUILD, 1, window, seen_to=seen)), [], running, [], window, 0
        )
        assert time.running == reports.Running(101, 0, seen)
        assert time.states.muted_ms == muted
        assert time.counted_ms == max(0, seen - window.from_at)


def test_that_a_guild_by_itself_is_not_seen_tells_of_nobody_who_shows_it_to_nobody():
    """The service knows of it only where somebody sits; a whole shard's mark is the same whoever is there."""
    lost = GuildSight(GUILD, 7, seen=False, unseen_since=NOW - HOUR)
    file = marked(Watermark(0, NOW), lost)
    file.seat(Stay(HIDDEN, 101, NOW - 2 * HOUR, None))
    assert not sight(file)[1]
    assert not sight(file, PUBLIC)[1]
    assert sight(file, HIDDEN)[1], "who sits there knows it"
    file.seat(Stay(1, 101, NOW - 2 * HOUR, None))
    assert sight(file)[1]
    assert sight(marked(Watermark(0, NOW - HOUR)))[1]
    assert sight(marked())[1]


def test_who_shows_it_from_behind_the_mark_on_is_not_told_of():
    """Nothing of that stay is seen by others, so that it goes on is not either."""
    file = ServiceFile()
    file.people({1: NOW - HOUR, 2: NOW - 3 * HOUR})
    file.store(GuildSight(GUILD, 7, seen=False, unseen_since=NOW - HOUR))
    file.seat(Stay(1, 101, NOW - 2 * HOUR, None))
    assert not sight(file)[1]
    file.seat(Stay(2, 101, NOW - 2 * HOUR, None))
    assert sight(file)[1]
