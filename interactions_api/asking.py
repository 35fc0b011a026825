"""Questions to the SQLite service from many threads, with few requests."""

from __future__ import annotations

import time
from collections.abc import Sequence

from db_client.errors import ServiceUnavailable
from db_client.statements import Statement
from db_client.store import Store
from db_client.together import Together
from interactions_api.plan import Rows


class _Asked:
    """One thread's questions, and what became of them by its deadline, a moment of `time.monotonic`."""

    __slots__ = ("answers", "deadline", "problem", "questions")

    def __init__(self, questions: Sequence[Statement], deadline: float) -> None:
        self.questions = questions
        self.deadline = deadline
        self.answers: list[Rows] | None = None
        self.problem: Exception | None = None


class Asking:
    """Sends what several threads ask at the same time in one request, as the queue file shares their commits."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._together = Together(self._ask_for_all)

    def ask(self, questions: Sequence[Statement], *, within: float) -> list[Rows]:
        """The rows of each question, after at most `within` seconds; raises what `Store.query` raises."""
        mine = _Asked(questions, time.monotonic() + within)
        self._together.do(mine, within=max(0.0, within))
        if mine.answers is None:
            raise mine.problem or ServiceUnavailable("timeout")
        return mine.answers

    def _ask_for_all(self, together: Sequence[_Asked]) -> None:
        """The first is the thread's own: it waits no longer for the others' sake."""
        within = max(0.0, together[0].deadline - time.monotonic())
        try:
            answers = iter(self._store.query(*(q for asked in together for q in asked.questions), within=within))
            for asked in together:
                asked.answers = [next(answers) for _ in asked.questions]
        except Exception as problem:  # noqa: BLE001 - it belongs to every thread that asked, not to this one alone
            for asked in together:
                asked.problem = problem
