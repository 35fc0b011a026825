"""What a campaign is: one fault of the table, done many times, with a figure at the end.

A campaign raises AssertionError when a promise is broken, whatever the counts. Figures of time are printed, and
compared with their goal only by `python -m tests.faults`: a test asserts no duration of the machine's.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


class Skipped(Exception):
    """The machine lacks what this campaign needs; the text says what."""


@dataclass(frozen=True)
class Figure:
    text: str
    met: bool = True


Run = Callable[[Path, int, random.Random], Figure]


@dataclass(frozen=True)
class Campaign:
    number: int
    fault: str
    references: str
    goal: str
    small: int
    full: int
    run: Run


CAMPAIGNS: dict[str, Campaign] = {}


def campaign(number: int, fault: str, *, references: str, goal: str, small: int, full: int) -> Callable[[Run], Run]:
    """Enters a function into the table of campaigns; it takes a folder, a count and a seeded source of chance."""

    def enter(run: Run) -> Run:
        CAMPAIGNS[run.__name__] = Campaign(number, fault, references, goal, small, full, run)
        return run

    return enter
