"""demo.screen: what a person sees fits the terminal, whatever the names hold."""

from __future__ import annotations

import re

import pytest

from demo.screen import (
    Event,
    Health,
    Person,
    Room,
    View,
    clip,
    duration,
    frame,
    plain,
    render,
    spoken,
    summary,
    table,
    time_of_day,
    width_of,
)

NOW = 1_800_000_000_000
READY = (Health("sqlite", "ready", ":8080"), Health("web", "ready", ":8000"), Health("listener", "ready", ":9100"))


def view(**changes: object) -> View:
    given: dict[str, object] = {
        "title": "a simulated Discord",
        "rooms": (
            Room("Study room", "Desk", (Person("Ada", NOW - 61_000, True, NOW), Person("Dora", NOW - 5_000, False, 0))),
            Room("Study room", "Lounge", (Person("Ben", NOW - 3_601_000, True, NOW),)),
        ),
        "programs": READY,
        "waiting": 0,
        "dead": 0,
        "sessions": 12,
        "events": tuple(Event(NOW - 1000 * n, f"event {n}") for n in range(40, 0, -1)),
        **changes,
    }
    return View(**given)  # type: ignore[arg-type]


def test_who_is_where_and_for_how_long() -> None:
    """Channels under their guild; who is not recorded is shown as such, without a time."""
    lines = render(view(), now=NOW, width=100, height=30, colour=False)
    assert "  Desk           Ada 1:01, Dora (not recorded)" in lines
    assert "  Lounge         Ben 1:00:01" in lines
    assert lines.count("Study room") == 1


def test_time_that_nobody_saw_is_not_shown() -> None:
    """Somebody who sat there for a minute when the server was last seen, two days ago; and one who came behind that."""
    days = 2 * 86_400_000
    people = tuple(Person("Ada", NOW - days - ago, True, NOW - days) for ago in (61_000, -5_000))
    lines = render(view(rooms=(Room("Study room", "Desk", people),)), now=NOW, width=100, height=30, colour=False)
    assert "  Desk           Ada 1:01, Ada 0:00" in lines


def test_the_queue_and_the_programs_are_said_in_words() -> None:
    """Colours only underline: without them everything can still be read."""
    lines = render(
        view(waiting=3, dead=1, programs=(Health("sqlite", "down"), *READY[1:])),
        now=NOW,
        width=100,
        height=30,
        colour=False,
    )
    assert lines[1] == "sqlite down   web ready :8000   listener ready :9100"
    assert lines[2].startswith("queue: 3 waiting for the SQLite service, 1 refused for good (dead letters)")


@pytest.mark.parametrize(("width", "height"), [(1, 1), (8, 4), (20, 12), (80, 24), (200, 60)])
def test_nothing_is_wider_or_higher_than_the_terminal(width: int, height: int) -> None:
    """Narrow terminals get an ellipsis, low ones fewer events."""
    wide = view(rooms=(Room("g" * 300, "日本語" * 20, (Person("名前" * 30, NOW, True, NOW),)),))
    for shown in (view(), wide):
        lines = render(shown, now=NOW, width=width, height=height, colour=False)
        assert len(lines) <= height
        assert max(width_of(line) for line in lines) <= width


def test_narrow_terminals_wrap_what_matters() -> None:
    """The programs and the people of a channel go on in the next line rather than out of sight."""
    lines = render(view(), now=NOW, width=34, height=30, colour=False)
    assert lines[1:3] == ["sqlite ready :8080", "web ready :8000"]
    assert "  Desk           Ada 1:01," not in lines
    assert "  Desk           Ada 1:01" in lines
    assert "                 Dora (not record…" in lines


def test_the_newest_events_are_shown() -> None:
    """What does not fit is what is oldest."""
    lines = render(view(), now=NOW, width=80, height=14, colour=False)
    assert lines[-1].endswith("event 1")


def test_colour_is_only_there_when_asked_for() -> None:
    """NO_COLOR readers get no escape sequence at all."""
    assert "\x1b" not in "".join(render(view(), now=NOW, width=80, height=24, colour=False))
    coloured = render(view(), now=NOW, width=80, height=24, colour=True)
    assert re.sub(r"\x1b\[\d+m", "", "\n".join(coloured)) == "\n".join(
        render(view(), now=NOW, width=80, height=24, colour=False)
    )


def test_a_name_cannot_steer_the_terminal() -> None:
    """Escape sequences, line breaks and direction marks in names are shown as what they are: nothing readable."""
    assert plain("a\x1b[2Jb\r\nc\u202ed") == "a\ufffd[2Jb\ufffd\ufffdc\ufffdd"
    shown = view(
        rooms=(Room("g\x1b]0;x\x07", "c\n", (Person("\x1b[1A", NOW, True, NOW),)),), events=(Event(NOW, "\x07"),)
    )
    assert not re.search(r"[\x00-\x1f]", "".join(render(shown, now=NOW, width=80, height=24, colour=False)))
    assert not re.search(r"[\x00-\x1f]", summary(shown, now=NOW))


def test_clip_counts_columns() -> None:
    """A wide letter takes two columns, a combining mark none."""
    assert clip("abcdef", 6) == "abcdef"
    assert clip("abcdef", 4) == "abc…"
    assert clip("日本語", 4) == "日…"
    assert width_of("e\u0301") == 1
    assert clip("abc", 0) == ""


def test_durations() -> None:
    """Minutes and seconds, hours where there are any; a clock behind shows zero."""
    assert [duration(ms) for ms in (-5, 0, 7_999, 754_000, 10_800_000)] == ["0:00", "0:00", "0:07", "12:34", "3:00:00"]


def test_a_frame_overwrites_the_last_one_in_place() -> None:
    """From the top, each line cleared to its end, everything below cleared."""
    assert frame(["a", "b"]) == "\x1b[Ha\x1b[K\r\nb\x1b[K\x1b[J"


def test_a_log_line_says_the_same() -> None:
    """Without a terminal one line holds who is where, the queue and the programs."""
    assert summary(view(), now=NOW)[10:] == (
        "Desk: Ada 1:01, Dora (not recorded); Lounge: Ben 1:00:01 | queue: all delivered · sessions since the start: 12"
        " | sqlite ready :8080   web ready :8000   listener ready :9100"
    )


def test_a_table_lines_up_its_columns() -> None:
    """As wide as the widest cell."""
    assert table(["who", "ms"], [["Ada", "12"], ["日本", "-1"]]) == ["who   ms", "----  --", "Ada   12", "日本  -1"]


def test_a_reply_is_quoted_without_markup() -> None:
    """Its first sentence, as Discord would show it."""
    assert spoken("**You are in**, since <t:1795362756:f>.\nStored: \u2068Ada\u2069") == (
        f"You are in, since {time_of_day(1_795_362_756_000)}"
    )
    assert spoken("**Kept and will be stored shortly**: it is safe. `/opt_in` ...") == "Kept and will be stored shortly"
