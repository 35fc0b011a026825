"""Follows who was erased, as the service knows it, so that nothing of them is left in the queue file.

A thread of its own, so that delivery never waits for the questions or for the disk that they need.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable

from db_client import rqlite
from db_client.erasure import Erasure, erasures_of, recent_erasures
from db_client.errors import NotKept, Refused, ServiceUnavailable, StatementRefused
from db_client.queue_file import QueueFile
from db_client.rows import values_of
from db_client.service import Service
from db_client.snowflake import created_at
from db_client.statements import Statement
from program import threads
from program.logs import cause

EVERY_SECONDS = 30.0  # half as long at least, and half as long again at most
ANSWER_SECONDS = 10.0
PERSONS_AT_ONCE = 500
REMEMBERED_EVERY = 120  # of so many questions for erasures one, the first, asks about remembered decisions too

log = logging.getLogger(__name__)


class ErasureFollower:
    """Of one queue file in this process. `clock`: ms since 1970 UTC; `count` adds to one of its counters."""

    def __init__(
        self, queue: QueueFile, service: Service, clock: Callable[[], int], count: Callable[[str, str, int], None]
    ) -> None:
        self._queue = queue
        self._service = service
        self._clock = clock
        self._count = count
        self._chance = random.Random().random  # a source of its own: tests seed the shared one
        self._asked = 0
        self._erasures: frozenset[Erasure] = frozenset()
        self._ended = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins, at once and once; raises `threads.NoThread`."""
        with self._starting:
            self._thread = self._thread or threads.start("erasures", self._run)

    def stop(self) -> None:
        """Does nothing any more, but for what it is just asking."""
        self._ended.set()

    def _run(self) -> None:
        pause = 0.0
        while not self._ended.wait(pause):
            pause = EVERY_SECONDS * (0.5 + self._chance())
            for step in (self.erase, self._queue.clean):
                try:
                    if not self._ended.is_set():
                        step()
                except (ServiceUnavailable, Refused, NotKept) as problem:
                    log.debug("erasures cannot be followed for now", extra={"problem": str(problem)})
                except Exception as problem:  # noqa: BLE001 (the next time asks anew, and may go well)
                    self._count("failed", "erasures", 1)
                    log.error("erasures cannot be followed", extra=cause(problem))

    def erase(self) -> int:
        """Asks the service who was erased of late, and of those whom the file still knows; how many entries went.

        Whoever was erased of late may have left traces where the file knows nothing of them any more. Raises
        ServiceUnavailable or Refused, or NotKept for the disk.
        """
        self._queue.remove_damaged(self._clock())
        persons = self._queue.persons(remembered=self._asked % REMEMBERED_EVERY == 0)
        recent = self._erasures_among(recent_erasures())
        self._asked += 1
        if recent:
            self._queue.remove_damaged(self._clock(), max(created_at(erasure.interaction_id) for erasure in recent))
        if recent != self._erasures:
            self._queue.left_traces()
            self._erasures = recent
        here = set(self._queue.persons(remembered=True)) if recent else set()
        known = {erasure for erasure in recent if erasure.person in here}
        for start in range(0, len(persons), PERSONS_AT_ONCE):
            known |= self._erasures_among(erasures_of(persons[start : start + PERSONS_AT_ONCE]))
        removed = self._queue.erase(sorted(known)) if known else 0
        if removed:
            self._count("erased", "entries", removed)
            log.info("erased persons were removed from the queue file", extra={"entries": removed})
        return removed

    def _erasures_among(self, asked: Statement) -> frozenset[Erasure]:
        try:
            (rows,) = self._service.query([asked], ANSWER_SECONDS)
        except StatementRefused as refusal:
            if not rqlite.lacks_schema(refusal):
                raise
            return frozenset()  # a service without tables knows of nobody; the next batch makes them
        return frozenset(values_of(rows, lambda row: Erasure(row["user_id"], row["interaction_id"])))
