"""What several threads ask for at the same time, done once for all of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

NO_LIMIT = -1.0  # as `Lock.acquire` has it


class _Place(Generic[T]):
    """One item, and the thread that sleeps on `wake` until it is done or the turn comes to act for all, if one does."""

    __slots__ = ("done", "item", "sleeps", "wake")

    def __init__(self, item: T | None, *, sleeps: bool = True) -> None:
        self.item = item
        self.sleeps = sleeps
        self.done = False
        self.wake = threading.Lock()
        self.wake.acquire()


class Together(Generic[T]):
    """One thread at a time acts, for itself and all that wait; then it gives the turn to one that came meanwhile.

    `act` gets the items in the order in which they came, of those that have a thread the acting one's first, and leaves
    results and problems on them. Each thread is woken
    once: a lock that all take in turn would cost more than what is done under it.
    """

    def __init__(self, act: Callable[[list[T]], None]) -> None:
        self._act = act
        self._mutex = threading.Lock()
        self._waiting: list[_Place[T]] = []
        self._acting = False

    def do(self, item: T, *, within: float = NO_LIMIT) -> None:
        """Returns when `act` was called with the item, by this thread or another. What it raises, one thread gets.

        A thread that has slept for `within` seconds goes: then the item is not acted for, or is just being acted for.
        """
        mine = _Place(item)
        with self._mutex:
            self._waiting.append(mine)
            my_turn = not self._acting
            self._acting = True
        self._join(mine, my_turn, within)

    def offer(self, item: T) -> None:
        """Leaves an item for whoever acts next, and does not wait; somebody must `act`, or `do`, soon."""
        with self._mutex:
            self._waiting.append(_Place(item, sleeps=False))

    def act(self) -> None:
        """Returns when the act for everything that was offered before is over; at once if there is nothing."""
        with self._mutex:
            if not self._waiting and not self._acting:
                return
            mine: _Place[T] = _Place(None)
            self._waiting.append(mine)
            my_turn = not self._acting
            self._acting = True
        self._join(mine, my_turn)

    def _join(self, mine: _Place[T], my_turn: bool, within: float = NO_LIMIT) -> None:
        if not my_turn and not mine.wake.acquire(timeout=within):
            self._give_up(mine)
        elif not mine.done:
            self._act_for_all()

    def _give_up(self, mine: _Place[T]) -> None:
        with self._mutex:
            if mine in self._waiting:
                self._waiting.remove(mine)
                if mine.wake.acquire(blocking=False):  # the turn came at the very moment
                    self._pass_on()

    def _act_for_all(self) -> None:
        with self._mutex:
            together, self._waiting = self._waiting, []
        items = [place.item for place in together if place.item is not None]
        try:
            if items:
                self._act(items)
        finally:
            with self._mutex:
                self._pass_on()
            for place in together:
                place.done = True
                place.wake.release()

    def _pass_on(self) -> None:
        heir = next((place for place in self._waiting if place.sleeps), None)
        if heir is not None:
            heir.wake.release()
        else:
            self._acting = False
