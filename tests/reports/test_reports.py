"""Every report's numbers equal those of the slow, obvious arithmetic over the stored sessions."""

from collections import defaultdict
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db_client import report_statements as statements
from db_client import reports
from db_client.periods import Window, bars_of, steady_windows, week_hour
from db_client.report_windows import BLOCK_MS
from tests.reports.service_file import GUILD, ServiceFile, Stay
from tests.reports.stories import EDGE, HIDDEN, LEFT, MINUTE, PEOPLE, VISIBLE, histories, minutes, present, touches

HOUR = 60 * MINUTE
long_lengths = st.sampled_from([0, 1, 7 * MINUTE, 15 * MINUTE, HOUR, 5 * HOUR, 17 * HOUR, 70 * HOUR, 20 * 24 * HOUR,
                                50 * 24 * HOUR, BLOCK_MS, 3 * BLOCK_MS])  # fmt: skip
long_histories = histories(HOUR, long_lengths)
short_histories = histories(MINUTE, st.integers(0, 90).map(lambda n: n * MINUTE))
# From moments to almost two years, beginning or ending at the edge of a block or not.
long_windows = st.tuples(
    st.sampled_from([0, EDGE - BLOCK_MS, EDGE, EDGE - 9 * HOUR, EDGE + HOUR, EDGE + 1]),
    st.sampled_from([1, 3 * HOUR, 9 * HOUR, BLOCK_MS, BLOCK_MS + 1, 4 * BLOCK_MS, 5 * BLOCK_MS + 7 * HOUR]),
).map(lambda w: Window(w[0], max(w[0], EDGE - BLOCK_MS) + w[1]))
short_windows = st.tuples(st.integers(-150, 60), st.integers(1, 200)).map(
    lambda w: Window(EDGE + w[0] * MINUTE, EDGE + (w[0] + w[1]) * MINUTE)
)
examples = settings(deadline=None, max_examples=150)


def filed(stays: list[Stay]) -> ServiceFile:
    """A file with these stays, and five people of three kinds."""
    file = ServiceFile()
    file.people(VISIBLE, HIDDEN, LEFT)
    file.seat(*stays)
    return file


def of_guild(stays: list[Stay], window: Window) -> list[Stay]:
    """The stays in the guild that is asked about that are the window's."""
    return [s for s in stays if s.guild_id == GUILD and touches(s, window)]


@examples
@given(long_histories, long_windows, st.sampled_from(PEOPLE))
def test_own_time(stays, window, me):
    """Total, AFK, sessions and channels are the sums of the person's stays, cut to the window."""
    file = filed(stays)
    own = [s for s in of_guild(stays, window) if s.user_id == me]
    rows = file.rows(statements.own_channels(GUILD, me, window))
    time = reports.voice_time(rows, [], file.rows(statements.own_running(GUILD, me)), window, 0)
    assert time.sessions == len(own)
    assert time.counted_ms == sum(present(s, window) for s in own if not s.afk)
    assert time.afk_ms == sum(present(s, window) for s in own if s.afk)
    assert {c.channel_id for c in time.channels} == {s.channel_id for s in own}
    for channel in time.channels:
        here = [s for s in own if s.channel_id == channel.channel_id]
        assert channel.sessions == len(here)
        assert channel.counted_ms + channel.afk_ms == sum(present(s, window) for s in here)
    assert [c.counted_ms for c in time.channels] == sorted((c.counted_ms for c in time.channels), reverse=True)
    running = next((s.started_at for s in own if s.ended_at is None), None)
    assert time.running_since == running


@examples
@given(short_histories, short_windows, st.sampled_from(PEOPLE))
def test_own_time_minute_by_minute(stays, window, me):
    """Counted time is the number of minutes in which the person was there."""
    file = filed(stays)
    rows = file.rows(statements.own_channels(GUILD, me, window))
    mine = [s for s in stays if s.user_id == me and s.guild_id == GUILD]
    there = sum(MINUTE for here in minutes(mine, window).values() if here)
    assert sum(row["counted_ms"] for row in rows) == there


@examples
@given(long_histories, long_windows, st.sampled_from(PEOPLE), st.sampled_from(["Europe/Berlin", "Asia/Kathmandu"]))
def test_bars_are_parts_of_the_total(stays, window, me, zone):
    """Each bar holds what lies between its edges, over days of any length, and all bars make the window."""
    file = filed(stays)
    bars = bars_of(window, ZoneInfo(zone), most=31)
    heights = reports.voice_time([], file.rows(statements.own_bars(GUILD, me, bars)), [], window, len(bars)).bars
    own = [s for s in stays if s.user_id == me and s.guild_id == GUILD and not s.afk]
    assert heights == tuple(sum(present(s, bar) for s in own) for bar in bars)


@examples
@given(long_histories, long_windows, st.sampled_from(PEOPLE), st.integers(1, 3), st.integers(0, 4))
def test_own_sessions_one_by_one(stays, window, me, limit, offset):
    """The newest come first, page by page, and what each gives to the window adds up to the total."""
    file = filed(stays)
    own = sorted((s for s in of_guild(stays, window) if s.user_id == me), key=lambda s: -s.started_at)
    rows = file.rows(statements.own_sessions(GUILD, me, window, limit=limit, offset=offset))
    page = own[offset : offset + limit]
    assert [row["session_id"] for row in rows] == [s.session_id for s in page]
    assert [row["in_window_ms"] for row in rows] == [present(s, window) for s in page]
    assert all(row["of_all"] == len(own) for row in rows)


@examples
@given(
    long_histories, long_windows, st.sampled_from(PEOPLE), st.integers(1, 3), st.integers(0, 3),
    st.sampled_from([None, GUILD * 100 + 1, GUILD * 100 + 3, (GUILD + 1) * 100 + 1]),
)  # fmt: skip
def test_leaderboard(stays, window, me, limit, offset, channel):
    """Only those who let the server see have a place; equal times share one; one's own place is always told."""
    file = filed(stays)
    totals: dict[int, int] = defaultdict(int)
    for stay in of_guild(stays, window):
        if not stay.afk and channel in (None, stay.channel_id):
            totals[stay.user_id] += present(stay, window)
    seen = sorted(((-ms, user) for user, ms in totals.items() if ms > 0 and user in VISIBLE))
    places = [(1 + sum(other[0] < ms for other in seen), user, -ms) for ms, user in seen]
    rows = file.rows(statements.leaderboard(GUILD, me, window, limit=limit, offset=offset, channel_id=channel))
    board = reports.leaderboard(rows)
    assert [(s.place, s.user_id, s.counted_ms) for s in board.page] == places[offset : offset + limit]
    assert all(s.display_name == f"Person {s.user_id}" for s in board.page)
    if totals[me] > 0:
        assert board.own is not None
        assert (board.own.counted_ms, board.own.place) == (totals[me], 1 + sum(-ms > totals[me] for ms, _ in seen))
        assert board.people == len(seen)
    else:
        assert board.own is None


def test_people_with_equal_times_share_a_place():
    """Two firsts are followed by a third; the order within a place is that of the ids."""
    file = ServiceFile()
    file.people([1, 2, 3])
    file.seat(Stay(3, 1, EDGE, EDGE + 10), Stay(1, 1, EDGE, EDGE + 20), Stay(2, 2, EDGE, EDGE + 20))
    rows = file.rows(statements.leaderboard(GUILD, 3, Window(EDGE, EDGE + 30), limit=10))
    board = reports.leaderboard(rows)
    assert [(s.place, s.user_id) for s in board.page] == [(1, 1), (1, 2), (3, 3)]
    assert board.own.place == 3


@examples
@given(short_histories, short_windows, st.sampled_from(PEOPLE), st.sampled_from([None, *PEOPLE]))
def test_together_minute_by_minute(stays, window, me, member):
    """Pairs: minutes of both in one channel, first, last and favourite; only if both let the server see."""
    file = filed(stays)
    mine = [s for s in stays if s.user_id == me and s.guild_id == GUILD]
    shared: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for minute, here in minutes([s for s in stays if s.guild_id == GUILD], window).items():
        for my in [s for s in here if s in mine]:
            for other in here:
                if other.user_id != me and other.channel_id == my.channel_id and other.user_id in VISIBLE:
                    shared[other.user_id][my.channel_id].append(minute)
    if me not in VISIBLE:
        shared.clear()
    found = reports.companions(file.rows(statements.together(GUILD, me, window, limit=10, member_id=member)))
    expected = {user for user in shared if member in (None, user)}
    assert {c.user_id for c in found} == expected
    for companion in found:
        channels = shared[companion.user_id]
        everything = sorted(minute for times in channels.values() for minute in times)
        favourite = min(channels, key=lambda channel: (-len(channels[channel]), channel))
        assert companion.together_ms == len(everything) * MINUTE
        assert (companion.since, companion.last) == (everything[0], everything[-1] + MINUTE)
        assert (companion.favourite_id, companion.favourite_ms) == (favourite, len(channels[favourite]) * MINUTE)
    assert [c.together_ms for c in found] == sorted((c.together_ms for c in found), reverse=True)


@examples
@given(long_histories, long_windows, st.sampled_from(VISIBLE))
def test_together_over_any_length(stays, window, me):
    """Pairs are right for stays of any length: the sum of the overlaps of each two stays in one channel."""
    file = filed(stays)
    shared: dict[int, int] = defaultdict(int)
    for my in [s for s in of_guild(stays, window) if s.user_id == me and not s.afk]:
        for other in [s for s in stays if s.user_id in VISIBLE and s.user_id != me and s.channel_id == my.channel_id]:
            until = [s.ended_at for s in (my, other) if s.ended_at is not None]
            shared[other.user_id] += present(
                Stay(0, 0, max(my.started_at, other.started_at), min(until, default=None)), window
            )
    found = reports.companions(file.rows(statements.together(GUILD, me, window, limit=10)))
    assert {c.user_id: c.together_ms for c in found} == {user: ms for user, ms in shared.items() if ms > 0}


@examples
@given(long_histories, long_windows, st.integers(0, 4))
def test_channel_time(stays, window, limit):
    """Per channel and for the server: sessions, different people, counted and AFK time."""
    file = filed(stays)
    here = of_guild(stays, window)
    use = reports.channel_time(file.rows(statements.channel_time(GUILD, window, limit=limit)))

    def of(some: list[Stay]) -> tuple[int, int, int, int]:
        return (
            len(some),
            len({s.user_id for s in some}),
            sum(present(s, window) for s in some if not s.afk),
            sum(present(s, window) for s in some if s.afk),
        )

    channels = {c: of([s for s in here if s.channel_id == c]) for c in {s.channel_id for s in here}}
    busiest = sorted(channels, key=lambda c: (-channels[c][2] - channels[c][3], c))[:limit]
    assert (use.server.sessions, use.server.people, use.server.counted_ms, use.server.afk_ms) == of(here)
    assert use.channels == len(channels)
    assert [c.channel_id for c in use.busiest] == busiest
    assert [(c.sessions, c.people, c.counted_ms, c.afk_ms) for c in use.busiest] == [channels[c] for c in busiest]


@settings(deadline=None, max_examples=60)
@given(
    histories(MINUTE, st.integers(0, 400).map(lambda n: n * MINUTE), begin=1_792_890_000_000),
    st.integers(0, 400),
    st.integers(1, 1500),
    st.sampled_from(["Europe/Berlin", "Asia/Kathmandu", "UTC", "America/St_Johns"]),
)
def test_heat_map_minute_by_minute(stays, start, length, zone_name):
    """Each hour of the local week holds the minutes in it, also where Berlin's clocks go back (2026-10-25)."""
    file = filed(stays)
    zone = ZoneInfo(zone_name)
    begin = 1_792_890_000_000 - 200 * MINUTE + start * MINUTE
    window = Window(begin, begin + length * MINUTE)
    expected = [0] * 168
    for minute, here in minutes([s for s in stays if s.guild_id == GUILD], window).items():
        expected[week_hour(minute, zone)] += len(here) * MINUTE
    rows = file.rows(statements.week_edges(GUILD, steady_windows(window, zone)))
    assert reports.heat_map(rows) == tuple(expected)


def test_the_story_of_the_heat_map_has_a_clock_change():
    """What the test above plays around is the hour in which Berlin's clocks go back."""
    change = datetime(2026, 10, 25, 1, tzinfo=timezone.utc).timestamp() * 1000
    assert abs(1_792_890_000_000 - change) < 2 * HOUR


def test_the_heat_map_of_many_weeks_is_the_sum_of_its_sessions():
    """A stay of three weeks fills each hour three times, whatever block or month it lies in."""
    file = ServiceFile()
    file.seat(Stay(1, 1, EDGE + 5 * MINUTE, EDGE + 5 * MINUTE + 21 * 24 * HOUR))
    window = Window(EDGE, EDGE + BLOCK_MS)
    rows = file.rows(statements.week_edges(GUILD, steady_windows(window, ZoneInfo("UTC"))))
    assert reports.heat_map(rows) == (3 * HOUR,) * 168


@pytest.mark.parametrize(
    ("window", "muted"),
    [(Window(0, 1000), 250), (Window(0, 500), 125), (Window(750, 2000), 62), (Window(0, 2000), 250)],
)
def test_states_of_a_cut_session_count_in_proportion(window, muted):
    """Of a session of 1000 ms with 250 ms muted, half of the session counts 125 ms."""
    file = ServiceFile()
    file.seat(Stay(1, 1, 0, 1000, muted_ms=250))
    assert file.rows(statements.own_channels(GUILD, 1, window))[0]["muted_ms"] == muted


def test_states_of_a_running_session_count_to_the_end_of_the_window():
    """Muted for 100 of its first 400 ms, and ever since: 100 + 600 of 1000; deafened no longer: 50."""
    file = ServiceFile()
    file.seat(Stay(1, 1, 0, None, muted_ms=100, deafened_ms=50, flags=1, flags_at=400))
    window = Window(0, 1000)
    time = reports.voice_time(
        file.rows(statements.own_channels(GUILD, 1, window)),
        [],
        file.rows(statements.own_running(GUILD, 1)),
        window,
        0,
    )
    assert time.states == reports.States(muted_ms=700, deafened_ms=50, alone_ms=0)
    assert time.running_since == 0


def test_reports_of_an_empty_server_are_empty():
    """Nothing stored: no rows, zeros, no own place."""
    file = ServiceFile()
    window = Window(0, 10)
    use = reports.channel_time(file.rows(statements.channel_time(GUILD, window, limit=5)))
    assert (use.server.sessions, use.server.people, use.server.counted_ms, use.busiest) == (0, 0, 0, ())
    assert reports.leaderboard(file.rows(statements.leaderboard(GUILD, 1, window, limit=5))).own is None
    assert reports.heat_map(file.rows(statements.week_edges(GUILD, []))) == (0,) * 168


def test_a_member_is_visible_only_by_choice():
    """Who keeps it to themselves, who left and who never came look alike: no row."""
    file = filed([])
    assert [user for user in (1, 4, 5, 6) if file.rows(statements.visible_member(user))] == [1]
