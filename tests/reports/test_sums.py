"""What sums people up is exact for those whom the asker sees, and of the others is about three people or nobody."""

from __future__ import annotations

import itertools
from collections import defaultdict
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db_client import reports
from db_client.periods import DAY_MS, HOUR_MS, Period, Window, days_of, week_hour, window_of
from db_client.report_cells import DRAWN_MS, cells_of
from db_client.report_sums import SMALLEST_GROUP, channel_time
from db_client.report_windows import BLOCK_MS
from tests.reports.guilds import STRANGER, RandomGuild, random_guild
from tests.reports.service_file import GUILD, ServiceFile, Stay
from tests.reports.stories import as_seen, present

BERLIN = ZoneInfo("Europe/Berlin")
NOON = int(datetime(2026, 11, 20, 12, 30, tzinfo=BERLIN).timestamp()) * 1000
MIDNIGHT = int(datetime(2026, 11, 20, tzinfo=BERLIN).timestamp()) * 1000


def asked(
    file: ServiceFile, viewer: int, period: Period, now: int, zone: ZoneInfo, seen_to: int | None = None
) -> reports.ChannelTime:
    """The report as the viewer gets it; the server is seen now, if nothing else is said."""
    seen_to = now if seen_to is None else seen_to
    cells = cells_of(window_of(period, now, zone), now, zone)
    return reports.channel_time(file.rows(channel_time(GUILD, viewer, cells, seen_to=seen_to, limit=10)))


def by_hand(guild: RandomGuild, viewer: int, period: Period) -> tuple[dict[tuple[int | None, int], int], list[int]]:
    """By channel (None: others) and AFK the time, and the drawn hours: the same rules, one piece after the other."""
    zone, now = guild.zone, guild.now
    window = window_of(period, now, zone)
    recent_from = (now - DRAWN_MS) // BLOCK_MS * BLOCK_MS
    sums: dict[tuple[int | None, int], int] = defaultdict(int)
    hours = [0] * 168
    groups: dict[tuple[int, int, int, int], dict[int, int]] = defaultdict(lambda: defaultdict(int))
    edges = {window.from_at, window.to_at, *range(0, recent_from + 1, BLOCK_MS)}
    edges.add(window_of(Period.THIS_YEAR, now, zone).from_at)
    drawn: dict[int, bool] = {}
    for day in days_of(Window(recent_from, now), zone):
        edges |= {max(day.from_at, recent_from), day.to_at}
        if day.from_at >= now - DRAWN_MS:
            changes = _wall_hours(Window(max(day.from_at, recent_from), min(day.to_at, now)), zone)
            edges |= set(changes)
            drawn |= dict.fromkeys(range(day.from_at, day.to_at, 60_000), True)
    cuts = sorted(edge for edge in edges if window.from_at <= edge <= window.to_at)
    stretch_of = _stretches(cuts, guild, recent_from)
    closed_to = max(edge for edge in _wall_hours(Window(now - 2 * HOUR_MS, now), zone) if edge <= now)
    for stay in as_seen(guild.stays, guild.seen_to):
        hidden = guild.hidden(stay, viewer)
        for a, b in itertools.pairwise(cuts):
            piece = Window(a, b)
            unseen = max(0, min(b, hidden.to_at, closed_to) - max(a, hidden.from_at))
            seen = present(stay, piece) - max(0, min(b, hidden.to_at) - max(a, hidden.from_at))
            sums[stay.channel_id, stay.afk] += seen
            if a in drawn and not stay.afk:
                hours[week_hour(a, zone)] += seen
            if unseen:
                groups[stretch_of(a), a, stay.channel_id, stay.afk][stay.user_id] += unseen
    left: dict[tuple[int, int, int], dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for (stretch, a, channel, afk), people in groups.items():
        if len(people) >= SMALLEST_GROUP:
            sums[channel, afk] += sum(people.values())
            if a in drawn and not afk:
                hours[week_hour(a, zone)] += sum(people.values())
        elif stretch != stretch_of(now - 1) or window.to_at != now:
            for user, ms in people.items():
                left[stretch, channel, afk][user] += ms
    others: dict[tuple[int, int], dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for (stretch, channel, afk), people in left.items():
        if len(people) >= SMALLEST_GROUP:
            sums[channel, afk] += sum(people.values())
        else:
            for user, ms in people.items():
                others[stretch, afk][user] += ms
    for (_, afk), people in others.items():
        if len(people) >= SMALLEST_GROUP:
            sums[None, afk] += sum(people.values())
    return {key: ms for key, ms in sums.items() if ms}, hours


def _wall_hours(window: Window, zone: ZoneInfo) -> list[int]:
    """Where, within the window, the minutes on the wall begin a new hour or jump."""
    walls = {}
    for at in range(window.from_at - window.from_at % 60_000, window.to_at + 1, 60_000):
        local = datetime.fromtimestamp(at / 1000, zone)
        walls[at] = (local.replace(tzinfo=None), local.utcoffset())
    found = []
    for at, (wall, offset) in walls.items():
        before = walls.get(at - 60_000)
        if wall.minute == 0 or before is None or before[1] != offset:
            found.append(at)
    return found


def _stretches(cuts, guild, recent_from):
    """To which stretch a moment belongs: a block (cut by the year), or a local day (cut where clocks change)."""
    year = window_of(Period.THIS_YEAR, guild.now, guild.zone).from_at

    def of(at: int) -> int:
        if at < recent_from:
            block = at // BLOCK_MS
            return -2 * block - (at >= year)
        local = datetime.fromtimestamp(at / 1000, guild.zone)
        offset = local.utcoffset()
        day = next(d for d in days_of(Window(at, at + 1), guild.zone) if d.from_at <= at < d.to_at)
        drawn = day.from_at >= guild.now - DRAWN_MS
        return day.date.toordinal() * 100_000 + (int(offset.total_seconds() // 60) + 50_000 if drawn else 0)

    return of


@settings(deadline=None, max_examples=120)
@given(st.integers(0, 10**9), st.sampled_from(list(Period)), st.sampled_from([1, 2, 3, STRANGER]))
def test_sums_are_made_of_whole_groups(seed, period, viewer):
    """Per channel and hour of the week the report is what the rules give, piece by piece."""
    guild = random_guild(seed)
    sums, hours = by_hand(guild, viewer, period)
    use = asked(guild.file(), viewer, period, guild.now, guild.zone, guild.seen_to)
    assert use.server.counted_ms == sum(ms for (_, afk), ms in sums.items() if not afk)
    assert use.server.afk_ms == sum(ms for (_, afk), ms in sums.items() if afk)
    channels = {channel for channel, _ in sums if channel is not None}
    assert {c.channel_id for c in use.busiest} == channels
    assert use.channels == len(channels)
    for one in use.busiest:
        assert one.counted_ms == sums.get((one.channel_id, 0), 0)
        assert one.afk_ms == sums.get((one.channel_id, 1), 0)
    assert list(use.hours) == hours


def hours_ago(user: int, hours: float, length: float = 1, channel: int = 101, **more: int) -> Stay:
    """A stay that began so many hours before noon and lasted so many hours."""
    begin = NOON - int(hours * HOUR_MS)
    return Stay(user, channel, begin, begin + int(length * HOUR_MS), **more)


def told(stays: list[Stay], period: Period, viewer: int = STRANGER, **people: object) -> tuple[int, int, int]:
    """Hours of the server, AFK hours of it, and how many channels are told, of people who keep it to themselves."""
    file = ServiceFile()
    file.people(people.get("visible", {}), {s.user_id for s in stays} - set(people.get("visible", {})))
    file.seat(*stays)
    use = asked(file, viewer, period, NOON, BERLIN)
    return use.server.counted_ms // HOUR_MS, use.server.afk_ms // HOUR_MS, use.channels


@pytest.mark.parametrize("period", [Period.TODAY, Period.LAST_7_DAYS, Period.THIS_YEAR, Period.ALL])
def test_of_two_nothing_is_told_and_of_three_the_sum(period):
    """People who keep their time to themselves: two look like none."""
    three = [hours_ago(user, 3) for user in (1, 2, 3)]
    assert told(three[:1], period) == told(three[:2], period) == told([], period) == (0, 0, 0)
    assert told(three, period) == (3, 0, 1)


def test_the_asker_is_none_of_the_three():
    """Who asks sees their own time, and knows it: three others must be there."""
    three = [hours_ago(user, 3) for user in (1, 2, 3)]
    assert told(three, Period.TODAY, viewer=1) == (1, 0, 1)
    assert told([*three, hours_ago(4, 3)], Period.TODAY, viewer=1) == (4, 0, 1)


def test_whom_the_asker_sees_by_name_is_counted_exactly_and_is_none_of_the_three():
    """Also up to this moment, and from the moment on from which it is shown."""
    shown = [hours_ago(1, 3), hours_ago(2, 1, 1)]
    assert told(shown, Period.TODAY, visible={1: 0, 2: 0}) == (2, 0, 1)
    hidden = [hours_ago(user, 3) for user in (3, 4)]
    assert told([*shown, *hidden], Period.TODAY, visible={1: 0, 2: 0}) == (2, 0, 1)
    from_three_to_five = [Stay(1, 101, NOON - 4 * HOUR_MS, NOON)]
    assert told(from_three_to_five, Period.TODAY, visible={1: NOON - 2 * HOUR_MS}) == (2, 0, 1)


def test_of_today_only_hours_that_are_over_count_and_of_other_days_the_rest_as_well():
    """Three people, one after the other, are three on that day once it is over."""
    in_turn = [hours_ago(user, 10 - 2 * user) for user in (1, 2, 3)]
    assert told(in_turn, Period.TODAY) == (0, 0, 0)
    assert told([hours_ago(s.user_id, 32 - 2 * s.user_id) for s in in_turn], Period.LAST_7_DAYS) == (3, 0, 1)
    now = [hours_ago(user, 0.5, 0.5) for user in (1, 2, 3)]
    assert told(now, Period.TODAY) == (0, 0, 0)  # 12:00 to 12:30: the hour is not over
    assert told([hours_ago(user, 1.5, 1.5) for user in (1, 2, 3)], Period.TODAY) == (3, 0, 1)


def test_small_groups_of_several_channels_are_others_together():
    """In the sum of the server, and in no channel's; the AFK channel is put together with none."""
    apart = [hours_ago(user, 30, channel=100 + user) for user in (1, 2, 3)]
    assert told(apart, Period.LAST_7_DAYS) == (3, 0, 0)
    one_afk = [*apart[:2], hours_ago(3, 30, channel=103, afk=1)]
    assert told(one_afk, Period.LAST_7_DAYS) == (0, 0, 0)
    assert told([hours_ago(user, 30, channel=103, afk=1) for user in (1, 2, 3)], Period.LAST_7_DAYS) == (0, 3, 1)


def test_long_ago_whole_blocks_are_the_cells_and_who_shows_it_from_within_one_is_exact():
    """One person shows their time from the middle of a block on: what lies behind counts, what lies before does not."""
    block = NOON // BLOCK_MS * BLOCK_MS - 3 * BLOCK_MS
    first, later = (
        Stay(1, 101, block + DAY_MS, block + 2 * DAY_MS),
        Stay(1, 101, block + 9 * DAY_MS, block + 11 * DAY_MS),
    )
    assert told([first, later], Period.ALL, visible={1: block + 10 * DAY_MS}) == (24, 0, 1)
    others = [Stay(user, 101, block + 50 * DAY_MS, block + 51 * DAY_MS) for user in (2, 3)]
    assert told([first, later, *others], Period.ALL, visible={1: block + 10 * DAY_MS}) == (24 * 5, 0, 1)
    assert told([first, later, *others[1:]], Period.ALL, visible={1: block + 10 * DAY_MS}) == (24, 0, 1)


def test_what_still_runs_since_long_ago_lies_in_every_cell_on_its_way():
    """Three who have sat since the beginning of the last three whole blocks, in the sum of all time."""
    begin = NOON // BLOCK_MS * BLOCK_MS - 3 * BLOCK_MS + HOUR_MS
    assert told([Stay(user, 101, begin, None) for user in (1, 2, 3)], Period.ALL) == (
        3 * ((NOON - HOUR_MS // 2 - begin) // HOUR_MS), 0, 1)  # fmt: skip


def test_what_was_seen_last_long_ago_ends_in_the_cell_of_that_moment():
    """The same three, and one who shows it; their server was last seen on a day of the second of those blocks."""
    block = NOON // BLOCK_MS * BLOCK_MS - 3 * BLOCK_MS
    begin, seen = block + HOUR_MS, block + BLOCK_MS + 5 * DAY_MS
    file = ServiceFile()
    file.people([4], [1, 2, 3])
    file.seat(*(Stay(user, 101, begin, None) for user in (1, 2, 3, 4)))
    assert asked(file, STRANGER, Period.ALL, NOON, BERLIN, seen).server.counted_ms == 4 * (seen - begin)
    file.connection.execute("DELETE FROM voice_sessions WHERE user_id = 3")
    assert asked(file, STRANGER, Period.ALL, NOON, BERLIN, seen).server.counted_ms == seen - begin


def test_every_period_is_made_of_whole_cells():
    """At one moment no edge of a period lies inside a span or block of another's."""
    for zone in (BERLIN, ZoneInfo("America/St_Johns"), ZoneInfo("Australia/Lord_Howe")):
        for day in range(0, 400, 9):
            now = NOON + day * DAY_MS
            windows = [window_of(period, now, zone) for period in Period]
            everything = cells_of(window_of(Period.ALL, now, zone), now, zone)
            for window in windows:
                cells = cells_of(window, now, zone)
                assert set(cells.spans) <= set(everything.spans)
                assert cells.closed_to == everything.closed_to
                covered = [Window(a * BLOCK_MS, b * BLOCK_MS) for a, b in cells.blocks]
                covered = sorted([*covered, *(Window(span.from_at, span.to_at) for span in cells.spans)])
                assert covered[0].from_at <= window.from_at < covered[0].to_at
                assert covered[-1].to_at == window.to_at
                assert all(a.to_at == b.from_at for a, b in itertools.pairwise(covered))


def test_the_hours_of_many_weeks_are_added_up():
    """Somebody who has sat for three weeks fills each hour of the week three times."""
    file = ServiceFile()
    file.people([1])
    file.seat(Stay(1, 101, MIDNIGHT - 21 * DAY_MS, MIDNIGHT))
    use = asked(file, STRANGER, Period.ALL, NOON, BERLIN)
    assert use.hours == (3 * HOUR_MS,) * 168
