"""Log lines that anybody on the internet can cause: each at most once a minute, with how often it was meant."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping

EVERY_S = 60.0

log = logging.getLogger(__name__)


class Seldom:
    """Says why requests are refused, in the words of `sentences`, without letting a stranger fill the disk.

    `clock` gives seconds that only grow.
    """

    def __init__(self, sentences: Mapping[str, str], clock: Callable[[], float]) -> None:
        self._sentences = sentences
        self._clock = clock
        self._again_at: dict[str, float] = {}
        self._unsaid: Counter[str] = Counter()

    def about(self, reason: str) -> None:
        """Logs the reason's sentence, unless that was done within the last minute; then it is only counted."""
        self._unsaid[reason] += 1
        now = self._clock()
        if now < self._again_at.get(reason, 0.0):
            return
        self._again_at[reason] = now + EVERY_S
        log.warning(self._sentences[reason], extra={"reason": reason, "times": self._unsaid.pop(reason)})
