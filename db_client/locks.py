"""Kernel locks on side files: whoever holds one loses it when it dies, so nothing needs leases or clocks."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from program import threads


class NotHad(Exception):
    """The lock could not be had in time: whoever has it does not let go."""


class FileLock:
    """An exclusive flock on a file of its own, for one thread at a time; opened on first use and again after a fork.

    An open lock file is shared with forked children, and so would be the lock: children must call `forget`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._waiter: _Waiter | None = None

    def acquire(self) -> None:
        """Waits for the lock, however long; waiters are served by the kernel as it is released."""
        fcntl.flock(self._open(), fcntl.LOCK_EX)

    def try_acquire(self) -> bool:
        """Takes the lock if it is free."""
        try:
            fcntl.flock(self._open(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    @contextmanager
    def held(self, within: float) -> Iterator[None]:
        """Holds the lock; raises NotHad if it cannot be had in so many seconds. A lock used so is used only so."""
        if self._waiter is None and not self.try_acquire():
            try:
                self._waiter = _Waiter(self._open())
            except threads.NoThread as problem:
                raise NotHad from problem
        if self._waiter is not None:
            if not self._waiter.wait(within):
                raise NotHad
            self._waiter = None
        try:
            yield
        finally:
            self.release()

    def release(self) -> None:
        """Gives the lock back."""
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def forget(self) -> None:
        """Closes this process's descriptor; a lock held through another copy of it stays held there."""
        if self._waiter is not None:
            self._waiter.abandon()
        elif self._descriptor is not None:
            os.close(self._descriptor)
        self._waiter = self._descriptor = None

    def _open(self) -> int:
        if self._descriptor is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._descriptor


class _Waiter:
    """A thread that waits for the lock in another's stead: flock has no time limit, and asking again is not fair.

    Whoever gives up leaves it waiting, for who asks next; meanwhile it gives back at once what it gets.
    """

    def __init__(self, descriptor: int) -> None:
        """Begins to wait; raises `threads.NoThread`."""
        self._descriptor = descriptor
        self._changed = threading.Condition()
        self._wanted = True
        self._abandoned = False
        self._got = False
        threads.start("file lock", self._run)

    def wait(self, within: float) -> bool:
        """True if the lock is had now."""
        with self._changed:
            self._wanted = True
            self._changed.notify_all()
            self._wanted = self._changed.wait_for(lambda: self._got, within)
            return self._wanted

    def abandon(self) -> None:
        """Nobody will ask again: the descriptor is closed as soon as it can be."""
        with self._changed:
            self._abandoned = True
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            with self._changed:
                if self._wanted and not self._abandoned:
                    self._got = True
                    self._changed.notify_all()
                    return
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)
                self._changed.wait_for(lambda: self._wanted or self._abandoned)
                if self._abandoned:
                    os.close(self._descriptor)
                    return
