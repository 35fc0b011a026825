"""Periods of time in a time zone, cut exactly at local midnights (pure; the moment "now" is an argument).

A day begins at the first instant that bears its date, also where clocks are set forward at midnight (the day begins at
01:00) or back over it (the day begins at the first of the two midnights). Days of 23 and 25 hours keep their length.
All moments are milliseconds since 1970 UTC; every window is [from, to).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from enum import Enum
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from db_client.snowflake import DISCORD_EPOCH_MS

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
WEEK_HOURS = 7 * 24
DEFAULT_ZONE = "UTC"


class Period(Enum):
    """The periods that people can ask for; the values are the choices of the commands."""

    TODAY = "today"
    YESTERDAY = "yesterday"
    THIS_WEEK = "this_week"
    LAST_7_DAYS = "last_7_days"
    THIS_MONTH = "this_month"
    LAST_30_DAYS = "last_30_days"
    THIS_YEAR = "this_year"
    ALL = "all"


class Window(NamedTuple):
    """The moments t with from_at <= t < to_at, in milliseconds since 1970 UTC."""

    from_at: int
    to_at: int


class Day(NamedTuple):
    """A calendar day in some zone, as the window from its midnight to the next one."""

    date: date
    from_at: int
    to_at: int


_BAR_BEGINNINGS: tuple[Callable[[date], bool], ...] = (
    lambda day: True,
    lambda day: day.weekday() == 0,
    lambda day: day.day == 1,
)


class UnknownZone(ValueError):
    """The name is not a time zone of the IANA database."""


@cache
def zone_names() -> tuple[str, ...]:
    """All IANA names that a person may choose, sorted; without the machine's own `localtime` and the like."""
    return tuple(sorted(n for n in available_timezones() if "/" in n or n == "UTC" if not n.startswith("posix")))


def zone_named(name: str | None) -> ZoneInfo:
    """The zone of that IANA name, UTC for None; raises UnknownZone."""
    try:
        return ZoneInfo(name or DEFAULT_ZONE)
    except (ZoneInfoNotFoundError, ValueError, OSError) as problem:
        raise UnknownZone(f"{name!r} is not a time zone of the IANA database") from problem


def window_of(period: Period, now: int, zone: ZoneInfo) -> Window:
    """The period's window as it stands at `now`; all but yesterday end at `now`, "all" begins with Discord.

    The last 7 and 30 days include today, so they begin at a midnight as well. Weeks begin on Monday.
    """
    today = local_date(now, zone)
    if period is Period.YESTERDAY:
        return Window(midnight(today - timedelta(days=1), zone), midnight(today, zone))
    first = {
        Period.TODAY: today,
        Period.THIS_WEEK: today - timedelta(days=today.weekday()),
        Period.LAST_7_DAYS: today - timedelta(days=6),
        Period.THIS_MONTH: today.replace(day=1),
        Period.LAST_30_DAYS: today - timedelta(days=29),
        Period.THIS_YEAR: today.replace(month=1, day=1),
    }.get(period)
    return Window(midnight(first, zone) if first else DISCORD_EPOCH_MS, now)


def recent(window: Window, most: int = 13 * 7 * DAY_MS) -> Window:
    """The window, or its last `most` ms if it is longer (a heat map shows how a server is used now)."""
    return Window(max(window.from_at, window.to_at - most), window.to_at)


def bars_of(window: Window, zone: ZoneInfo, most: int = 31) -> list[Window]:
    """The window cut at local midnights into days, weeks (from Monday) or months, the finest that make at most `most`.

    In order and without holes; the first and the last are cut to the window. Of more months the newest are given.
    """
    days = list(days_of(window, zone))
    starts: list[int] = []
    for begins in _BAR_BEGINNINGS:
        starts = [max(window.from_at, day.from_at) for n, day in enumerate(days) if n == 0 or begins(day.date)]
        if len(starts) <= most:
            break
    starts = starts[-most:] or [window.from_at]  # today, asked for in its first millisecond, has no day yet
    return [Window(a, b) for a, b in zip(starts, [*starts[1:], window.to_at], strict=True)]


def days_of(window: Window, zone: ZoneInfo) -> Iterator[Day]:
    """The calendar days that the window touches, oldest first, each whole (not cut to the window)."""
    day = local_date(window.from_at, zone)
    start = midnight(day, zone)
    while start < window.to_at:
        following = day + timedelta(days=1)
        end = midnight(following, zone)
        if end > start:  # a date that a zone left out (Samoa's 2011-12-30) has no length and is no day
            yield Day(day, start, end)
        day, start = following, end


def local_date(moment: int, zone: ZoneInfo) -> date:
    """The date in the zone at that moment."""
    return datetime.fromtimestamp(moment // 1000, zone).date()


def midnight(day: date, zone: ZoneInfo) -> int:
    """The first moment at which the zone's date is `day` or, where the zone left that date out, later."""
    found = int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())
    if _date(found - 1, zone) < day:
        return found * 1000
    # Midnight lies inside a gap that began on the day before (23:30 to 00:30): the day begins where the gap ends.
    before, found = found - 86_400, found
    while found - before > 1:
        middle = (before + found) // 2
        before, found = (middle, found) if _date(middle, zone) < day else (before, middle)
    return found * 1000


def week_hour(moment: int, zone: ZoneInfo) -> int:
    """The hour of the local week at that moment: 0 is Monday from 00:00, 167 is Sunday from 23:00."""
    local = datetime.fromtimestamp(moment // 1000, zone)
    return local.weekday() * 24 + local.hour


def steady_windows(window: Window, zone: ZoneInfo) -> list[tuple[Window, int]]:
    """The window cut where the zone changes its clocks, each piece with its offset (local minus UTC) in ms."""
    pieces: list[tuple[Window, int]] = []
    start = window.from_at
    while start < window.to_at:
        offset = _offset(start // 1000, zone)
        end = _next_change(start // 1000, window.to_at // 1000, zone) * 1000
        end = min(max(end, start + 1), window.to_at) if end > start else window.to_at
        pieces.append((Window(start, end), offset * 1000))
        start = end
    return pieces


def _next_change(after: int, before: int, zone: ZoneInfo) -> int:
    """The first second in (after, before] from which the offset differs from that at `after`; else before + 1."""
    offset, low = _offset(after, zone), after
    while low <= before:
        # No zone changes its clocks and back within a week, so a step of a week steps over no change.
        high = low + 7 * 86_400
        if _offset(high, zone) == offset:
            low = high
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if _offset(middle, zone) == offset else (low, middle)
        return high
    return before + 1


def _offset(second: int, zone: ZoneInfo) -> int:
    offset = datetime.fromtimestamp(second, zone).utcoffset()
    return round(offset.total_seconds()) if offset is not None else 0


def _date(second: int, zone: ZoneInfo) -> date:
    return datetime.fromtimestamp(second, zone).date()
