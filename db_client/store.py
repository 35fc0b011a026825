"""What the services call: keep a write (on disk first), wait for it to be stored, read, forget a person."""

from __future__ import annotations

import concurrent.futures
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from db_client import rqlite
from db_client.delivery import Delivery
from db_client.erasure import LAST_DECISION, Erasure, erasures_in
from db_client.erasure_follower import ErasureFollower
from db_client.errors import NotKept, QueueFull, ServiceUnavailable, StatementRefused
from db_client.queue_file import NewEntry, QueueFile, Settlement
from db_client.receipts import NOTHING, Delivered, Fate, Receipt, Waiter
from db_client.records import Newer, Record, Undecodable, from_json
from db_client.sending import Sender
from db_client.service import Service
from db_client.settings import StoreSettings
from db_client.statements import Statement
from db_client.together import Together
from db_client.transport import Transport

__all__ = ["Delivered", "Fate", "QueueStatistics", "Receipt", "Store"]

READERS = 8
COMMIT_SOON_SECONDS = 0.05

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class QueueStatistics:
    """What a queue file holds. `oldest_at`: when the oldest waiting entry was kept, ms since 1970 UTC, or None."""

    waiting: int
    oldest_at: int | None
    dead: int
    counters: dict[str, dict[str, int]] = field(default_factory=dict)


class _Put:
    """One call of `keep`, or what became of a batch, on its way to the disk, perhaps in the same commit as others."""

    def __init__(
        self,
        entries: list[NewEntry],
        notes: Mapping[str, str | None],
        erasures: Sequence[Erasure],
        waiter: Waiter | None = None,
        settled: Settlement | None = None,
    ) -> None:
        self.entries = entries
        self.erasures = erasures
        self.notes = notes
        self.waiter = waiter
        self.settled = settled
        self.ids: list[int] | None = None
        self.problem: NotKept | None = None

    @property
    def over(self) -> bool:
        """True if it was committed, or refused."""
        return self.ids is not None or self.problem is not None

    def check(self) -> list[int]:
        """The ids of the entries that were committed; raises NotKept if nothing was."""
        if self.ids is None:
            raise self.problem or NotKept("the queue file could not be written: nothing was kept")
        return self.ids

    @property
    def receipt(self) -> Receipt:
        """The run of entries that was committed; raises NotKept if nothing was."""
        ids = self.check()
        return Receipt(min(ids), max(ids)) if ids else NOTHING


class Store:
    """The way from a program to the SQLite service; safe for many threads, and for forks after it is made.

    `clock` gives milliseconds since 1970 UTC.
    """

    def __init__(
        self, settings: StoreSettings, *, clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    ) -> None:
        self._clock = clock
        self._queue = QueueFile(settings.queue_file, settings.queue_max_bytes)
        self._service = Service(Transport(settings.service_url))
        self._pid = 0
        self._started = False
        self._renew_after_fork()

    def start(self) -> None:
        """Begins delivery in the background, in this process and in those forked from it later (at their first use).

        Raises `threads.NoThread`; then the next call tries again.
        """
        self._started = True
        self._own_delivery().start()
        self._follower.start()

    def keep(self, records: Sequence[Record], *, notes: Mapping[str, str | None] | None = None) -> Receipt:
        """Commits records and notes to the queue file, together; when it returns they survive a power cut.

        Threads that call at the same time share one commit. An erasure removes the person's earlier entries and dead
        letters in the same commit. Raises QueueFull or NotKept; then nothing was kept.
        """
        put = self._put(records, notes or {})
        self._puts.do(put)
        receipt = put.receipt
        if self._started and receipt != NOTHING:
            self._delivery.call()
        return receipt

    def send(self, records: Sequence[Record], *, within: float) -> Delivered:
        """`keep`, then `deliver`, with what the service answered.

        While delivery goes well its thread commits what it is about to send: the calling thread is woken once, by the
        answer, which under load is most of the cost. Raises QueueFull or NotKept; then nothing was kept.
        """
        deadline = time.monotonic() + within
        waiter = Waiter()
        put = self._put(records, {}, waiter)
        if self._started and self._delivery.brisk():
            self._puts.offer(put)
            self._delivery.call()
            if not waiter.sleep(min(deadline, time.monotonic() + COMMIT_SOON_SECONDS)) and not put.over:
                self._puts.act()
        else:
            self._puts.do(put)
            self._delivery.call()
        if put.receipt == NOTHING:
            return Delivered(Fate.STORED, None)
        return self._delivery.wait(waiter, deadline)

    def deliver(self, receipt: Receipt, *, within: float) -> Fate:
        """Waits at most `within` seconds for the service to have what the receipt stands for; never raises for a fault.

        While the service is known to be down it says KEPT at once. KEPT is a promise: it will be delivered later.
        """
        return self._own_delivery().wait_for(receipt, within)

    def query(self, *statements: Statement, within: float) -> list[list[dict[str, Any]]]:
        """The rows of each statement, as dicts, after at most `within` seconds.

        Raises ServiceUnavailable if they could not be had in time, Refused if the service will never answer this.
        """
        self._own_delivery()
        try:
            asked = self._readers.submit(self._read, statements, within)
        except RuntimeError as problem:
            raise ServiceUnavailable("no_thread", "no thread can be started to ask") from problem
        try:
            return asked.result(timeout=within)
        except concurrent.futures.TimeoutError:
            asked.cancel()
            raise ServiceUnavailable("timeout", f"no answer within {within} s") from None

    def notes(self, prefix: str = "") -> dict[str, str]:
        """The caller's durable values whose key begins with `prefix`."""
        self._own_delivery()
        return self._queue.notes(prefix)

    def forget(self, user_id: int, *, before: int = LAST_DECISION) -> int:
        """Removes what waits or lies dead about a person from this queue file; how many entries. An erasure stays.

        With `before`, a decision's snowflake, what was decided and what happened since then stays too. What the file
        only has traces of, in its log or in unused parts of its pages, goes within a minute.
        """
        self._own_delivery()
        removed = self._queue.erase([Erasure(user_id, before)])
        self._queue.left_traces()
        return removed

    def remembered_decisions(self) -> list[Record]:
        """What people and managers decided last, as kept on this queue file (see `remembering`); oldest first.

        Raises Newer if one was kept by a newer version of this program.
        """
        self._own_delivery()
        decisions: list[Record] = []
        for body in self._queue.decisions():
            try:
                decisions.append(from_json(body))
            except Newer:
                raise
            except Undecodable as problem:
                log.error("a remembered decision cannot be read and is left out", extra={"problem": str(problem)})
        return decisions

    def statistics(self) -> QueueStatistics:
        """What waits, since when, how many are dead, and what was counted over the life of the queue file."""
        self._own_delivery()
        with self._sender.between_batches():
            waiting, oldest, dead, counts = self._queue.tallies()
            uncommitted = self._sender.uncommitted_counts()
        counters: dict[str, dict[str, int]] = {}
        for tally in (counts, uncommitted):
            for (name, label), n in tally.items():
                labels = counters.setdefault(name, {})
                labels[label] = labels.get(label, 0) + n
        return QueueStatistics(waiting, oldest, dead, counters)

    def count(self, name: str, label: str) -> None:
        """Adds one to a counter of the queue file; see `statistics`."""
        self._own_delivery()
        self._sender.count(name, label)

    def subjects(self) -> tuple[set[int], set[str]]:
        """Whom the records that wait are about, and the keys of those that have one. Raises NotKept."""
        self._own_delivery()
        return self._queue.subjects()

    def idle(self) -> bool:
        """True if nothing waits and nothing is under way."""
        return self._own_delivery().idle()

    def stop(self, *, within: float) -> bool:
        """Tries to deliver the rest for at most `within` seconds, then ends; True if nothing is left waiting.

        What is left stays in the file and is delivered by the next program that opens it.
        """
        emptied = self._own_delivery().stop(within)
        self._follower.stop()
        self._readers.shutdown(wait=False, cancel_futures=True)
        self._queue.close()
        return emptied

    def _own_delivery(self) -> Delivery:
        if self._pid != os.getpid():
            self._renew_after_fork()
            if self._started:
                self._delivery.start()
                self._follower.start()
        return self._delivery

    def _put(self, records: Sequence[Record], notes: Mapping[str, str | None], waiter: Waiter | None = None) -> _Put:
        self._own_delivery()
        now = self._clock()
        entries = [NewEntry(r.key, r.person, r.kind, r.to_json(), now) for r in records]
        return _Put(entries, dict(notes), erasures_in(records), waiter)

    def _renew_after_fork(self) -> None:
        self._puts: Together[_Put] = Together(self._commit)
        self._sender = Sender(self._queue, self._service, self._clock, self._settle)
        self._delivery = Delivery(self._queue, self._sender, commit=self._puts.act)
        self._follower = ErasureFollower(self._queue, self._service, self._clock, self._sender.count)
        self._readers = concurrent.futures.ThreadPoolExecutor(READERS, thread_name_prefix="reader")
        self._pid = os.getpid()

    def _read(self, statements: Sequence[Statement], within: float) -> list[list[dict[str, Any]]]:
        try:
            return self._service.query(statements, within)
        except StatementRefused as refusal:
            if not rqlite.lacks_schema(refusal):
                raise
            self._service.migrate(self._clock())
            return self._service.query(statements, within)

    def _settle(self, settled: Settlement) -> None:
        """Commits what became of a batch together with what other threads keep meanwhile; raises NotKept."""
        put = _Put([], {}, (), settled=settled)
        self._puts.do(put)
        put.check()

    def _commit(self, puts: Sequence[_Put]) -> None:
        """Commits several calls' entries at once; if that fails, each alone, so that none fails for another's sake."""
        try:
            ids = self._put_all(puts)
        except NotKept as problem:
            if len(puts) == 1 or not isinstance(problem, QueueFull):
                for put in puts:
                    put.problem = problem
                    if put.waiter is not None:
                        put.waiter.end()
            else:
                for put in sorted(puts, key=lambda put: put.settled is None):  # first what makes room
                    self._commit([put])
            return
        start = 0
        for put in puts:
            put.ids = ids[start : start + len(put.entries)]
            start += len(put.entries)
            if put.waiter is not None:
                self._delivery.expect(put.waiter, put.receipt)

    def _put_all(self, puts: Sequence[_Put]) -> list[int]:
        settled = next((put.settled for put in puts if put.settled is not None), None)  # there is one deliverer
        if settled is not None and len(puts) == 1:
            self._queue.settle(*settled)
            return []
        entries = [entry for put in puts for entry in put.entries]
        notes = {key: value for put in puts for key, value in put.notes.items()}
        return self._queue.put(entries, notes, [erasure for put in puts for erasure in put.erasures], settled)
