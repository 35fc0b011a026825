"""Questions to the SQLite service from many threads, with few requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import NoReturn

from db_client.errors import ServiceUnavailable
from db_client.statements import Statement
from db_client.store import Store
from interactions_api.plan import Rows


class _Asked:
    """One thread's questions. The thread sleeps on `wake` until it has its answer or the turn to ask for all."""

    __slots__ = ("answers", "problem", "questions", "wake")

    def __init__(self, questions: Sequence[Statement]) -> None:
        self.questions = questions
        self.answers: list[Rows] | None = None
        self.problem: Exception | None = None
        self.wake = threading.Lock()
        self.wake.acquire()


class Asking:
    """Sends what several threads ask at the same time in one request, as the queue file shares their commits.

    One thread at a time asks, for itself and all that wait; then it gives the turn to one that came meanwhile. Each
    thread is woken once: a lock that all take in turn would cost more than the request.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._mutex = threading.Lock()
        self._waiting: list[_Asked] = []
        self._somebody_asks = False

    def ask(self, questions: Sequence[Statement], *, within: float) -> list[Rows]:
        """The rows of each question, after at most `within` seconds; raises what `Store.query` raises."""
        deadline = time.monotonic() + within
        mine = _Asked(questions)
        with self._mutex:
            self._waiting.append(mine)
            my_turn = not self._somebody_asks
            self._somebody_asks = True
        if not my_turn and not mine.wake.acquire(timeout=max(0.0, within)):
            self._give_up(mine)
        if mine.answers is None and mine.problem is None:
            self._ask_for_all(deadline - time.monotonic())
        if mine.answers is None:
            raise mine.problem or ServiceUnavailable("timeout")
        return mine.answers

    def _ask_for_all(self, within: float) -> None:
        with self._mutex:
            together, self._waiting = self._waiting, []
        try:
            answers = iter(self._store.query(*(q for asked in together for q in asked.questions), within=within))
            for asked in together:
                asked.answers = [next(answers) for _ in asked.questions]
        except Exception as problem:  # noqa: BLE001 - it belongs to every thread that asked, not to this one alone
            for asked in together:
                asked.problem = problem
        finally:
            self._pass_on()
            for asked in together:
                asked.wake.release()

    def _pass_on(self) -> None:
        with self._mutex:
            if self._waiting:
                self._waiting[0].wake.release()
            else:
                self._somebody_asks = False

    def _give_up(self, mine: _Asked) -> NoReturn:
        with self._mutex:
            was_waiting = mine in self._waiting
            if was_waiting:
                self._waiting.remove(mine)
        if was_waiting and mine.wake.acquire(blocking=False):  # the turn came at the very moment
            self._pass_on()
        raise ServiceUnavailable("timeout")
