"""Waiting for a condition, so that no test sleeps for a fixed time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_STEP = 0.01


def eventually(condition: Callable[[], T], *, within: float = 15.0, what: str = "the condition") -> T:
    """The first truthy answer of `condition`; fails with `what` and the last answer after `within` seconds."""
    deadline = time.monotonic() + within
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {within} s; last answer: {answer!r}")
        time.sleep(_STEP)
    return answer


async def soon(condition: Callable[[], T], *, within: float = 15.0, what: str = "the condition") -> T:
    """`eventually` for code that runs in the same event loop."""
    deadline = time.monotonic() + within
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {within} s; last answer: {answer!r}")
        await asyncio.sleep(_STEP)
    return answer
