"""What a caller holds of a write that was kept, and how a thread waits for what becomes of it."""

from __future__ import annotations

import enum
import threading
import time
from typing import NamedTuple

from db_client.queue_file import Position
from db_client.rqlite import Rows


class Fate(enum.Enum):
    """What became of kept records: the service has them; they wait; or they are dead letters, with a reason."""

    STORED = "stored"
    KEPT = "kept"
    REFUSED = "refused"


class Receipt(NamedTuple):
    """What `keep` gave for records that are on disk: the run of entries that holds them."""

    first: int
    last: int


NOTHING = Receipt(0, -1)


class Delivered(NamedTuple):
    """How far delivery came. `answers`: what the statements returned, if they do and this process delivered them."""

    fate: Fate
    answers: Rows | None


class Waiter:
    """One thread that waits for a receipt; it is woken once, when there is nothing more to wait for."""

    __slots__ = ("_wake", "answers", "attempts", "over", "position", "receipt")

    def __init__(self) -> None:
        self.receipt = NOTHING
        self.attempts = 0
        self.position = Position(0, 0)
        self.answers: Rows | None = None
        self.over = False
        self._wake = threading.Lock()
        self._wake.acquire()

    def sleep(self, until: float) -> bool:
        """Waits until that moment of `time.monotonic` at most; True if it is over."""
        if not self.over:
            self.over = self._wake.acquire(timeout=max(0.0, until - time.monotonic()))
        return self.over

    def end(self) -> None:
        """Nothing more to wait for; to be called once."""
        self._wake.release()
