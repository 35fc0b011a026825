"""Every report's numbers equal those of the slow, obvious arithmetic over the stored sessions."""

from collections import defaultdict
from collections.abc import Mapping
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db_client import report_statements as statements
from db_client import reports
from db_client.periods import Window, bars_of
from db_client.report_cells import cells_of
from db_client.report_sums import channel_time
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
SEEN_FROM_THE_BEGINNING = dict.fromkeys(VISIBLE, 0)
# From before all blocks to behind all stays, at edges of blocks and not.
late = st.sampled_from([0, EDGE - BLOCK_MS - 1, EDGE - BLOCK_MS, EDGE - 9 * HOUR, EDGE, EDGE + 3 * HOUR,
                        EDGE + BLOCK_MS, EDGE + BLOCK_MS + 7 * MINUTE, EDGE + 4 * BLOCK_MS])  # fmt: skip
since_when = st.fixed_dictionaries(dict.fromkeys(VISIBLE, late))
since_minutes = st.fixed_dictionaries(dict.fromkeys(VISIBLE, st.integers(-200, 60).map(lambda n: EDGE + n * MINUTE)))


def seen(window: Window, since: int) -> Window:
    """What others may see of a window."""
    return Window(min(max(window.from_at, since), window.to_at), window.to_at)


def filed(stays: list[Stay], since: Mapping[int, int] = SEEN_FROM_THE_BEGINNING) -> ServiceFile:
    """A file with these stays, and five people of three kinds; `since`: from when on the visible ones show it."""
    file = ServiceFile()
    file.people(since, HIDDEN, LEFT)
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
    rows = file.rows(statements.own_channels(GUILD, me, window, seen_to=window.to_at))
    time = reports.voice_time(
        rows, [], file.rows(statements.own_running(GUILD, me, seen_to=window.to_at)), [], window, 0
    )
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
    assert (time.running and time.running.started_at) == running


@examples
@given(short_histories, short_windows, st.sampled_from(PEOPLE))
def test_own_time_minute_by_minute(stays, window, me):
    """Counted time is the number of minutes in which the person was there."""
    file = filed(stays)
    rows = file.rows(statements.own_channels(GUILD, me, window, seen_to=window.to_at))
    mine = [s for s in stays if s.user_id == me and s.guild_id == GUILD]
    there = sum(MINUTE for here in minutes(mine, window).values() if here)
    assert sum(row["counted_ms"] for row in rows) == there


@examples
@given(long_histories, long_windows, st.sampled_from(PEOPLE), st.sampled_from(["Europe/Berlin", "Asia/Kathmandu"]))
def test_bars_are_parts_of_the_total(stays, window, me, zone):
    """Each bar holds what lies between its edges, over days of any length, and all bars make the window."""
    file = filed(stays)
    bars = bars_of(window, ZoneInfo(zone), most=31)
    heights = reports.voice_time(
        [], file.rows(statements.own_bars(GUILD, me, bars, seen_to=window.to_at)), [], [], window, len(bars)
    ).bars
    own = [s for s in stays if s.user_id == me and s.guild_id == GUILD and not s.afk]
    assert heights == tuple(sum(present(s, bar) for s in own) for bar in bars)


@examples
@given(long_histories, long_windows, st.sampled_from(PEOPLE), st.integers(1, 3), st.integers(0, 4))
def test_own_sessions_one_by_one(stays, window, me, limit, offset):
    """The newest come first, page by page, and what each gives to the window adds up to the total."""
    file = filed(stays)
    own = sorted((s for s in of_guild(stays, window) if s.user_id == me), key=lambda s: -s.started_at)
    rows = file.rows(statements.own_sessions(GUILD, me, window, seen_to=window.to_at, limit=limit, offset=offset))
    page = own[offset : offset + limit]
    assert [row["session_id"] for row in rows] == [s.session_id for s in page]
    assert [row["in_window_ms"] for row in rows] == [present(s, window) for s in page]
    assert all(row["of_all"] == len(own) for row in rows)


@examples
@given(
    long_histories, long_windows, st.sampled_from(PEOPLE), st.integers(1, 3), st.integers(0, 3),
    st.sampled_from([None, GUILD * 100 + 1, GUILD * 100 + 3, (GUILD + 1) * 100 + 1]), since_when,
)  # fmt: skip
def test_leaderboard(stays, window, me, limit, offset, channel, since):
    """Only those who let the server see have a place, for what lies behind that; one's own place is always told."""
    file = filed(stays, since)
    totals: dict[int, int] = defaultdict(int)
    shown: dict[int, int] = defaultdict(int)
    for stay in of_guild(stays, window):
        if not stay.afk and channel in (None, stay.channel_id):
            totals[stay.user_id] += present(stay, window)
            if stay.user_id in since:
                shown[stay.user_id] += present(stay, seen(window, since[stay.user_id]))
    standings = sorted(((-ms, user) for user, ms in shown.items() if ms > 0))
    places = [(1 + sum(other[0] < ms for other in standings), user, -ms) for ms, user in standings]
    rows = file.rows(
        statements.leaderboard(GUILD, me, window, seen_to=window.to_at, limit=limit, offset=offset, channel_id=channel)
    )
    board = reports.leaderboard(rows)
    assert [(s.place, s.user_id, s.counted_ms) for s in board.page] == places[offset : offset + limit]
    assert all(s.display_name == f"Person {s.user_id}" for s in board.page)
    if totals[me] > 0:
        assert board.own is not None
        assert (board.own.counted_ms, board.own.place) == (totals[me], 1 + sum(-ms > totals[me] for ms, _ in standings))
        assert board.people == len(standings)
    else:
        assert board.own is None


def test_a_stay_that_runs_over_whole_blocks_counts_from_when_it_is_shown():
    """It is in no block's totals; somebody who began to show their time has it whole from then on, on every board."""
    file = filed([Stay(1, 1, EDGE, None)], {1: EDGE + HOUR})
    window = Window(0, EDGE + 4 * BLOCK_MS)
    for channel in (None, 1):
        rows = file.rows(statements.leaderboard(GUILD, 2, window, seen_to=window.to_at, limit=5, channel_id=channel))
        assert [s.counted_ms for s in reports.leaderboard(rows).page] == [4 * BLOCK_MS - HOUR]


def test_a_window_that_ends_before_somebody_showed_their_time_has_nothing_of_them():
    """Also if they sat there all the while."""
    file = filed([Stay(1, 1, EDGE, EDGE + 9 * HOUR)], {1: EDGE + 5 * HOUR})
    window = Window(EDGE + HOUR, EDGE + 2 * HOUR)
    assert file.rows(statements.shown_channels(GUILD, 1, window, seen_to=window.to_at)) == []
    assert file.rows(statements.shown_bars(GUILD, 1, [window], seen_to=window.to_at)) == []


def test_people_with_equal_times_share_a_place():
    """Two firsts are followed by a third; the order within a place is that of the ids."""
    file = ServiceFile()
    file.people([1, 2, 3])
    file.seat(Stay(3, 1, EDGE, EDGE + 10), Stay(1, 1, EDGE, EDGE + 20), Stay(2, 2, EDGE, EDGE + 20))
    rows = file.rows(statements.leaderboard(GUILD, 3, Window(EDGE, EDGE + 30), seen_to=EDGE + 30, limit=10))
    board = reports.leaderboard(rows)
    assert [(s.place, s.user_id) for s in board.page] == [(1, 1), (1, 2), (3, 3)]
    assert board.own.place == 3


@examples
@given(short_histories, short_windows, st.sampled_from(PEOPLE), st.sampled_from([None, *PEOPLE]), since_minutes)
def test_together_minute_by_minute(stays, window, me, member, since):
    """Pairs: minutes of both in one channel, first, last and favourite; from when on both let the server see."""
    file = filed(stays, since)
    mine = [s for s in stays if s.user_id == me and s.guild_id == GUILD]
    shared: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for minute, here in minutes([s for s in stays if s.guild_id == GUILD], window).items():
        for my in [s for s in here if s in mine]:
            for other in here:
                both = min(since.get(user, window.to_at) <= minute for user in (me, other.user_id))
                if other.user_id != me and other.channel_id == my.channel_id and both:
                    shared[other.user_id][my.channel_id].append(minute)
    found = reports.companions(
        file.rows(statements.together(GUILD, me, window, seen_to=window.to_at, limit=10, member_id=member))
    )
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
    found = reports.companions(file.rows(statements.together(GUILD, me, window, seen_to=window.to_at, limit=10)))
    assert {c.user_id: c.together_ms for c in found} == {user: ms for user, ms in shared.items() if ms > 0}


@examples
@given(short_histories, short_windows, st.sampled_from(PEOPLE), since_minutes)
def test_alone_minute_by_minute(stays, window, me, since):
    """The minutes of one's own time in which nobody whose time one may see was in the channel; not in the AFK one."""
    file = filed(stays, since)
    [row] = file.rows(statements.own_alone(GUILD, me, window, seen_to=window.to_at))
    alone = 0
    for minute, here in minutes([s for s in stays if s.guild_id == GUILD], window).items():
        for my in [s for s in here if s.user_id == me]:
            alone += not any(
                s.channel_id == my.channel_id and s.user_id != me and since.get(s.user_id, window.to_at) <= minute
                for s in here
            )
    assert row["alone_ms"] == alone * MINUTE


@examples
@given(long_histories, long_windows, st.sampled_from(PEOPLE), since_when, st.sampled_from(["UTC", "Asia/Kathmandu"]))
def test_time_of_somebody_else(stays, window, user, since, zone):
    """Only what lies behind the moment from which it is shown, a session that this cuts as one; nothing of the AFK."""
    file = filed(stays, since)
    bars = bars_of(window, ZoneInfo(zone), most=31)
    time = reports.shown_time(
        file.rows(statements.shown_channels(GUILD, user, window, seen_to=window.to_at)),
        file.rows(statements.shown_bars(GUILD, user, bars, seen_to=window.to_at)),
        len(bars),
    )
    behind = seen(window, since.get(user, window.to_at))
    own = [s for s in stays if s.user_id == user and s.guild_id == GUILD and not s.afk and user in since]
    own = [s for s in own if behind.from_at < behind.to_at and touches(s, behind)]
    assert (time.sessions, time.counted_ms) == (len(own), sum(present(s, behind) for s in own))
    assert {channel for channel, _, _ in time.channels} == {s.channel_id for s in own}
    for channel, sessions, counted_ms in time.channels:
        here = [s for s in own if s.channel_id == channel]
        assert (sessions, counted_ms) == (len(here), sum(present(s, behind) for s in here))
    assert time.bars == tuple(
        sum(present(s, Window(max(bar.from_at, behind.from_at), bar.to_at)) for s in own if bar.to_at > behind.from_at)
        for bar in bars
    )


@pytest.mark.parametrize(
    ("window", "muted"),
    [(Window(0, 1000), 250), (Window(0, 500), 125), (Window(750, 2000), 62), (Window(0, 2000), 250)],
)
def test_states_of_a_cut_session_count_in_proportion(window, muted):
    """Of a session of 1000 ms with 250 ms muted, half of the session counts 125 ms."""
    file = ServiceFile()
    file.seat(Stay(1, 1, 0, 1000, muted_ms=250))
    assert file.rows(statements.own_channels(GUILD, 1, window, seen_to=window.to_at))[0]["muted_ms"] == muted


def test_states_of_a_running_session_count_to_the_end_of_the_window():
    """Muted for 100 of its first 400 ms, and ever since: 100 + 600 of 1000; deafened no longer: 50."""
    file = ServiceFile()
    file.seat(Stay(1, 1, 0, None, muted_ms=100, deafened_ms=50, flags=1, flags_at=400))
    window = Window(0, 1000)
    time = reports.voice_time(
        file.rows(statements.own_channels(GUILD, 1, window, seen_to=window.to_at)),
        [],
        file.rows(statements.own_running(GUILD, 1, seen_to=window.to_at)),
        file.rows(statements.own_alone(GUILD, 1, window, seen_to=window.to_at)),
        window,
        0,
    )
    assert time.states == reports.States(muted_ms=700, deafened_ms=50, alone_ms=1000)
    assert time.running == reports.Running(1, 0, 1000)


def test_reports_of_an_empty_server_are_empty():
    """Nothing stored: no rows, zeros, no own place."""
    file = ServiceFile()
    window = Window(0, 10)
    cells = cells_of(Window(EDGE, EDGE + 10), EDGE + 10, ZoneInfo("UTC"))
    use = reports.channel_time(file.rows(channel_time(GUILD, 1, cells, seen_to=EDGE + 10, limit=5)))
    assert use == reports.ChannelTime(reports.ChannelUse(None, False, 0, 0), (), 0, (0,) * 168)
    assert (
        reports.leaderboard(file.rows(statements.leaderboard(GUILD, 1, window, seen_to=window.to_at, limit=5))).own
        is None
    )
    assert file.rows(statements.own_alone(GUILD, 1, window, seen_to=window.to_at)) == [{"alone_ms": 0}]


def test_a_member_is_visible_only_by_choice():
    """Who keeps it to themselves, who left and who never came look alike: no row."""
    file = filed([])
    assert [user for user in (1, 4, 5, 6) if file.rows(statements.shown_member(GUILD, user))] == [1]
    assert not file.rows(statements.shown_member(GUILD + 2, 1))
