"""program.tasks: whichever task ends without being asked to, its owner is told."""

from __future__ import annotations

import asyncio

import pytest

from program.tasks import Tasks, Unasked
from tests.waiting import soon


async def returns() -> None:
    await asyncio.sleep(0)


async def raises() -> None:
    raise ValueError("somebody's")


async def is_cancelled() -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize(("work", "kind"), [(returns, Unasked), (raises, ValueError), (is_cancelled, Unasked)])
async def test_an_end_that_was_not_asked_for_is_told(work, kind):
    """A return and a cancellation by somebody else as well as an error."""
    told: list[BaseException] = []
    tasks = Tasks(told.append)
    tasks.start("keeping time", work())
    await soon(lambda: told)
    assert [type(problem) for problem in told] == [kind]
    await tasks.cancel()
    assert len(told) == 1


async def test_what_was_asked_to_end_is_not_told():
    """`cancel` returns when all have ended."""
    told: list[BaseException] = []
    ended: list[int] = []

    async def goes_on(number: int) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(number)

    tasks = Tasks(told.append)
    for number in range(3):
        tasks.start(str(number), goes_on(number))
    await asyncio.sleep(0)
    await tasks.cancel()
    assert sorted(ended) == [0, 1, 2]
    assert not told


async def test_what_is_to_be_done_again_is_done_again() -> None:
    """With so many seconds between, until `cancel`; it is known when it was done last."""
    told: list[BaseException] = []
    done: list[int] = []

    async def later() -> None:
        await asyncio.sleep(0)
        done.append(1)

    tasks = Tasks(told.append, steady=lambda: float(len(done)))
    tasks.every("counting", 0.001, later)
    assert (tasks.periods, tasks.done_at) == ({"counting": 0.001}, {"counting": 0.0})
    await soon(lambda: tasks.done_at["counting"] >= 3)
    assert tasks.done_at["counting"] <= len(done)
    assert not told
    await tasks.cancel()
    count = len(done)
    await asyncio.sleep(0.01)
    assert len(done) == count
