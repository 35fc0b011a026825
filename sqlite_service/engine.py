"""The database behind the HTTP front: one writer, a pool of readers, hot backups. Knows nothing of HTTP.

SQLite comes with the package apsw: https://rogerbinns.github.io/apsw/
"""

from __future__ import annotations

import logging
import os
import queue
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import apsw

from sqlite_service.connection import Connection, DisallowedPragma
from sqlite_service.request import Statement
from sqlite_service.response import Answer, Outcome
from sqlite_service.writer import NotApplied, Write, Writer

log = logging.getLogger(__name__)

_IDLE_READERS = 8
_WAL_BYTES = 4_200_000
"""What the WAL grows to between two checkpoints: 1,000 pages of 4 KiB, each with its header."""


class Engine:
    """One SQLite file: writes are durable when answered, reads see every answered write.

    Any number of threads may call it. `request_seconds` bounds the SQL of one request.
    """

    def __init__(self, file: Path, *, request_seconds: float = 5.0) -> None:
        self.file = file
        self._request_seconds = request_seconds
        self._readers: queue.SimpleQueue[Connection] = queue.SimpleQueue()
        self._queries = 0
        self._writer = Writer(
            lambda: _with_a_long_wal(Connection(file, read_only=False)), request_seconds=request_seconds
        )

    def execute(
        self,
        statements: Sequence[Statement],
        *,
        transaction: bool = True,
        rows_of_reads: bool = False,
        statement_seconds: float | None = None,
    ) -> Answer:
        """Applies writes and returns once they are on disk; raises NotApplied (DiskFull, Closed) if they are not."""
        return self._writer.apply(Write(statements, transaction, rows_of_reads, statement_seconds))

    def query(self, statements: Sequence[Statement], *, statement_seconds: float | None = None) -> Answer:
        """Runs reads, each on its own; raises NotApplied when the file cannot be read."""
        self._queries += 1
        deadline = time.monotonic() + self._request_seconds
        outcomes: list[Outcome] = []
        try:
            with self._reader() as reader:
                for statement in statements:
                    if statement.sql:
                        until = deadline
                        if statement_seconds is not None:
                            until = min(until, time.monotonic() + statement_seconds)
                        outcomes.append(reader.run(statement, deadline=until, rows_of_reads=True))
        except DisallowedPragma:
            return Answer([], "disallowed pragma")
        except apsw.Error as problem:
            raise NotApplied(str(problem)) from problem
        return Answer(outcomes)

    @contextmanager
    def _reader(self) -> Iterator[Connection]:
        try:
            reader = self._readers.get_nowait()
        except queue.Empty:
            reader = Connection(self.file, read_only=True)
        try:
            yield reader
        except apsw.Error:
            reader.raw.close(True)
            raise
        if self._readers.qsize() < _IDLE_READERS:
            self._readers.put(reader)
        else:
            reader.raw.close()

    def backup(self) -> BinaryIO:
        """A consistent copy as an open file without a name, taken while writes go on; raises NotApplied.

        The copy is in journal mode DELETE: one file that opens anywhere, read-only media too.
        """
        descriptor, name = tempfile.mkstemp(prefix=f".{self.file.name}-backup-", dir=self.file.parent)
        try:
            os.close(descriptor)
            source = apsw.Connection(str(self.file), flags=apsw.SQLITE_OPEN_READONLY)
            copy = apsw.Connection(name)
            try:
                copy.execute("PRAGMA synchronous=OFF")
                with copy.backup("main", source, "main") as backup:
                    backup.step(-1)
                copy.execute("PRAGMA journal_mode=DELETE")
            finally:
                copy.close()
                source.close()
            return open(name, "rb")
        except (apsw.Error, OSError) as problem:
            raise NotApplied(f"no backup was made: {problem}") from problem
        finally:
            for leftover in (name, f"{name}-journal", f"{name}-wal", f"{name}-shm"):
                with suppress(FileNotFoundError):
                    os.unlink(leftover)

    def status(self) -> dict[str, Any]:
        """Sizes in bytes and counters since the start, for /status."""
        with self._reader() as reader:
            pages, page_size, free, schema = (
                next(iter(reader.raw.execute(f"PRAGMA {name}")))[0]
                for name in ("page_count", "page_size", "freelist_count", "schema_version")
            )
        wal = Path(f"{self.file}-wal")
        return {
            "version": apsw.sqlite_lib_version(),
            "path": str(self.file),
            "db_size": pages * page_size,
            "wal_size": wal.stat().st_size if wal.exists() else 0,
            "free_size": free * page_size,
            "schema_version": schema,
            "fk_constraints": "enabled",
            "counters": {
                "commits": self._writer.groups,
                "write_requests": self._writer.requests,
                "write_statements": self._writer.statements,
                "query_requests": self._queries,
            },
        }

    def close(self) -> None:
        """Applies what waits, closes every connection and leaves one file: the WAL is checkpointed into it."""
        while True:
            try:
                self._readers.get_nowait().raw.close()
            except queue.Empty:
                break
        self._writer.close()


def _with_a_long_wal(connection: Connection) -> Connection:
    """Gives the WAL its full size at once, by a transaction that spills into it and is rolled back.

    An fsync of what was written in place takes less than one that makes the file longer. Nothing depends on it:
    without room the WAL stays as it is.
    """
    raw = connection.raw
    with suppress(apsw.Error):
        raw.execute("PRAGMA cache_size=10; BEGIN IMMEDIATE")
        # Unlike an INSERT it leaves the counters that answers show, last_insert_id and rows_affected, at zero.
        raw.execute(f"CREATE TABLE 'room for the WAL' AS SELECT zeroblob({_WAL_BYTES})")
    with suppress(apsw.Error):
        if raw.in_transaction:
            raw.execute("ROLLBACK")
        raw.execute("PRAGMA cache_size=-2000")
    return connection
