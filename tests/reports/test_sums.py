"""What sums people up is exact for those whom the asker sees, and of the others is about three people or nobody."""

from __future__ import annotations

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
from tests.reports.stories import present

BERLIN = ZoneInfo("Europe/Berlin")
NOON = int(datetime(2026, 11, 20, 12, 30, tzinfo=BERLIN).timestamp()) * 1000
MIDNIGHT = int(datetime(2026, 11, 20, tzinfo=BERLIN).timestamp()) * 1000


def asked(file: ServiceFile, viewer: int, period: Period, now: int, zone: ZoneInfo) -> reports.ChannelTime:
    """The report as the viewer gets it."""
    cells = cells_of(window_of(period, now, zone), now, zone)
    return reports.channel_time(file.rows(channel_time(GUILD, viewer, cells, limit=10)))


def by_hand(guild: RandomGuild, viewer: int, period: Period) -> tuple[dict[tuple[int | None, int], int], list[int]]:
    """By channel (None: others) and AFK the time, and the drawn hours: the same rules, one piece after the other."""
    zone, now = guild.zone, guild.now
    window = window_of(period, now, zone)
    recent_from = (now - DRAWN_MS) // BLOCK_MS * BLOCK_MS
    sums: dict[tuple[int | None, int], int] = defaultdict(int)
    hours = [0] * 168
    groups: dict[tuple[int, int, int, int], dict[int, int]] = defaultdict(lambda: defaultdict(int))
    stretches = {window.from_at: 0}
    edges = {window.from_at, window.to_at, *range(0, recent_from + 1, BLOCK_MS)}
    edges.add(window_of(Period.THIS_YEAR, now, zone).from_at)
    drawn: dict[int, bool] = {}
    for day in days_of(Window(recent_from, now), zone):
        edges |= {day.from_at, day.to_at}
        if day.from_at >= now - DRAWN_MS:
            changes = _wall_hours(Window(day.from_at, min(day.to_at, now)), zone)
            edges |= set(changes)
            drawn |= dict.fromkeys(range(day.from_at, day.to_at, 60_000), True)
    cuts = sorted(edge for edge in edges if window.from_at <= edge <= window.to_at)
    stretch_of = _stretches(cuts, guild, recent_from)
    closed_to = max(edge for edge in _wall_hours(Window(now - 2 * HOUR_MS, now), zone) if edge <= now)
    del stretches
    for stay in guild.stays:
        hidden = guild.hidden(stay, viewer)
        for a, b in zip(cuts, cuts[1:], strict=False):
            piece = Window(a, b)
            unseen = max(0, min(b, hidden.to_at, closed_to) - max(a, hidden.from_at))
            seen = present(stay, piece) - max(0, min(b, hidden.to_at) - max(a, hidden.from_at))
            if stay.ended_at is None:
                seen = max(0, b - max(a, hidden.to_at))
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
    use = asked(guild.file(), viewer, period, guild.now, guild.zone)
    assert use.server.counted_ms == sum(ms for (_, afk), ms in sums.items() if not afk)
    assert use.server.afk_ms == sum(ms for (_, afk), ms in sums.items() if afk)
    channels = {channel for channel, _ in sums if channel is not None}
    assert {c.channel_id for c in use.busiest} == channels
    assert use.channels == len(channels)
    for one in use.busiest:
        assert one.counted_ms == sums.get((one.channel_id, 0), 0)
        assert one.afk_ms == sums.get((one.channel_id, 1), 0)
    assert list(use.hours) == hours
