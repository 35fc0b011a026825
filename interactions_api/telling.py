"""Durations, dates, charts and lists as text, in the words of a language and within Discord's limits. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from zoneinfo import ZoneInfo

from db_client.periods import DAY_MS, HOUR_MS, Window, local_date
from interactions_api.reply import CONTENT_LIMIT, harmless, length
from interactions_api.words import Words

MINUTE_MS = 60_000
BAR_WIDTH = 10
MOST_MENTIONS = 10
SHADES = " ░▒▓█"


def duration(words: Words, ms: int) -> str:
    """Hours and whole minutes; below a minute, seconds. Cut, never rounded up: nobody gets more than was counted."""
    if ms < MINUTE_MS:
        return words("duration.seconds", seconds=str(ms // 1000))
    hours, minutes = divmod(ms // MINUTE_MS, 60)
    if hours == 0:
        return words("duration.minutes", minutes=str(minutes))
    return words("duration.hours", hours=f"{hours}", minutes=f"{minutes:02}")


def in_days(words: Words, number: int) -> str:
    """So many days."""
    return words("duration.day") if number == 1 else words("duration.days", days=str(number))


def channel(name: str | None, channel_id: int) -> str:
    """A channel by its name, harmless; one whose name we never learnt as Discord's mention, which pings nobody."""
    return harmless(name) if name else f"<#{channel_id}>"


def joined(*parts: str) -> str:
    """The parts that are not empty, each on a line of its own."""
    return "\n".join(part for part in parts if part)


def mentions(words: Words, channel_ids: Sequence[int]) -> str:
    """The channels as mentions, at most `MOST_MENTIONS`, and how many more there are."""
    shown = [f"<#{channel_id}>" for channel_id in channel_ids[:MOST_MENTIONS]]
    more = len(channel_ids) - len(shown)
    return " ".join([*shown, words("report.more", number=str(more))] if more else shown)


def fitting(words: Words, head: str, lines: Sequence[str], tail: str = "", *, unlisted: int = 0) -> str:
    """Head, as many of the lines as fit into a message, how many more there are, and the tail.

    `unlisted`: how many there are that have no line even.
    """
    for shown in range(len(lines), -1, -1):
        hidden = len(lines) - shown + unlisted
        parts = [head, *lines[:shown], words("report.more", number=str(hidden)) if hidden else "", tail]
        text = joined(*parts)
        if length(text) <= CONTENT_LIMIT:
            return text
    return head


def how_many_fit(head: str, lines: Sequence[str], tail: str = "") -> int:
    """How many of the lines fit into a message with this head and tail: the rest is for the next page."""
    left = CONTENT_LIMIT - length(head) - length(tail) - 1
    for number, line in enumerate(lines):
        left -= length(line) + 1
        if left < 0:
            return number
    return len(lines)


def chart(words: Words, bars: Sequence[Window], heights: Sequence[int], zone: ZoneInfo) -> str:
    """A line a bar, in a code block: its date, a bar as long as its time, its time.

    What lies before the first time is left out; nothing at all is drawn for one bar, or where all are empty.
    """
    label = _bar_label(bars)
    first = next((number for number, height in enumerate(heights) if height), len(bars))
    bars, heights = bars[first:], heights[first:]
    if len(bars) < 2:
        return ""
    tallest = max([*heights, 1])
    labels = [label(words, bar, zone) for bar in bars]
    width = max(len(text) for text in labels)
    lines = [
        f"{text:{width}} {'█' * (-(-BAR_WIDTH * height // tallest)):{BAR_WIDTH}} "
        f"{duration(words, height) if height else '-'}"
        for text, height in zip(labels, heights, strict=True)
    ]
    return "```\n" + "\n".join(line.rstrip() for line in lines) + "\n```"


def heat_map(words: Words, hours: Sequence[int]) -> str:
    """Seven lines of 24 shades, in a code block: the more time people spent in an hour of the week, the darker."""
    most = max([*hours, 1])
    weekdays = words("weekdays").split()
    width = max(len(day) for day in weekdays)
    lines = [" " * width + " " + "".join(f"{hour:<6}" for hour in range(0, 24, 6)).rstrip()]
    for number, day in enumerate(weekdays):
        shades = (SHADES[-(-(len(SHADES) - 1) * ms // most)] for ms in hours[24 * number : 24 * number + 24])
        lines.append(f"{day:{width}} {''.join(shades)}".rstrip())
    return "```\n" + "\n".join(lines) + "\n```"


def _bar_label(bars: Sequence[Window]) -> Callable[[Words, Window, ZoneInfo], str]:
    longest = max(bar.to_at - bar.from_at for bar in bars)
    if longest <= DAY_MS + HOUR_MS:
        return _day
    return _week if longest <= 7 * DAY_MS + HOUR_MS else _month


def _day(words: Words, bar: Window, zone: ZoneInfo) -> str:
    day = local_date(bar.from_at, zone)
    return words("date.day", weekday=words("weekdays").split()[day.weekday()], day=f"{day:%d}", month=f"{day:%m}")


def _week(words: Words, bar: Window, zone: ZoneInfo) -> str:
    day = local_date(bar.from_at, zone)
    return words("date.week", week=f"{day.isocalendar().week:02}", day=f"{day:%d}", month=f"{day:%m}")


def _month(words: Words, bar: Window, zone: ZoneInfo) -> str:
    day = local_date(bar.from_at, zone)
    return words("date.month", month=f"{day:%m}", year=f"{day:%Y}")
