"""Tasks of an event loop that last as long as the program: an end that was not asked for is told, whichever it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any


class Unasked(Exception):
    """A task that was to go on returned; the text is its name."""


class Tasks:
    """Owns tasks; `ended` is told what the end of each was that was not `cancel`'s. It may be told more than once.

    `steady` counts seconds.
    """

    def __init__(self, ended: Callable[[BaseException], None], *, steady: Callable[[], float] = time.monotonic) -> None:
        self.periods: dict[str, float] = {}
        """What is done again and again: by its name the seconds between."""
        self.done_at: dict[str, float] = {}
        """When each was last done, by `steady`."""
        self._steady = steady
        self._ended = ended
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Begins work that goes on until `cancel`, in the running loop."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._look)
        return task

    def every(self, name: str, seconds: float, act: Callable[[], Awaitable[object]]) -> None:
        """Does it again and again, with so many seconds between."""

        async def again() -> None:
            while True:
                await asyncio.sleep(seconds)
                await act()
                self.done_at[name] = self._steady()

        self.periods[name], self.done_at[name] = seconds, self._steady()
        self.start(name, again())

    async def cancel(self) -> None:
        """Ends all of them, and returns when they have."""
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _look(self, task: asyncio.Task[Any]) -> None:
        if task in self._tasks:
            self._tasks.discard(task)
            self._ended(Unasked(task.get_name()) if task.cancelled() else task.exception() or Unasked(task.get_name()))
