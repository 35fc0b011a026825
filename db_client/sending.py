"""One batch from the queue file to the service: what is refused for good goes to the dead letters, the rest arrives."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from db_client import records, rqlite
from db_client.errors import NotKept, OutcomeUnknown, Refused, ServiceUnavailable, StatementRefused
from db_client.queue_file import Entry, Position, QueueFile, Settlement
from db_client.record_statements import statements_for
from db_client.records import Newer
from db_client.rqlite import Rows
from db_client.service import Service

MOST_STATEMENTS = 500
MOST_BYTES = 300 * 1024  # of a request; of each there are some copies in memory, which is not given back
ATTEMPT_SECONDS = 10.0
STRIKES = 10  # after so many unknown outcomes of one entry alone, while the service takes other writes, it is dead
SETTLE_SECONDS = 1.0

log = logging.getLogger(__name__)


class Written(NamedTuple):
    """An entry as the statements to send, encoded and joined by commas, and how many they are."""

    entry: Entry
    kind: str
    encoded: str
    statements: int


class Batch(NamedTuple):
    """What was sent, or tried: whether anything waited, whether more does, and how far delivery has come.

    `position` tells of entries from `first` on; those below it are settled, by this process or another.
    `answers`: the rows that an entry's statements returned, by the entry's id, where they return any.
    """

    some: bool
    more: bool
    first: int
    position: Position
    answers: dict[int, Rows]


class Sender:
    """Sends what waits, a batch at a time; its caller is the file's only deliverer. `clock`: ms since 1970 UTC.

    `settle` commits what became of entries, alone (by default) or with what other threads have to commit.
    """

    def __init__(
        self,
        queue: QueueFile,
        service: Service,
        clock: Callable[[], int],
        settle: Callable[[Settlement], None] | None = None,
    ) -> None:
        self._queue = queue
        self._service = service
        self._clock = clock
        self._settle_in_file = settle or (lambda settled: queue.settle(*settled))
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._most = MOST_STATEMENTS
        self._struck: tuple[int, int] = (0, 0)
        self._answers: dict[int, Rows] = {}
        self._delivered: list[Entry] = []
        self._newest_dead = 0
        self._telling = threading.Lock()

    def send_some(self, tell: Callable[[Batch], None] = lambda batch: None) -> Batch:
        """Delivers the oldest entries, as many as fit one request; raises ServiceUnavailable, or NotKept for the disk.

        Raises Newer if the oldest is of a newer version of this program: nothing behind it is sent.

        `tell` hears of it before it is settled in the file, so that nobody waits for that disk. After an unknown
        outcome the next batch is half as long, in case its length or one entry in it is the cause.
        """
        self._service.migrate_once(self._clock())
        entries = self._queue.waiting(self._most)
        if not entries:
            batch = Batch(False, False, 0, self._queue.position(), {})
            tell(batch)
            self._settle()
            return batch
        self._answers, self._newest_dead = {}, 0
        written = self._written(entries)
        try:
            self._send(written)
        except OutcomeUnknown:
            self._settle()
            self._most = max(1, self._most // 2)
            if len(written) == 1:
                self._strike(written[0])
            raise
        except ServiceUnavailable:
            self._settle()
            raise
        head = written[-1].entry.id + 1 if written else entries[-1].id + 1
        more = len(entries) >= self._most or head <= entries[-1].id
        self._most = min(MOST_STATEMENTS, self._most * 2)
        batch = Batch(True, more, entries[0].id, Position(head, self._newest_dead), self._answers)
        with self._telling:
            tell(batch)
            self._settle()
        return batch

    # --- counting ---

    def count(self, name: str, label: str, n: int = 1) -> None:
        """Adds to a counter; it reaches the queue file with the next commit, or `commit_counts`."""
        with self._lock:
            self._counts[name, label] += n

    @contextmanager
    def between_batches(self) -> Iterator[None]:
        """Nobody was told of a batch that is not settled yet; raises NotKept if the disk does not let it be."""
        if not self._telling.acquire(timeout=SETTLE_SECONDS):
            raise NotKept("what was delivered could not be settled within a second: the disk stands still")
        try:
            yield
        finally:
            self._telling.release()

    def uncommitted_counts(self) -> Counter[tuple[str, str]]:
        """What is counted in this process and not yet in the queue file."""
        with self._lock:
            return Counter(self._counts)

    def commit_counts(self) -> None:
        """Writes the counters down, if there is anything to write."""
        self._settle()

    # --- one batch ---

    def _written(self, entries: Sequence[Entry]) -> list[Written]:
        """Entries as statements, as many as fit one request; those that cannot be read are buried at once.

        One of a newer version of this program ends the batch; raises Newer if it is the first.
        """
        written: list[Written] = []
        statements = size = 0
        for entry in entries:
            try:
                one = _write(entry)
            except Newer:
                if not written:
                    raise
                break
            except Exception as problem:  # noqa: BLE001 (whatever is wrong with one entry must not hold up the rest)
                self._bury(entry, "unreadable", f"unreadable: {problem or type(problem).__name__}")
                continue
            statements += one.statements
            size += len(one.encoded)
            if written and (statements > self._most or size > MOST_BYTES):
                break
            written.append(one)
        return written

    def _send(self, batch: Sequence[Written]) -> None:
        """Delivers a batch in order, whatever of it is refused; raises ServiceUnavailable where it had to stop."""
        mended = False
        while batch:
            try:
                statements = sum(one.statements for one in batch)
                results = self._service.execute_encoded([one.encoded for one in batch], statements, ATTEMPT_SECONDS)
            except StatementRefused as refusal:
                if rqlite.lacks_schema(refusal) and not mended:
                    self._service.migrate(self._clock())
                    mended = True  # by this call or, meanwhile, by another process
                    continue
                guilty = _owner_of(refusal.index, batch)
                self._send(batch[:guilty])
                self._bury(batch[guilty].entry, "refused", str(refusal))
                batch = batch[guilty + 1 :]
            except Refused as refusal:
                if len(batch) == 1:
                    self._bury(batch[0].entry, "refused", str(refusal))
                    return
                half = len(batch) // 2
                self._send(batch[:half])
                batch = batch[half:]
            else:
                first = 0
                for one in batch:
                    self.count("delivered", one.kind)
                    returned = rqlite.returned(results[first : first + one.statements])
                    if returned is not None:
                        self._answers[one.entry.id] = returned
                    first += one.statements
                    self._delivered.append(one.entry)
                return

    def _strike(self, one: Written) -> None:
        """Counts an unknown outcome against an entry that was sent alone."""
        entry, strikes = self._struck
        self._struck = (one.entry.id, strikes + 1 if entry == one.entry.id else 1)
        if self._struck[1] >= STRIKES and self._service.takes_writes():
            self._bury(one.entry, "no_answer", f"the service gave no answer to it {STRIKES} times, but did to others")

    def _bury(self, entry: Entry, why: str, reason: str) -> None:
        log.error("an entry is now a dead letter", extra={"entry": entry.id, "reason": reason})
        self.count("dead", why)
        self._newest_dead = entry.id
        self._settle([(entry, reason)])

    def _settle(self, dead: Sequence[tuple[Entry, str]] = ()) -> None:
        """Commits what was delivered since the last time, and these dead; nothing if there is nothing to commit."""
        delivered, self._delivered = self._delivered, []
        with self._lock:
            counts, self._counts = self._counts, Counter()
        if not (delivered or dead or counts):
            return
        try:
            self._settle_in_file(Settlement(delivered, dead, self._clock(), counts))
        except NotKept:
            with self._lock:
                self._counts += counts
            raise


def _write(entry: Entry) -> Written:
    record = records.from_json(entry.body.decode())
    statements = statements_for(record)
    return Written(entry, record.kind, ",".join(map(rqlite.encode_statement, statements)), len(statements))


def _owner_of(index: int, batch: Sequence[Written]) -> int:
    """Which entry of the batch the statement with that index in the request belongs to."""
    for number, one in enumerate(batch):
        index -= one.statements
        if index < 0:
            return number
    return len(batch) - 1
