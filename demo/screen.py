"""What a person sees, as lines of text. Pure: the moment, the width and whether there are colours are arguments."""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from db_client.report_windows import seen_to

CLEAR, LEAVE = "\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J", "\x1b[?25h\x1b[?1049l"
_HOME, _TO_END_OF_LINE, _TO_END_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}
_COLOUR_OF_STATE = {"ready": "green", "elsewhere": "green", "starting": "yellow"}


@dataclass(frozen=True)
class Person:
    """Someone in voice; `since`, and up to when the guild was seen (`mark`), in ms since 1970 UTC."""

    name: str
    since: int
    recorded: bool
    mark: int


@dataclass(frozen=True)
class Room:
    """A voice channel with somebody in it."""

    guild: str
    channel: str
    people: tuple[Person, ...]


@dataclass(frozen=True)
class Health:
    """A program and whether it is `ready`, `starting`, `not ready`, `down`, or runs `elsewhere`."""

    name: str
    state: str
    address: str = ""


@dataclass(frozen=True)
class Event:
    """A line of what happened; `at` in ms since 1970 UTC."""

    at: int
    text: str
    bad: bool = False


@dataclass(frozen=True)
class View:
    """Everything that is on the screen."""

    title: str
    rooms: tuple[Room, ...]
    programs: tuple[Health, ...]
    waiting: int
    dead: int
    sessions: int
    events: tuple[Event, ...]


def plain(text: str) -> str:
    """The text without what could move the cursor or break the line; names come from strangers."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def width_of(text: str) -> int:
    """How many columns a terminal gives the text."""
    return sum(_columns(letter) for letter in text)


def _columns(letter: str) -> int:
    if unicodedata.combining(letter) or unicodedata.category(letter) == "Cf":
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def clip(text: str, width: int) -> str:
    """The text in at most `width` columns, with an ellipsis where something is missing."""
    if width_of(text) <= width:
        return text
    kept, used = "", 0
    for letter in text:
        if used + _columns(letter) > width - 1:
            break
        kept, used = kept + letter, used + _columns(letter)
    return f"{kept}…" if width > 0 else ""


def _padded(text: str, width: int) -> str:
    return text + " " * (width - width_of(text))


def flowing(items: Sequence[str], between: str, width: int) -> list[str]:
    """The items on as few lines as hold them; an item wider than a line has one of its own."""
    lines: list[str] = []
    for item in items:
        if lines and width_of(lines[-1] + between + item) <= width:
            lines[-1] += between + item
        else:
            lines.append(item)
    return lines


def duration(milliseconds: int) -> str:
    """`0:07`, `12:34`, `3:00:00`."""
    seconds = max(0, milliseconds) // 1000
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    return f"{hours}:{minutes:02}:{seconds % 60:02}" if hours else f"{minutes}:{seconds % 60:02}"


def time_of_day(at: int) -> str:
    """The moment (ms since 1970 UTC) by the clock on this machine's wall."""
    return time.strftime("%H:%M:%S", time.localtime(at / 1000))


def spoken(reply: str) -> str:
    """The first sentence of a reply as a person sees it in Discord: without markup, moments as times of day."""
    first = re.sub(r"<t:(\d+):\w>", lambda moment: time_of_day(int(moment[1]) * 1000), reply.split("\n")[0])
    return re.sub(r"[*`\u2068\u2069]", "", first).split(": ")[0].rstrip(".")


def render(view: View, *, now: int, width: int, height: int, colour: bool) -> list[str]:
    """The whole screen, at most `height` lines of at most `width` columns; the newest events fill what is left."""
    lines = [(_title(view), "bold")]
    state = "red" if _down(view.programs) else "green"
    lines += [(line, state) for line in flowing([_program(health) for health in view.programs], "   ", width)]
    lines += [(_queue(view), "red" if view.dead else "yellow" if view.waiting else "dim"), ("", "")]
    guild = None
    for room in view.rooms:
        if room.guild != guild:
            guild = room.guild
            lines.append((plain(guild), "bold"))
        people = flowing([_person(person, now) for person in room.people], ", ", width - 17)
        heads = [_padded(clip(plain(room.channel), 14), 14), *[" " * 14] * len(people)]
        lines += [(f"  {head} {line}", "") for head, line in zip(heads, people, strict=False)]
    if not view.rooms:
        lines.append(("Nobody is in voice.", "dim"))
    lines.append(("", ""))
    room_left = max(1, height - len(lines))
    lines += [(event_line(event), "red" if event.bad else "") for event in view.events[-room_left:]]
    return [_styled(clip(text, width), style, colour) for text, style in lines[:height]]


def frame(lines: Sequence[str]) -> str:
    """What to write so that the lines stand where the last ones stood."""
    return (
        _HOME
        + "".join(f"{line}{_TO_END_OF_LINE}\r\n" for line in lines[:-1])
        + (f"{lines[-1]}{_TO_END_OF_LINE}{_TO_END_OF_SCREEN}" if lines else _TO_END_OF_SCREEN)
    )


def summary(view: View, *, now: int) -> str:
    """One line for a log: who is where, the queue, the programs."""
    rooms = [f"{plain(room.channel)}: {', '.join(_person(one, now) for one in room.people)}" for room in view.rooms]
    programs = "   ".join(_program(health) for health in view.programs)
    return f"{time_of_day(now)}  {'; '.join(rooms) or 'nobody in voice'} | {_queue(view)} | {programs}"


def event_line(event: Event) -> str:
    """One event."""
    return f"{time_of_day(event.at)}  {plain(event.text)}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest cell, with a line under the head."""
    cells = [[plain(cell) for cell in row] for row in rows]
    widths = [max(width_of(row[column]) for row in [list(head), *cells]) for column in range(len(head))]

    def line(row: Sequence[str]) -> str:
        return "  ".join(
            cell + " " * (width - width_of(cell)) for cell, width in zip(row, widths, strict=True)
        ).rstrip()

    return [line(head), "  ".join("-" * width for width in widths), *(line(row) for row in cells)]


def _title(view: View) -> str:
    return f"BigBrotherBot · {view.title} · Ctrl-C ends it"


def _program(health: Health) -> str:
    return f"{health.name} {health.state} {health.address}".rstrip()


def _down(programs: Sequence[Health]) -> bool:
    return any(health.state not in _COLOUR_OF_STATE for health in programs)


def _queue(view: View) -> str:
    dead = f", {view.dead} refused for good (dead letters)" if view.dead else ""
    waiting = "all delivered" if not view.waiting else f"{view.waiting} waiting for the SQLite service"
    return f"queue: {waiting}{dead} · sessions since the start: {view.sessions}"


def _person(person: Person, now: int) -> str:
    if not person.recorded:
        return f"{plain(person.name)} (not recorded)"
    return f"{plain(person.name)} {duration(max(0, seen_to(person.mark, now) - person.since))}"


def _styled(text: str, style: str, colour: bool) -> str:
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if colour and style and text else text
