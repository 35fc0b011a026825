"""The terminal, or the lack of one: where the live view is drawn."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import termios
from collections.abc import Iterator, Mapping

from demo.screen import CLEAR, LEAVE, Event, Health, View, event_line, frame, render, summary

SUMMARY_EVERY_MS = 15_000


class Page:
    """Redraws the whole view in place, in a terminal."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour

    def show(self, view: View, new: list[Event], now: int) -> None:
        """Draws the view at the size that the terminal has now."""
        size = shutil.get_terminal_size()
        lines = render(view, now=now, width=size.columns, height=size.lines, colour=self._colour)
        sys.stdout.write(frame(lines))
        sys.stdout.flush()


class Log:
    """Prints what is new, and from time to time who is where, without a terminal."""

    def __init__(self) -> None:
        self._summary_at = 0
        self._programs: tuple[Health, ...] = ()

    def show(self, view: View, new: list[Event], now: int) -> None:
        """A line for each new event; a summary now and then, and when a program's state changes."""
        for event in new:
            print(event_line(event), flush=True)
        if now >= self._summary_at or view.programs != self._programs:
            self._summary_at = now + SUMMARY_EVERY_MS
            self._programs = view.programs
            print(summary(view, now=now), flush=True)


@contextlib.contextmanager
def display(environment: Mapping[str, str]) -> Iterator[Page | Log]:
    """A page in a terminal that can redraw, else a log; the terminal is given back as it was.

    NO_COLOR (https://no-color.org) is honoured.
    """
    if not sys.stdout.isatty() or environment.get("TERM", "dumb") == "dumb":
        yield Log()
        return
    with _quiet_keys():
        sys.stdout.write(CLEAR)
        try:
            yield Page(colour=not environment.get("NO_COLOR"))
        finally:
            with contextlib.suppress(OSError):  # the terminal may be gone: that is how its end is told
                sys.stdout.write(LEAVE)
                sys.stdout.flush()


@contextlib.contextmanager
def _quiet_keys() -> Iterator[None]:
    """Keys that are pressed meanwhile do not appear in the picture."""
    try:
        before = termios.tcgetattr(sys.stdin)
    except (termios.error, ValueError, OSError):
        yield
        return
    silent = list(before)
    silent[3] &= ~termios.ECHO
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, silent)
    try:
        yield
    finally:
        with contextlib.suppress(termios.error, OSError):
            termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, before)


def to_nowhere() -> None:
    """Standard output is gone: what is still printed, and flushed at exit, goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
