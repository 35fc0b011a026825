"""Makes a plan happen, and says in one sentence how far it came. The records first: on disk before anything is said."""

from __future__ import annotations

import logging
import time
from typing import Literal, NamedTuple, TypeAlias

from db_client.errors import DbClientError, NotKept
from db_client.store import Fate, Receipt, Store
from interactions_api.asking import Asking
from interactions_api.patience import Patience
from interactions_api.plan import Plan, Rows

QUESTIONS_S = 0.5

log = logging.getLogger(__name__)

End: TypeAlias = Literal["stored", "answered", "kept", "refused", "not_kept", "unread"]


class Outcome(NamedTuple):
    """What to say, and how it ended, as a word for metrics."""

    content: str
    end: End


class CarryingOut:
    """Carries out plans for many threads. `deadline` is a moment of `time.monotonic`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._asking = Asking(store)
        self._patience = Patience()

    def __call__(self, plan: Plan, deadline: float) -> Outcome:
        """Keeps, delivers and asks, as far as it comes by the deadline; raises nothing once something is kept."""
        if not plan.records:
            return self._ask(plan, deadline, "answered")
        try:
            receipt = self._store.keep(plan.records)
        except NotKept:
            return Outcome(plan.sentences.not_kept, "not_kept")
        try:
            return self._after_keeping(plan, receipt, deadline)
        except Exception as problem:  # noqa: BLE001 - whatever it is, the records are on disk, and that is what to say
            log.error("failed after the records were kept", extra={"problem": type(problem).__name__})
            return Outcome(plan.sentences.kept, "kept")

    def _after_keeping(self, plan: Plan, receipt: Receipt, deadline: float) -> Outcome:
        fate = self._store.deliver(receipt, within=self._patience.seconds(deadline - time.monotonic()))
        self._patience.learn(fate is not Fate.KEPT)
        if fate is Fate.KEPT:
            return Outcome(plan.sentences.kept, "kept")
        if fate is Fate.REFUSED:
            return Outcome(plan.sentences.refused, "refused")
        return self._ask(plan, deadline, "stored")

    def _ask(self, plan: Plan, deadline: float, end: End) -> Outcome:
        answers: list[Rows] = []
        if plan.questions:
            try:
                answers = self._asking.ask(plan.questions, within=min(QUESTIONS_S, deadline - time.monotonic()))
            except DbClientError:
                return Outcome(plan.sentences.unread, "unread")
        return Outcome(plan.stored(answers), end)
