"""Into which cells the time of people who keep it to themselves is put, at some moment (pure).

A report that sums people up speaks of a cell only if three of them were in it. So the cells must be the same for every
question that can be asked at that moment: each offered period is made of whole ones. Why so: db_client/REPORTS.md.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple
from zoneinfo import ZoneInfo

from db_client.periods import DAY_MS, HOUR_MS, Window, days_of, local_date, midnight, steady_windows
from db_client.report_windows import BLOCK_MS

DRAWN_MS = 13 * 7 * DAY_MS
"""The days of a heat map begin within this time: it shows how a server is used now. No period but this year and all
begins earlier."""


class Span(NamedTuple):
    """A stretch of time that is closed as a whole: a local day (where clocks change, a part of one), or more of old.

    Where `offset` (local minus UTC) is given, it is drawn in a heat map, and cut into local hours first. All is in ms.
    """

    from_at: int
    to_at: int
    offset: int | None = None


class Cells(NamedTuple):
    """A window as spans and whole blocks of `voice_totals`.

    Blocks are given as the first and the one behind the last. Hidden time counts up to `closed_to`, the beginning of
    the running hour. `open_span` is the number of the span that is not over, of which only hours count; or -1.
    """

    window: Window
    blocks: tuple[tuple[int, int], ...]
    spans: tuple[Span, ...]
    closed_to: int
    open_span: int


def cells_of(window: Window, now: int, zone: ZoneInfo) -> Cells:
    """The cells of a window that `periods.window_of` gave for `now`."""
    drawn_from = now - DRAWN_MS
    recent_from = drawn_from // BLOCK_MS * BLOCK_MS
    recent: list[Span] = []
    for day in days_of(Window(recent_from, now), zone):
        whole = Window(max(day.from_at, recent_from), min(day.to_at, now))
        if day.from_at < drawn_from:
            recent.append(Span(*whole))
        else:
            recent += [Span(*piece, offset) for piece, offset in steady_windows(whole, zone)]
    running = recent[-1]
    assert running.offset is not None  # noqa: S101 - today is drawn
    closed_to = max(running.from_at, (now + running.offset) // HOUR_MS * HOUR_MS - running.offset)
    blocks, old = _old(window, recent_from, midnight(local_date(now, zone).replace(month=1, day=1), zone))
    spans = [*old, *(span for span in recent if window.from_at <= span.from_at < window.to_at)]
    return Cells(window, tuple(blocks), tuple(spans), closed_to, len(spans) - 1 if window.to_at == now else -1)


def _old(window: Window, until: int, year_from: int) -> tuple[list[tuple[int, int]], list[Span]]:
    """What lies before `until`: whole blocks, from the first to before the second each, but for the one in which the
    local year begins: that is cut there.
    """
    first, end, cut = window.from_at // BLOCK_MS, until // BLOCK_MS, year_from // BLOCK_MS
    if year_from % BLOCK_MS == 0 or not first <= cut < end:
        return [(first, end)] if first < end else [], []
    edges = (cut * BLOCK_MS, year_from, (cut + 1) * BLOCK_MS)
    spans = [Span(a, b) for a, b in itertools.pairwise(edges) if a >= window.from_at]
    return [(a, b) for a, b in ((first, cut), (cut + 1, end)) if a < b], spans
