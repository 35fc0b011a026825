"""One SQLite connection as the service uses it: what it allows, how long a statement may take, what came of it.

https://www.sqlite.org/c3ref/set_authorizer.html, https://www.sqlite.org/c3ref/progress_handler.html
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from sqlite_service.request import Parameters, Statement, Value
from sqlite_service.response import Changes, Failure, Outcome, Rows

RESULT_LIMIT = 64 * 1024 * 1024
_PROGRESS_STEPS = 20_000
BUSY_MS = 2_000

# The pragmas a client may ask, and those that take a name or a value. Any other could change how the file is kept.
_TAKES_NAME = frozenset(
    {
        *("foreign_key_check", "foreign_key_list", "index_info", "index_list", "index_xinfo", "integrity_check"),
        *("quick_check", "table_info", "table_list", "table_xinfo"),
    }
)
_READABLE = _TAKES_NAME | {
    *("application_id", "collation_list", "compile_options", "data_version", "database_list", "encoding"),
    *("foreign_keys", "freelist_count", "function_list", "journal_mode", "module_list", "page_count", "page_size"),
    *("schema_version", "synchronous", "user_version"),
}
_SETTABLE = frozenset({"application_id", "defer_foreign_keys", "optimize", "user_version"})

_FORBIDDEN = {
    apsw.SQLITE_TRANSACTION: "BEGIN, COMMIT and ROLLBACK are not for clients: send the statements with ?transaction",
    apsw.SQLITE_SAVEPOINT: "SAVEPOINT and RELEASE are not for clients: send the statements with ?transaction",
    apsw.SQLITE_ATTACH: "ATTACH and VACUUM are not for clients",
    apsw.SQLITE_DETACH: "DETACH is not for clients",
}
_OF_READERS = ("query_only=ON",)
# With a limit ANALYZE keeps no samples (sqlite_stat4), which would outlive the rows that they were taken from.
_OF_THE_WRITER = ("secure_delete=ON", "analysis_limit=1000")
_COUNTS = re.compile(r"statement uses (\d+) and there are (\d+) supplied")

# A missing named parameter is NULL in rqlite.
apsw.allow_missing_dict_bindings(True)


class DisallowedPragma(Exception):
    """The request holds a pragma that could change how the file is kept."""


class _Stopped(Exception):
    """A statement is stopped before it runs; the text is for its Failure."""


class Connection:
    """A connection with foreign keys on, transaction control and dangerous pragmas refused, and a time limit.

    One thread at a time may use it.
    """

    def __init__(self, file: Path, *, read_only: bool) -> None:
        self._read_only = read_only
        self._trusted = True
        self._denied: str | None = None
        self._deadline = 0.0
        self._started = 0
        self._description: Any = ()
        self._is_readonly = False
        flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        self.raw = apsw.Connection(str(file), flags=flags)
        self.raw.set_busy_timeout(BUSY_MS)
        for pragma in ("foreign_keys=ON", "synchronous=FULL", *(_OF_READERS if read_only else _OF_THE_WRITER)):
            self.raw.execute(f"PRAGMA {pragma}")
        self.raw.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
        self.raw.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
        self.raw.limit(apsw.SQLITE_LIMIT_LENGTH, RESULT_LIMIT)
        self.raw.limit(apsw.SQLITE_LIMIT_VARIABLE_NUMBER, 32_766)
        self.raw.authorizer = self._authorize
        self.raw.set_progress_handler(self._overdue, _PROGRESS_STEPS)
        self._cursor = self.raw.cursor()
        self._cursor.exec_trace = self._before

    def control(self, sql: str) -> None:
        """Runs the service's own transaction control, which no client may use.

        Prepared with other flags than clients' statements, so that neither is found in the other's cache.
        """
        self._trusted, self._deadline = True, float("inf")
        self.raw.execute(sql, prepare_flags=apsw.SQLITE_PREPARE_PERSISTENT)

    @contextmanager
    def one_state(self) -> Iterator[None]:
        """All that is read within sees the same moment of the file."""
        self.control("BEGIN")
        try:
            yield
        finally:
            if self.raw.in_transaction:
                self.control("ROLLBACK")

    def run(self, statement: Statement, *, deadline: float, rows_of_reads: bool) -> Outcome:
        """What came of one statement, and how long it took; `deadline` is on the monotonic clock, in seconds.

        Raises DisallowedPragma, and apsw's errors when the disk or the file is at fault; everything else that can
        go wrong is the statement's own and is told by a Failure. Reads give their rows with `rows_of_reads` only.
        """
        started = time.perf_counter()
        outcome = self._outcome(statement, deadline, rows_of_reads)
        outcome.seconds = time.perf_counter() - started
        return outcome

    def _outcome(self, statement: Statement, deadline: float, rows_of_reads: bool) -> Outcome:
        self._trusted, self._deadline = False, deadline
        try:
            return self._run(statement.sql, statement.parameters, rows_of_reads)
        except _Stopped as stopped:
            return Failure(str(stopped))
        except apsw.InterruptError:
            return Failure("query timeout" if self._read_only else "execute timeout")
        except apsw.ReadOnlyError:
            return Failure("attempt to change database via query operation")
        except (apsw.FullError, apsw.IOError, apsw.CorruptError, apsw.NotADBError, apsw.NoMemError):
            raise
        except apsw.AuthError as problem:
            denied, self._denied = self._denied, None
            if denied is None:
                return Failure(str(problem))
            if denied.startswith("pragma"):
                raise DisallowedPragma from None
            return Failure(denied)
        except UnicodeDecodeError:
            return Failure("the result holds text that is not UTF-8")
        except (apsw.Error, ValueError, TypeError, KeyError, OverflowError) as problem:
            return Failure(str(problem))
        finally:
            self._deadline = float("inf")

    def _run(self, sql: str, parameters: Parameters, rows_of_reads: bool) -> Outcome:
        self._started, self._description, self._is_readonly = 0, (), True
        try:
            values = self._fetched(sql, parameters)
        except apsw.BindingsError as problem:
            counts = _COUNTS.search(str(problem))
            if counts is None or isinstance(parameters, dict):
                raise
            want, got = int(counts[1]), int(counts[2])
            if got < want:
                return Failure(f"not enough args to execute query: want {want} got {got}")
            return self._run(sql, parameters[:want], rows_of_reads)
        if self._description and (rows_of_reads or not self._is_readonly):
            return Rows([column[0] for column in self._description], [d[1] for d in self._description], values)
        return Changes(self.raw.last_insert_rowid(), self.raw.changes())

    def _fetched(self, sql: str, parameters: Parameters) -> list[tuple[Value, ...]]:
        values: list[Any] = []
        size = 0
        for row in self._cursor.execute(sql, parameters):
            if not values:  # the first step notices if the schema is another than the connection knew
                self._description = self._cursor.get_description()
            size += 64 * len(row) + sum(len(value) for value in row if isinstance(value, (str, bytes)))
            if size > RESULT_LIMIT:
                self._cursor.close(force=True)
                self._cursor = self.raw.cursor()
                self._cursor.exec_trace = self._before
                raise _Stopped(f"result larger than {RESULT_LIMIT // 2**20} MiB: ask for fewer rows (LIMIT)")
            values.append(row)
        return values

    def _before(self, cursor: apsw.Cursor, _sql: str, _bindings: Any) -> bool:
        """Called by apsw with each prepared statement of a text, before its first step."""
        if not cursor.has_vdbe:
            return True
        self._started += 1
        if self._started > 1:
            raise _Stopped("several statements in one text: give each an element of its own")
        self._description = cursor.description  # by another way than after the first step: apsw remembers each
        self._is_readonly = cursor.is_readonly
        if self._read_only and not self._is_readonly:
            raise _Stopped("attempt to change database via query operation")
        return True

    def _overdue(self) -> bool:
        return time.monotonic() > self._deadline

    def _authorize(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        if self._trusted:
            return apsw.SQLITE_OK
        if action == apsw.SQLITE_PRAGMA:
            return self._authorize_pragma((first or "").lower(), second)
        if action in _FORBIDDEN:
            self._denied = _FORBIDDEN[action]
            return apsw.SQLITE_DENY
        return apsw.SQLITE_OK

    def _authorize_pragma(self, name: str, argument: str | None) -> int:
        if name in _SETTABLE or (name in _READABLE and (argument is None or name in _TAKES_NAME)):
            return apsw.SQLITE_OK
        self._denied = f"pragma {name}"
        return apsw.SQLITE_DENY
