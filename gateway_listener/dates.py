"""The `Date` of an HTTP answer (RFC 9110, 6.6.1), and when it came: how Discord's clock is heard."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import parsedate_to_datetime
from types import SimpleNamespace

import aiohttp


def dates(steady_ms: Callable[[], int], hear: Callable[[float, int, int], None]) -> aiohttp.TraceConfig:
    """A trace for aiohttp that calls `hear(date, sent_at, received_at)` for each answer that was made just now.

    `date` is in seconds since 1970 UTC, the others are what `steady_ms` gave. Answers out of a cache (`Age`), and those
    of a proxy that does not reach Discord (502 to 504), say nothing about Discord's clock.
    """
    trace = aiohttp.TraceConfig()

    async def begun(session: aiohttp.ClientSession, context: SimpleNamespace, _: object) -> None:
        context.sent_at = steady_ms()

    async def ended(
        session: aiohttp.ClientSession, context: SimpleNamespace, answered: aiohttp.TraceRequestEndParams
    ) -> None:
        answer = answered.response
        if "Date" not in answer.headers or "Age" in answer.headers or answer.status in (502, 503, 504):
            return
        try:
            date = parsedate_to_datetime(answer.headers["Date"]).timestamp()
        except (ValueError, TypeError, OverflowError):
            return
        hear(date, context.sent_at, steady_ms())

    trace.on_request_start.append(begun)
    trace.on_request_end.append(ended)
    return trace
