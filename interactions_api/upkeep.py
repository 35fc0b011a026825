"""What has to be done now and then by one process of all: removing what is past its retention."""

from __future__ import annotations

import logging
import os
import threading
import uuid
from collections.abc import Callable

from db_client.errors import DbClientError
from db_client.removal import remove_due
from db_client.store import Store
from program import threads
from program.logs import cause

FIRST_AFTER_S = 60.0
EVERY_S = 3600.0

log = logging.getLogger(__name__)


class Upkeep:
    """A thread that looks every hour whether something is due to be removed.

    Each endpoint process has one, and the lease makes it one at a time. It lives here and not in the listener, because
    endpoints are there in any number, also while the gateway or a shard is down. `clock` gives ms since 1970 UTC, and
    `heard` the newest such moment that Discord told this process (0: none).
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], int],
        heard: Callable[[], int] = lambda: 0,
        *,
        first_after_s: float = FIRST_AFTER_S,
        every_s: float = EVERY_S,
    ) -> None:
        self._store = store
        self._clock = clock
        self._heard = heard
        self._first_after_s = first_after_s
        self._every_s = every_s
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._pid = 0

    def start(self) -> None:
        """Begins, once a process; raises `threads.NoThread`."""
        if self._pid != os.getpid():
            self._thread = threads.start("upkeep", self._work)
            self._pid = os.getpid()

    def stop(self, *, within: float) -> None:
        """Ends the thread behind the batch it is at; what is left is the next process's."""
        self._ended.set()
        if self._thread is not None and self._pid == os.getpid():
            self._thread.join(within)

    def _work(self) -> None:
        holder = str(uuid.uuid4())
        pause = self._first_after_s
        while not self._ended.wait(pause):
            pause = self._every_s
            try:
                batches = remove_due(self._store, holder, self._clock, heard=self._heard, stop=self._ended.is_set)
            except DbClientError as problem:
                log.warning("removing what is due must wait", extra={"problem": type(problem).__name__})
            except Exception as problem:  # noqa: BLE001 - the next hour begins anew, and may be better
                self._store.count("failed", "upkeep")
                log.error("removing what is due failed", extra=cause(problem))
            else:
                if batches:
                    log.info("removed what was due", extra={"batches": batches})
