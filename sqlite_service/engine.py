"""The database behind the HTTP front: one writer, a pool of readers, hot backups. Knows nothing of HTTP.

SQLite comes with the package apsw: https://rogerbinns.github.io/apsw/
"""

from __future__ import annotations

import logging
import os
import queue
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, BinaryIO

import apsw

from program import threads
from sqlite_service import unused_bytes
from sqlite_service.checkpointer import Checkpointer
from sqlite_service.connection import Connection, DisallowedPragma
from sqlite_service.request import Statement
from sqlite_service.response import Answer, Outcome
from sqlite_service.writer import NotApplied, Write, Writer

log = logging.getLogger(__name__)

_IDLE_READERS = 8
_JOURNAL_MODE_AT, _JOURNAL_MODE_DELETE = 18, b"\x01\x01"
"""https://www.sqlite.org/fileformat2.html#file_format_version_numbers"""


class Engine:
    """One SQLite file: writes are durable when answered, reads see every answered write.

    Any number of threads may call it. `request_seconds` bounds the SQL of one request; `clean_seconds` after a write
    nothing is left of what it deleted, unless somebody still reads an older state.
    """

    def __init__(self, file: Path, *, request_seconds: float = 5.0, clean_seconds: float = 20.0) -> None:
        self.file = file
        for left_by_a_kill in file.absolute().parent.glob(f"{_copies_of(file)}*"):
            left_by_a_kill.unlink()
        self._request_seconds = request_seconds
        self._readers: queue.SimpleQueue[Connection] = queue.SimpleQueue()
        self._queries = 0
        self._checkpointer = Checkpointer(file, seconds=clean_seconds)
        self._writer = Writer(
            lambda: Connection(file, read_only=False), self._checkpointer, request_seconds=request_seconds
        )
        self._closing = threading.Event()
        self._reminder = threads.start("checkpoints", lambda: self._remind(clean_seconds / 4))

    def _remind(self, seconds: float) -> None:
        """A service that nobody writes to any more is cleaned too."""
        while not self._closing.wait(seconds):
            self._writer.checkpoint()

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

    def query(
        self, statements: Sequence[Statement], *, transaction: bool = False, statement_seconds: float | None = None
    ) -> Answer:
        """Runs reads, each on its own, or all on one state; raises NotApplied when the file cannot be read."""
        self._queries += 1
        deadline = time.monotonic() + self._request_seconds
        outcomes: list[Outcome] = []
        try:
            with self._reader() as reader, reader.one_state() if transaction else nullcontext():
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

    def backup(self, *, vacuum: bool = False) -> BinaryIO:
        """A consistent copy as an open file without a name, taken while writes go on; raises NotApplied.

        The copy is in journal mode DELETE: one file that opens anywhere, read-only media too; and it holds nothing of
        deleted rows. With `vacuum` it has no free pages either.
        """
        descriptor, name = tempfile.mkstemp(prefix=_copies_of(self.file), dir=self.file.parent)
        try:
            source = apsw.Connection(str(self.file), flags=apsw.SQLITE_OPEN_READONLY)
            try:
                if vacuum:
                    source.execute("VACUUM INTO ?", (name,))
                else:
                    _copy_pages(source, name)
            finally:
                source.close()
            os.pwrite(descriptor, _JOURNAL_MODE_DELETE, _JOURNAL_MODE_AT)
            unused_bytes.overwrite_all(descriptor)
            return os.fdopen(descriptor, "rb")
        except (apsw.Error, OSError) as problem:
            os.close(descriptor)
            raise NotApplied(f"no backup was made: {problem}") from problem
        finally:
            with suppress(FileNotFoundError):
                os.unlink(name)

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
        """Applies what waits, closes every connection and leaves one file, without a byte of what was deleted."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._reminder.join()
        while True:
            try:
                self._readers.get_nowait().raw.close()
            except queue.Empty:
                break
        self._writer.close()
        self._checkpointer.close()


def _copies_of(file: Path) -> str:
    """How the name of a copy begins that is being made of the file."""
    return f".{file.name}-backup-"


def _copy_pages(source: apsw.Connection, name: str) -> None:
    """Copies into an empty file, which has no name any more before there is anything in it."""
    copy = apsw.Connection(name)
    try:
        os.unlink(name)
        copy.execute("PRAGMA journal_mode=OFF").fetchall()
        copy.execute("PRAGMA synchronous=OFF")
        with copy.backup("main", source, "main") as backup:
            backup.step(-1)
    finally:
        copy.close()
