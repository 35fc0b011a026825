"""The one writer: requests that wait together are applied one after another and share one COMMIT, that is one fsync.

Whoever waits is answered after the COMMIT, so an answer means "on disk". `DESIGN.md` says what a group may share.
"""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import apsw

from program.logs import cause
from sqlite_service.checkpointer import Checkpointer
from sqlite_service.connection import Connection, DisallowedPragma
from sqlite_service.request import Statement
from sqlite_service.response import Answer, Failure, Outcome

log = logging.getLogger(__name__)

_GROUP_STATEMENTS = 2_000
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class NotApplied(Exception):
    """The disk or the file failed under a request, which may be sent again."""


class DiskFull(NotApplied):
    """There was no room for the request; nothing of it was stored."""


class Closed(NotApplied):
    """The service is stopping; nothing of the request was stored."""


class _TransactionLost(Exception):
    """SQLite rolled back the whole group because of one statement, which is now marked as failed."""


def _held() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(slots=True)
class Write:
    """One request on its way through the writer; `rows_of_reads` is /db/request's way."""

    statements: Sequence[Statement]
    transaction: bool
    rows_of_reads: bool = False
    statement_seconds: float | None = None
    answer: Answer | None = None
    problem: NotApplied | None = None
    known_failures: dict[int, Failure] = field(default_factory=dict)
    waiting: threading.Lock = field(default_factory=_held)
    """Held until the write is answered, or leads: the cheapest way for one thread to wait for another."""
    leads: bool = False
    """Whether the write's own thread applies the next group."""


class Writer:
    """Applies writes in the order of their arrival; `opened` makes its connection anew after a fault.

    It has no thread of its own: the thread whose write finds nobody at work leads. It applies all that wait, commits,
    wakes those it answered, and hands the lead to the first that came meanwhile.
    """

    def __init__(self, opened: Callable[[], Connection], checkpointer: Checkpointer, *, request_seconds: float) -> None:
        self._opened = opened
        self._checkpointer = checkpointer
        self._request_seconds = request_seconds
        self._connection: Connection | None = None
        self._connected()
        self._waiting: deque[Write] = deque()
        self._mutex = threading.Lock()
        self._idle = threading.Condition(self._mutex)
        self._working = False
        self._closed = False
        self.groups = 0
        self.requests = 0
        self.statements = 0

    def apply(self, write: Write) -> Answer:
        """Returns the answer once the write is on disk, or refused; raises NotApplied."""
        with self._mutex:
            if self._closed:
                raise Closed("the service is stopping")
            self._waiting.append(write)
            write.leads, self._working = not self._working, True
        if not write.leads:
            write.waiting.acquire()
        if write.leads:
            self._lead()
        if write.problem is not None:
            raise write.problem
        assert write.answer is not None  # noqa: S101 - applied
        return write.answer

    def checkpoint(self) -> None:
        """Lets the checkpointer do what is due, if no write is at work, whose leader does it."""
        with self._mutex:
            if self._working or self._closed or not self._checkpointer.due():
                return
            self._working = True
        self._lead()

    def _lead(self) -> None:
        """Applies all that wait, the caller's own write first among them, and hands the lead on."""
        group = self._next_group()
        try:
            if self._checkpointer.due():
                self._checkpoint()
            if group:
                self._commit(group)
        finally:
            with self._mutex:
                if self._waiting:
                    self._waiting[0].leads = True
                    self._waiting[0].waiting.release()
                else:
                    self._working = False
                    self._idle.notify_all()
            for write in group:
                if not write.leads:
                    write.waiting.release()

    def _checkpoint(self) -> None:
        try:
            self._checkpointer.checkpoint(self._connected())
        except Exception as problem:  # noqa: BLE001 - the next time may go well
            log.error("what was deleted is still in the file or its WAL", extra=cause(problem))

    def close(self) -> None:
        """Waits for what is being applied, then closes the connection, whose WAL was copied into the file."""
        with self._mutex:
            self._closed = True
            while self._working:
                self._idle.wait()
        if self._connection is not None:
            self._checkpointer.detach(self._connection)
            self._drop_connection()

    def _next_group(self) -> list[Write]:
        group: list[Write] = []
        statements = 0
        while self._waiting and statements < _GROUP_STATEMENTS:
            group.append(self._waiting.popleft())
            statements += len(group[-1].statements)
        return group

    def _commit(self, group: list[Write]) -> None:
        try:
            self._attempt(group)
            return
        except apsw.Error as problem:
            failure = self._not_applied(problem)
        except Exception as problem:  # noqa: BLE001 - whatever it is, the group is answered
            log.error("a write failed for a reason of the service's own", extra=cause(problem))
            failure = NotApplied("internal error: see the service's log")
        self._roll_back(broken=not isinstance(failure, DiskFull))
        if isinstance(failure, DiskFull) and len(group) > 1:
            # Each alone may still fit: one that is too large does not take the others with it.
            for write in group:
                self._commit([write])
            return
        for write in group:
            write.answer, write.problem = None, failure

    def _attempt(self, group: list[Write]) -> None:
        """One transaction for the group; begun again without the culprit whenever a statement takes it down."""
        connection = self._connected()
        while True:
            connection.control("BEGIN IMMEDIATE")
            try:
                for write in group:
                    write.answer = self._applied(connection, write)
            except _TransactionLost:
                continue
            connection.control("COMMIT")
            break
        self.groups += 1
        self.requests += len(group)
        self.statements += sum(len(write.statements) for write in group)

    def _applied(self, connection: Connection, write: Write) -> Answer:
        deadline = time.monotonic() + self._request_seconds
        try:
            if write.transaction:
                return self._whole(connection, write, deadline)
            return self._one_by_one(connection, write, deadline)
        except DisallowedPragma:
            connection.control("ROLLBACK TO request")
            connection.control("RELEASE request")
            return Answer([], "disallowed pragma")

    def _whole(self, connection: Connection, write: Write, deadline: float) -> Answer:
        """All statements or none; the first that fails is the last that is answered."""
        connection.control("SAVEPOINT request")
        outcomes: list[Outcome] = []
        error = ""
        for index, statement in enumerate(write.statements):
            if not statement.sql:
                continue
            outcomes.append(self._outcome(connection, write, index, deadline))
            if isinstance(outcomes[-1], Failure):
                break
        else:
            if connection.raw.status(apsw.SQLITE_DBSTATUS_DEFERRED_FKS)[0]:
                outcomes, error = [], "FOREIGN KEY constraint failed"
        if error or (outcomes and isinstance(outcomes[-1], Failure)):
            connection.control("ROLLBACK TO request")
        connection.control("RELEASE request")
        return Answer(outcomes, error)

    def _one_by_one(self, connection: Connection, write: Write, deadline: float) -> Answer:
        """Each statement stands or fails alone."""
        connection.control("SAVEPOINT request")
        outcomes: list[Outcome] = []
        for index, statement in enumerate(write.statements):
            if not statement.sql:
                continue
            connection.control("SAVEPOINT statement")
            outcome = self._outcome(connection, write, index, deadline)
            if connection.raw.status(apsw.SQLITE_DBSTATUS_DEFERRED_FKS)[0]:
                outcome = Failure("FOREIGN KEY constraint failed")
            if isinstance(outcome, Failure):
                connection.control("ROLLBACK TO statement")
            connection.control("RELEASE statement")
            outcomes.append(outcome)
        connection.control("RELEASE request")
        return Answer(outcomes)

    def _outcome(self, connection: Connection, write: Write, index: int, deadline: float) -> Outcome:
        if index in write.known_failures:
            return write.known_failures[index]
        if write.statement_seconds is not None:
            deadline = min(deadline, time.monotonic() + write.statement_seconds)
        outcome = connection.run(write.statements[index], deadline=deadline, rows_of_reads=write.rows_of_reads)
        if isinstance(outcome, Failure) and not connection.raw.in_transaction:
            # A time limit in the midst of a write, or OR ROLLBACK: SQLite undid the whole group.
            write.known_failures[index] = outcome
            raise _TransactionLost
        return outcome

    # --- faults ------------------------------------------------------------------------------------------------------

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._opened()
            self._checkpointer.attach(self._connection)
        return self._connection

    def _roll_back(self, *, broken: bool) -> None:
        """Leaves no transaction open; after a fault of the file the next group starts with a fresh connection."""
        try:
            if self._connection is not None and self._connection.raw.in_transaction:
                self._connection.control("ROLLBACK")
        except apsw.Error:
            broken = True
        if broken:
            self._drop_connection()

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        try:
            if connection is not None:
                connection.raw.close()
        except apsw.Error as problem:
            log.warning("closing the file: %s", problem)

    def _not_applied(self, problem: apsw.Error) -> NotApplied:
        system = self._connection.raw.system_errno if self._connection is not None else 0
        if isinstance(problem, apsw.FullError) or (isinstance(problem, apsw.IOError) and system in _NO_ROOM):
            log.error("the disk is full: writes are refused until there is room again")
            return DiskFull(
                "database or disk is full: nothing of this request was stored; make room, then send it again"
            )
        log.error("a group of writes was not applied: %s", problem)
        return NotApplied(f"{problem}: whether this request was stored is not known; send it again")
