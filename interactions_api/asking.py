"""Questions to the SQLite service from many threads, with few requests."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from db_client.errors import ServiceUnavailable
from db_client.statements import Statement
from db_client.store import Store
from interactions_api.plan import Rows


@dataclass(slots=True)
class _Asked:
    questions: Sequence[Statement]
    answers: list[Rows] | None = None
    problem: Exception | None = None


class Asking:
    """Sends what several threads ask at the same time in one request, as the queue file shares their commits."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._turn = threading.Lock()
        self._waiting: deque[_Asked] = deque()

    def ask(self, questions: Sequence[Statement], *, within: float) -> list[Rows]:
        """The rows of each question, after at most `within` seconds; raises what `Store.query` raises."""
        deadline = time.monotonic() + within
        mine = _Asked(questions)
        self._waiting.append(mine)
        if not self._turn.acquire(timeout=max(0.0, within)):
            raise ServiceUnavailable("timeout")
        try:
            if mine.answers is None and mine.problem is None:
                together = [self._waiting.popleft() for _ in range(len(self._waiting))]
                self._ask_together(together, deadline - time.monotonic())
        finally:
            self._turn.release()
        if mine.answers is None:
            raise mine.problem or ServiceUnavailable("timeout")
        return mine.answers

    def _ask_together(self, together: Sequence[_Asked], within: float) -> None:
        try:
            answers = iter(self._store.query(*(q for asked in together for q in asked.questions), within=within))
        except Exception as problem:  # noqa: BLE001 - it belongs to every thread that asked, not to this one alone
            for asked in together:
                asked.problem = problem
        else:
            for asked in together:
                asked.answers = [next(answers) for _ in asked.questions]
