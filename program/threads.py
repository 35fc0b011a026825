"""Every thread of our programs is started here: one that meets an error that nobody foresaw ends its process.

A thread that dies alone leaves a program that looks well and does half of its work. So the place of the error is logged
and the process is asked to end as by SIGTERM: what it has begun it finishes, and whoever started it starts it again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable
from typing import TypeVar

from program import exits
from program.logs import cause

T = TypeVar("T")

log = logging.getLogger(__name__)

_unasked = threading.Event()


class NoThread(Exception):
    """The system lets no thread be started now (memory, or a limit of processes); later it may."""

    def __init__(self) -> None:
        super().__init__("no thread can be started")


def start(name: str, run: Callable[[], None]) -> threading.Thread:
    """A daemon thread that does `run`; what that raises ends the process. Raises NoThread."""
    thread = threading.Thread(target=_owned, args=(name, run), name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError as problem:
        raise NoThread from problem
    return thread


def begin(act: Callable[[], T]) -> asyncio.Future[T]:
    """What `act` will give or raise, from another thread than the running event loop's; raises NoThread."""
    try:
        return asyncio.get_running_loop().run_in_executor(None, act)
    except RuntimeError as problem:
        raise NoThread from problem


async def beside(act: Callable[[], T]) -> T:
    """What `act` gives or raises, from another thread than the running event loop's; raises NoThread."""
    return await begin(act)


def ended_unasked() -> bool:
    """True if this process is ending because of a thread's error: the exit status is then `exits.AGAIN`."""
    return _unasked.is_set()


def end_process() -> None:
    """Ends this process as SIGTERM would, or at once where nothing handles that; what is on disk is safe."""
    _unasked.set()
    if signal.getsignal(signal.SIGTERM) in (signal.SIG_DFL, signal.SIG_IGN):
        os._exit(exits.AGAIN)
    os.kill(os.getpid(), signal.SIGTERM)


def _owned(name: str, run: Callable[[], None]) -> None:
    try:
        run()
    except BaseException as problem:  # noqa: BLE001 (whatever it is, nobody else will hear of it)
        log.critical(
            "a thread met an error that nobody foresaw: the process ends", extra={"of": name, **cause(problem)}
        )
        end_process()
