"""Durations, charts and lists as people read them, within Discord's limits whatever there is to tell."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db_client.periods import Period, Window, bars_of, window_of
from interactions_api.reply import length
from interactions_api.telling import chart, duration, fitting, heat_map, how_many_fit, in_days
from interactions_api.words import Catalogues

CATALOGUES = Catalogues.load()
ENGLISH, GERMAN = CATALOGUES.of("en-US"), CATALOGUES.of("de")
BERLIN = ZoneInfo("Europe/Berlin")
HOUR = 3_600_000
NOW = int(datetime(2026, 3, 31, 20, tzinfo=BERLIN).timestamp() * 1000)


@pytest.mark.parametrize(("number", "english", "german"), [(1, "1 day", "1 Tag"), (30, "30 days", "30 Tage")])
def test_one_day_is_singular(number, english, german):
    """Not "1 days"."""
    assert in_days(ENGLISH, number) == english
    assert in_days(GERMAN, number) == german


@pytest.mark.parametrize(
    ("ms", "english", "german"),
    [
        (0, "0 s", "0 Sek."),
        (59_999, "59 s", "59 Sek."),
        (60_000, "1 min", "1 Min."),
        (HOUR - 1, "59 min", "59 Min."),
        (HOUR, "1 h 00 min", "1 Std. 00 Min."),
        (1234 * HOUR + 5 * 60_000, "1234 h 05 min", "1234 Std. 05 Min."),
    ],
)
def test_durations_are_cut_never_rounded_up(ms, english, german):
    """Nobody is shown more than was counted."""
    assert duration(ENGLISH, ms) == english
    assert duration(GERMAN, ms) == german


@given(
    st.text(max_size=300),
    st.lists(st.text(max_size=400), max_size=30),
    st.text(max_size=900),
    st.integers(0, 1000),
)
def test_a_list_always_fits_and_says_how_many_it_left_out(head, lines, tail, unlisted):
    """However long its lines are."""
    text = fitting(ENGLISH, head, lines, tail, unlisted=unlisted)
    assert length(text) <= 2000
    shown = next(n for n in range(len(lines), -1, -1) if text.startswith("\n".join(x for x in [head, *lines[:n]] if x)))
    if shown < len(lines):
        assert "more" in text
    assert text.endswith(tail)


@given(st.text(max_size=200), st.lists(st.text(max_size=400), max_size=30), st.text(max_size=200))
def test_a_page_takes_as_many_lines_as_fit_and_at_least_one(head, lines, tail):
    """Else the next page would begin where this one did."""
    number = how_many_fit(head, lines, tail)
    assert length("\n".join([head, *lines[:number], tail])) <= 2000
    assert number == len(lines) or length("\n".join([head, *lines[: number + 1], tail])) > 2000
    assert number > 0 or not lines


def test_a_chart_has_a_line_a_day_also_when_clocks_change():
    """The 29th had 23 hours in Berlin; what lies before the first time is left out."""
    bars = bars_of(window_of(Period.LAST_7_DAYS, NOW, BERLIN), BERLIN)
    drawn = chart(GERMAN, bars, [0, 0, HOUR, 0, 23 * HOUR, 2 * HOUR, 1], BERLIN)
    assert drawn.splitlines() == [
        "```",
        "Fr 27.03. █          1 Std. 00 Min.",
        "Sa 28.03.            -",
        "So 29.03. ██████████ 23 Std. 00 Min.",
        "Mo 30.03. █          2 Std. 00 Min.",
        "Di 31.03. █          0 Sek.",
        "```",
    ]


@pytest.mark.parametrize(("period", "label"), [(Period.THIS_YEAR, "week 01, 01-01"), (Period.LAST_7_DAYS, "Wed 03-25")])
def test_long_periods_are_drawn_by_weeks(period, label):
    """The finest that fits into 31 lines."""
    bars = bars_of(window_of(period, NOW, BERLIN), BERLIN)
    assert chart(ENGLISH, bars, [HOUR] * len(bars), BERLIN).splitlines()[1].startswith(label)


def test_nothing_is_drawn_for_one_bar_or_none():
    """A bar alone says nothing."""
    assert chart(ENGLISH, [Window(0, HOUR)], [5], BERLIN) == ""
    assert chart(ENGLISH, [Window(0, HOUR), Window(HOUR, 2 * HOUR)], [0, 0], BERLIN) == ""


@given(st.lists(st.integers(0, 10**12), min_size=168, max_size=168))
def test_a_heat_map_has_seven_lines_of_at_most_24_shades(hours):
    """Empty hours stay empty, the busiest is full."""
    lines = heat_map(ENGLISH, hours).splitlines()[2:-1]
    assert [line[:3] for line in lines] == ENGLISH("weekdays").split()
    shades = "".join(line[4:].ljust(24) for line in lines)
    assert len(shades) == 168
    for ms, shade in zip(hours, shades, strict=True):
        assert (shade == " ") == (ms == 0)
    assert max(hours) == 0 or shades[hours.index(max(hours))] == "█"
