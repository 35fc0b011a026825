"""Makes a plan happen, and says in one sentence how far it came. The records first: on disk before anything is said."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from db_client.errors import DbClientError, NotKept
from db_client.store import Delivered, Fate, Store
from interactions_api.asking import Asking
from interactions_api.patience import Patience
from interactions_api.plan import Later, Plan, Rows
from interactions_api.reply import Said
from program.logs import cause

QUESTIONS_S = 0.5
SLOW_QUESTIONS_S = 1.7

log = logging.getLogger(__name__)

End: TypeAlias = Literal["stored", "answered", "kept", "refused", "not_kept", "unread"]


class Outcome(NamedTuple):
    """What to say (or that it follows later), and how it ended, as a word for metrics."""

    content: Said | Later
    end: End


class CarryingOut:
    """Carries out plans for many threads. `deadline` is a moment of `time.monotonic`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._asking = Asking(store)
        self._patience = Patience()
        self._slow_patience = Patience(longest_s=SLOW_QUESTIONS_S)

    def __call__(self, plan: Plan, deadline: float) -> Outcome:
        """Keeps, delivers and asks, as far as it comes by the deadline; raises nothing once something is kept."""
        if not plan.records:
            return self._ask(plan, deadline, "answered")
        try:
            delivered = self._store.send(plan.records, within=self._patience.seconds(deadline - time.monotonic()))
        except NotKept:
            return Outcome(plan.sentences.not_kept, "not_kept")
        try:
            return self._after_keeping(plan, delivered, deadline)
        except Exception as problem:  # noqa: BLE001 - whatever it is, the records are on disk, and that is what to say
            log.error("failed after the records were kept", extra=cause(problem))
            return Outcome(plan.sentences.kept, "kept")

    def _after_keeping(self, plan: Plan, delivered: Delivered, deadline: float) -> Outcome:
        self._patience.learn(delivered.fate is not Fate.KEPT)
        if delivered.fate is Fate.KEPT:
            return Outcome(plan.sentences.kept, "kept")
        if delivered.fate is Fate.REFUSED:
            return Outcome(plan.sentences.refused, "refused")
        if plan.told and delivered.answers is not None:
            return self._go_on(plan, [delivered.answers], deadline, "stored")
        return self._ask(plan, deadline, "stored")

    def _ask(self, plan: Plan, deadline: float, end: End) -> Outcome:
        answers: list[Rows] = []
        if plan.questions:
            try:
                answers = self._answers(plan, deadline - time.monotonic())
            except DbClientError:
                return Outcome(plan.sentences.unread, "unread")
        return self._go_on(plan, answers, deadline, end)

    def _go_on(self, plan: Plan, answers: Sequence[Rows], deadline: float, end: End) -> Outcome:
        said = plan.stored(answers)
        return self(said, deadline) if isinstance(said, Plan) else Outcome(said, end)

    def _answers(self, plan: Plan, left: float) -> list[Rows]:
        """Quick questions share one read with those of other threads; a slow one would hold those up."""
        if not plan.slow:
            return self._asking.ask(plan.questions, within=min(QUESTIONS_S, left))
        in_time = False
        try:
            answers: list[Rows] = self._store.query(*plan.questions, within=self._slow_patience.seconds(left))
            in_time = True
        finally:
            self._slow_patience.learn(in_time)
        return answers
