"""Periods are cut exactly at local midnights, whatever the zone's clocks do."""

import itertools
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db_client.periods import (
    DAY_MS,
    HOUR_MS,
    Period,
    UnknownZone,
    Window,
    bars_of,
    days_of,
    local_date,
    midnight,
    recent,
    steady_windows,
    week_hour,
    window_of,
    zone_named,
    zone_names,
)

BERLIN = ZoneInfo("Europe/Berlin")
# Zones that change clocks at midnight, by half an hour, that lie at odd offsets, that left out a day, and plain ones.
ODD_ZONES = [
    "UTC", "Europe/Berlin", "America/New_York", "America/St_Johns", "America/Havana", "America/Santiago",
    "Asia/Beirut", "Asia/Kathmandu", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia", "Pacific/Chatham",
    "Africa/Cairo", "America/Sao_Paulo", "Africa/Casablanca",
]  # fmt: skip
moments = st.integers(min_value=1_420_070_400_000, max_value=1_900_000_000_000)
zones = st.sampled_from(ODD_ZONES).map(ZoneInfo)


def at(text: str) -> int:
    """The moment that an ISO text with an offset names."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def slow_midnight(day: date, zone: ZoneInfo) -> int:
    """Second by second would be obvious; half an hour by half an hour, then second by second, is the same, sooner."""
    second = round(datetime(day.year, day.month, day.day, tzinfo=timezone.utc).timestamp()) - 86_400
    for step in (1800, 60, 1):
        while datetime.fromtimestamp(second + step, zone).date() < day:
            second += step
    return (second + 1) * 1000


@pytest.mark.parametrize(
    ("period", "from_at", "to_at"),
    [
        (Period.TODAY, "2026-11-18T00:00+01:00", "2026-11-18T15:30+01:00"),
        (Period.YESTERDAY, "2026-11-17T00:00+01:00", "2026-11-18T00:00+01:00"),
        (Period.THIS_WEEK, "2026-11-16T00:00+01:00", "2026-11-18T15:30+01:00"),
        (Period.LAST_7_DAYS, "2026-11-12T00:00+01:00", "2026-11-18T15:30+01:00"),
        (Period.THIS_MONTH, "2026-11-01T00:00+01:00", "2026-11-18T15:30+01:00"),
        (Period.LAST_30_DAYS, "2026-10-20T00:00+02:00", "2026-11-18T15:30+01:00"),
        (Period.THIS_YEAR, "2026-01-01T00:00+01:00", "2026-11-18T15:30+01:00"),
        (Period.ALL, "2015-01-01T00:00+00:00", "2026-11-18T15:30+01:00"),
    ],
)
def test_each_period_begins_at_a_midnight_of_the_zone(period, from_at, to_at):
    """A period begins at the local midnight its name says and ends now, yesterday at the next midnight."""
    assert window_of(period, at("2026-11-18T15:30+01:00"), BERLIN) == Window(at(from_at), at(to_at))


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("America/New_York", date(2026, 3, 8), 23),
        ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
        ("America/Santiago", date(2026, 9, 6), 23),
        ("Asia/Kathmandu", date(2026, 7, 1), 24),
    ],
)
def test_days_have_the_length_their_zone_gives_them(zone, day, hours):
    """Days of 23, 24.5 and 25 hours keep their length, also where clocks change at midnight."""
    assert midnight(day + timedelta(days=1), ZoneInfo(zone)) - midnight(day, ZoneInfo(zone)) == hours * HOUR_MS


def test_a_midnight_that_does_not_exist_is_the_moment_the_clock_jumps():
    """In Santiago 2026-09-06 began at 01:00."""
    assert midnight(date(2026, 9, 6), ZoneInfo("America/Santiago")) == at("2026-09-06T01:00-03:00")


def test_of_two_midnights_the_first_begins_the_day():
    """In Havana on 2026-11-01 the clock went from 01:00 back to 00:00."""
    assert midnight(date(2026, 11, 1), ZoneInfo("America/Havana")) == at("2026-11-01T00:00-04:00")


def test_a_day_that_a_zone_left_out_is_no_day():
    """Samoa went from 2011-12-29 to 2011-12-31."""
    apia = ZoneInfo("Pacific/Apia")
    window = Window(midnight(date(2011, 12, 29), apia), midnight(date(2012, 1, 1), apia))
    assert [day.date.day for day in days_of(window, apia)] == [29, 31]


def test_a_gap_around_midnight_ends_where_the_day_begins():
    """In Toronto clocks went from 23:30 on 1919-03-30 to 00:30 on the 31st."""
    toronto = ZoneInfo("America/Toronto")
    assert midnight(date(1919, 3, 31), toronto) == at("1919-03-31T00:30-04:00")


@given(moments, zones)
def test_midnight_is_the_first_second_that_bears_the_date(moment, zone):
    """Equal to looking at each second."""
    day = local_date(moment, zone)
    assert midnight(day, zone) == slow_midnight(day, zone)


@given(moments, zones, st.sampled_from(Period))
def test_a_period_holds_the_moments_before_now_that_its_dates_name(now, zone, period):
    """No period but yesterday reaches another date than it names, and none ends after now."""
    window = window_of(period, now, zone)
    assert window.from_at <= window.to_at <= now
    if period in (Period.TODAY, Period.YESTERDAY) and window.to_at > window.from_at:
        dates = {local_date(window.from_at, zone), local_date(window.to_at - 1, zone)}
        assert len(dates) == 1


@given(moments, st.integers(1, 400 * DAY_MS), zones, st.integers(2, 60))
def test_bars_fill_the_window_without_holes(start, length, zone, most):
    """Bars follow one another, end with the window, are at most as many as asked, and are cut at midnights."""
    window = Window(start, start + length)
    bars = bars_of(window, zone, most)
    assert 1 <= len(bars) <= most
    assert bars[-1].to_at == window.to_at
    assert all(a.to_at == b.from_at for a, b in itertools.pairwise(bars))
    assert all(bar.from_at == midnight(local_date(bar.from_at, zone), zone) for bar in bars[1:])
    assert bars[0].from_at == window.from_at or len(bars) == most


def test_bars_are_days_then_weeks_then_months():
    """The finest cut that fits is taken."""
    end = at("2026-11-18T15:30+01:00")
    assert len(bars_of(window_of(Period.LAST_30_DAYS, end, BERLIN), BERLIN)) == 30
    assert len(bars_of(window_of(Period.THIS_YEAR, end, BERLIN), BERLIN)) == 11
    assert len(bars_of(window_of(Period.THIS_YEAR, end, BERLIN), BERLIN, most=60)) == 47


@given(moments, st.integers(1, 900 * DAY_MS), zones)
def test_steady_windows_fill_the_window_and_never_change_their_clock(start, length, zone):
    """Each piece has one offset from its first to its last second."""
    window = Window(start, start + length)
    pieces = steady_windows(window, zone)
    assert pieces[0][0].from_at == window.from_at
    assert pieces[-1][0].to_at == window.to_at
    assert all(a[0].to_at == b[0].from_at for a, b in itertools.pairwise(pieces))
    for piece, offset in pieces:
        for second in {piece.from_at // 1000, (piece.to_at - 1) // 1000, (piece.from_at + piece.to_at) // 2000}:
            assert datetime.fromtimestamp(second, zone).utcoffset() == timedelta(milliseconds=offset)


def test_the_week_begins_on_monday_at_midnight():
    """Hour 0 is Monday from 00:00, hour 167 Sunday from 23:00."""
    assert week_hour(at("2026-11-16T00:00+01:00"), BERLIN) == 0
    assert week_hour(at("2026-11-22T23:59+01:00"), BERLIN) == 167


def test_recent_is_the_end_of_a_long_window():
    """A short window stays as it is."""
    assert recent(Window(0, 10), 5) == Window(5, 10)
    assert recent(Window(7, 10), 5) == Window(7, 10)


@pytest.mark.parametrize("name", ["Mars/Olympus", "../etc/passwd", "", "Europe", "UTC\0", "x" * 300])
def test_what_is_no_zone_is_said_so(name):
    """Only names of the IANA database are zones; an unset zone is UTC."""
    if name == "":
        assert zone_named(name).key == "UTC"
        return
    with pytest.raises(UnknownZone):
        zone_named(name)


def test_zone_names_are_names_that_can_be_chosen():
    """Every name offered is a zone, and the usual ones are there."""
    assert {"Europe/Berlin", "UTC", "Asia/Kolkata"} <= set(zone_names())
    assert all(zone_named(name) for name in zone_names())


def test_today_has_one_empty_bar_in_its_first_millisecond():
    """Asked for at midnight to the millisecond, a day has nothing yet; asking for it is no error."""
    zone = ZoneInfo("Europe/Berlin")
    now = midnight(date(2026, 11, 20), zone)
    assert bars_of(window_of(Period.TODAY, now, zone), zone) == [Window(now, now)]
