"""Delivery: sends what waits in the queue file to the SQLite service, oldest first, until it is empty.

One thread in each process does it, and of all processes on a file one at a time. What the service refuses for good
goes to the dead letters and holds nothing up; while the service cannot be asked everything waits, in order.
"""

from __future__ import annotations

import enum
import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from db_client import records, rqlite
from db_client.errors import NotKept, OutcomeUnknown, Refused, ServiceUnavailable, StatementRefused
from db_client.queue_file import Entry, Position, QueueFile
from db_client.service import Service
from db_client.statements import statements_for

MOST_ENTRIES = 500
MOST_BYTES = 512 * 1024
ATTEMPT_SECONDS = 10.0
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 30.0
PROBE_SECONDS = 1.0  # while the service is down and a person waits, it is asked at most this often
GLANCE_SECONDS = 0.03  # how often an idle process looks whether another one died and left entries behind
KNOWN_DOWN = 2  # failures in a row after which nobody waits for the service

log = logging.getLogger(__name__)


class Fate(enum.Enum):
    """What became of kept records: the service has them; they wait; or they are dead letters, with a reason."""

    STORED = "stored"
    KEPT = "kept"
    REFUSED = "refused"


class Receipt(NamedTuple):
    """What `keep` gave for records that are on disk: the run of entries that holds them."""

    first: int
    last: int


class Written(NamedTuple):
    """An entry as the statements to send, encoded, and how many."""

    entry: Entry
    encoded: str
    statements: int


def pause(failures: int, chance: float) -> float:
    """Seconds to wait after so many failures in a row: growing, with full jitter (`chance` from 0 to 1)."""
    return chance * min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures, 16))


class Delivery:
    """The delivering thread of this process for one queue file, and the threads that wait for what it does."""

    def __init__(
        self,
        queue: QueueFile,
        service: Service,
        *,
        clock: Callable[[], int],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._queue = queue
        self._service = service
        self._clock = clock
        self._chance = chance
        self._lock = threading.Lock()
        self._called = threading.Condition(self._lock)  # the delivering thread waits here
        self._progress = threading.Condition(self._lock)  # who waits for a receipt waits here
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._work = True  # something may wait in the file; at first it may have been left by an earlier process
        self._asked = False  # a person waits
        self._busy = False
        self._failures = 0
        self._attempts = 0
        self._last_attempt = 0.0
        self._next_attempt = 0.0
        self._position = Position(0, 0)
        self._seen: tuple[int, int] | None = None
        self._most = MOST_ENTRIES
        self._counts: Counter[tuple[str, str]] = Counter()

    # --- for those who keep and wait ---

    def start(self) -> None:
        """Starts the delivering thread if this process has none."""
        with self._lock:
            self._start()

    def call(self) -> None:
        """Says that something new waits."""
        with self._lock:
            self._start()
            self._work = True
            self._called.notify()

    def wait_for(self, receipt: Receipt, within: float) -> Fate:
        """What became of the receipt's entries after at most `within` seconds; sooner if the service is down."""
        began = time.monotonic()
        deadline = began + within
        with self._lock:
            self._start()
            attempts = self._attempts
            self._work = self._asked = True
            self._called.notify()
            while self._position.head <= receipt.last and not self._stopping:
                if self._failures >= KNOWN_DOWN and (self._attempts > attempts or not self._may_probe()):
                    break
                if (left := deadline - time.monotonic()) <= 0:
                    break
                self._progress.wait(left)
            position = self._position
        if position.head <= receipt.last:
            position = self._looked_up(position)
        if time.monotonic() - deadline > 0.1:
            self.count("budget_overruns", "deliver")
        if position.head <= receipt.last:
            return Fate.KEPT
        if position.newest_dead >= receipt.first and self._queue.any_dead(receipt.first, receipt.last):
            return Fate.REFUSED
        return Fate.STORED

    def idle(self) -> bool:
        """True if nothing waits in the file and this process is sending nothing."""
        with self._lock:
            if self._busy:
                return False
        return not self._queue.waiting(1, 1)

    def count(self, name: str, label: str, n: int = 1) -> None:
        """Adds to a counter; it reaches the queue file with the next commit of this thread."""
        with self._lock:
            self._counts[name, label] += n

    def uncommitted_counts(self) -> Counter[tuple[str, str]]:
        """What is counted in this process and not yet in the queue file."""
        with self._lock:
            return Counter(self._counts)

    def stop(self, within: float) -> bool:
        """Tries to deliver what waits, for at most `within` seconds, and ends the thread; True if nothing is left."""
        deadline = time.monotonic() + within
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                attempts = self._attempts
                self._work = self._asked = True
                self._next_attempt = 0.0
                self._called.notify()
                while (self._work or self._busy) and (left := deadline - time.monotonic()) > 0:
                    if self._failures and self._attempts > attempts + 1:
                        break
                    self._progress.wait(left)
            self._stopping = True
            self._called.notify()
            self._progress.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(max(0.0, deadline - time.monotonic()) + 0.05)
        try:
            return not self._queue.waiting(1, 1)
        except NotKept:
            return False

    # --- the thread ---

    def _start(self) -> None:
        if self._stopping or (self._thread is not None and self._thread.is_alive()):
            return
        self._thread = threading.Thread(target=self._run, name="delivery", daemon=True)
        self._thread.start()

    def _may_probe(self) -> bool:
        now = time.monotonic()
        return self._busy or now >= self._next_attempt or now >= self._last_attempt + PROBE_SECONDS

    def _due(self) -> bool:
        """With the lock held: True if the thread should try now."""
        if self._failures:
            return time.monotonic() >= self._next_attempt or (self._asked and self._may_probe())
        return self._work

    def _run(self) -> None:
        while True:
            with self._lock:
                self._busy = False
                self._progress.notify_all()
                while not self._stopping and not self._due():
                    if self._called.wait(self._patience()):
                        continue
                    if not self._failures:
                        break
                if self._stopping:
                    return
                glance = not self._due()
                if not glance:
                    self._busy, self._work, self._asked = True, False, False
            try:
                self._glance() if glance else self._turn()
            except NotKept as problem:
                self._failed("queue_file", str(problem))

    def _patience(self) -> float:
        if not self._failures:
            return GLANCE_SECONDS
        return max(0.001, self._next_attempt - time.monotonic())

    def _glance(self) -> None:
        """Looks whether another process left entries behind: a commit happened, and nobody is delivering."""
        signature = self._queue.signature()
        if signature == self._seen and not self._counts:
            return
        with self._queue.delivering(wait=False) as alone:
            if alone:
                self._seen = signature
                if self._queue.waiting(1, 1):
                    self._deliver()
                else:
                    self._commit_counts()

    def _turn(self) -> None:
        with self._queue.delivering(wait=True):
            self._seen = self._queue.signature()
            self._deliver()

    def _deliver(self) -> None:
        """One batch, by the only deliverer of the file."""
        with self._lock:
            self._last_attempt = time.monotonic()
        entries = self._queue.waiting(self._most, MOST_BYTES)
        try:
            self._service.migrate_once(self._clock())
            if entries:
                self._send(self._written(entries))
        except ServiceUnavailable as fault:
            if isinstance(fault, OutcomeUnknown):
                self._most = max(1, self._most // 2)
            self._failed(fault.cause, str(fault))
            return
        position = self._queue.position()
        with self._lock:
            if self._failures:
                log.info("delivery goes on", extra={"failures": self._failures})
            self._failures = 0
            self._attempts += 1
            self._position = position
            self._work |= len(entries) >= self._most or (bool(entries) and position.head <= entries[-1].id)
            self._progress.notify_all()
        self._most = min(MOST_ENTRIES, self._most * 2)

    def _failed(self, cause: str, message: str) -> None:
        with self._lock:
            self._failures += 1
            self._attempts += 1
            now = time.monotonic()
            self._last_attempt = now
            self._next_attempt = now + pause(self._failures, self._chance())
            self._work = True
            self._counts["retried", cause] += 1
            self._progress.notify_all()
            failures = self._failures
        if failures in (1, KNOWN_DOWN) or failures % 20 == 0:
            log.warning("delivery waits", extra={"cause": cause, "failures": failures, "problem": message})

    def _written(self, entries: Sequence[Entry]) -> list[Written]:
        """Entries as statements; those that are no records of this version are buried at once."""
        written, unreadable = [], []
        for entry in entries:
            try:
                statements = statements_for(records.from_json(entry.body))
                encoded = ",".join(map(rqlite.encode_statement, statements))
                written.append(Written(entry, encoded, len(statements)))
            except (records.Undecodable, rqlite.Unsendable, TypeError) as problem:
                unreadable.append((entry, f"unreadable: {problem}"))
        if unreadable:
            self._bury(unreadable, "unreadable")
        return written

    def _send(self, batch: Sequence[Written]) -> None:
        """Delivers a batch in order, whatever of it is refused; raises ServiceUnavailable where it had to stop."""
        while batch:
            try:
                self._service.execute_encoded(
                    [w.encoded for w in batch], sum(w.statements for w in batch), ATTEMPT_SECONDS
                )
            except StatementRefused as refusal:
                if rqlite.lacks_schema(refusal) and self._service.migrate(self._clock()):
                    continue
                guilty = _owner_of(refusal.index, batch)
                self._send(batch[:guilty])
                self._bury([(batch[guilty].entry, str(refusal))], "refused")
                batch = batch[guilty + 1 :]
            except Refused as refusal:
                if len(batch) == 1:
                    self._bury([(batch[0].entry, str(refusal))], "refused")
                    return
                half = len(batch) // 2
                self._send(batch[:half])
                batch = batch[half:]
            else:
                self._settle([w.entry for w in batch], [], Counter(("delivered", w.entry.kind) for w in batch))
                return

    def _bury(self, dead: Sequence[tuple[Entry, str]], reason_class: str) -> None:
        for entry, reason in dead:
            log.error("entry is a dead letter", extra={"entry": entry.id, "kind": entry.kind, "reason": reason})
        self._settle([], dead, Counter({("dead", reason_class): len(dead)}))

    def _settle(
        self, delivered: Sequence[Entry], dead: Sequence[tuple[Entry, str]], counts: Counter[tuple[str, str]]
    ) -> None:
        with self._lock:
            pending, self._counts = self._counts, Counter()
        try:
            self._queue.settle(delivered, dead, self._clock(), counts + pending)
        except NotKept:
            with self._lock:
                self._counts += pending
            raise

    def _commit_counts(self) -> None:
        if self._counts:
            self._settle([], [], Counter())

    def _looked_up(self, position: Position) -> Position:
        try:
            return self._queue.position()
        except NotKept:
            return position


def _owner_of(index: int, batch: Sequence[Written]) -> int:
    """Which entry of the batch the statement with that index in the request belongs to."""
    for number, written in enumerate(batch):
        index -= written.statements
        if index < 0:
            return number
    return len(batch) - 1
