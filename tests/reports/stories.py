"""Random histories of a guild, and the slow, obvious arithmetic that every report must agree with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from hypothesis import strategies as st

from db_client.periods import Window
from db_client.report_windows import BLOCK_MS
from tests.reports.service_file import GUILD, Stay

MINUTE = 60_000
# A block's edge (2026-08-27T00:00Z): windows around it have whole blocks, heads and tails.
EDGE = 185 * BLOCK_MS
VISIBLE, HIDDEN, LEFT = (1, 2, 3), (4,), (5,)
PEOPLE = VISIBLE + HIDDEN + LEFT
AFK_CHANNEL = 3


def present(stay: Stay, window: Window) -> int:
    """How long the stay lasted inside the window; a running one lasts to the window's end."""
    until = window.to_at if stay.ended_at is None else stay.ended_at
    return max(0, min(until, window.to_at) - max(stay.started_at, window.from_at))


def as_seen(stays: Iterable[Stay], seen_to: int) -> list[Stay]:
    """The stays as they would be stored if each that runs had ended when the guild was last seen."""
    return [replace(stay, ended_at=max(stay.started_at, seen_to)) if stay.ended_at is None else stay for stay in stays]


def touches(stay: Stay, window: Window) -> bool:
    """Whether the stay is one of the window's sessions: it began in it, or was running when it began."""
    running = stay.ended_at is None or stay.ended_at > window.from_at
    return stay.started_at < window.to_at and (stay.started_at >= window.from_at or running)


def minutes(stays: list[Stay], window: Window) -> dict[int, list[Stay]]:
    """For each minute of the window the stays that cover it; everything must lie on whole minutes."""
    covered: dict[int, list[Stay]] = defaultdict(list)
    for minute in range(window.from_at, window.to_at, MINUTE):
        covered[minute] = [
            s for s in stays if s.started_at <= minute and (s.ended_at is None or s.ended_at > minute) and not s.afk
        ]
    return covered


@st.composite
def histories(draw: st.DrawFn, step: int, lengths: st.SearchStrategy[int], begin: int = EDGE) -> list[Stay]:
    """Stays of five people in three channels (one is for the AFK) of two guilds; nobody sits twice, some still sit."""
    stays = []
    for guild in (GUILD, GUILD + 1):
        for user in PEOPLE:
            at = begin + draw(st.integers(-200, 50)) * step
            for _ in range(draw(st.integers(0, 4))):
                channel = draw(st.integers(1, AFK_CHANNEL))
                end = at + draw(lengths)
                stays.append(Stay(user, channel + guild * 100, at, end, int(channel == AFK_CHANNEL), guild))
                at = end + draw(st.integers(0, 30)) * step + (end == stays[-1].started_at) * step
            if draw(st.booleans()):
                channel = draw(st.integers(1, AFK_CHANNEL))
                stays.append(Stay(user, channel + guild * 100, at, None, int(channel == AFK_CHANNEL), guild))
    return stays
