"""The queue file: every write stands in it, on disk, before anyone is told that it is safe, until the service has it.

One SQLite file (apsw's own SQLite, free of the WAL-reset defect), shared by threads and processes. Every transaction
holds a kernel lock on a side file, which serves waiters fairly where SQLite's own busy handler starves them.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from db_client import salvage
from db_client.erasure import Erasure, is_erased_by
from db_client.errors import NotKept, QueueFull
from db_client.locks import FileLock
from db_client.queue_schema import BURY, COUNT, PAGE_BYTES, POSITION, PUT, REVIVE, SCHEMA_VERSION, create
from db_client.room import Ballast

CHECKPOINT_PAGES = 240  # what a checkpoint may have to add to the file stays below the ballast
SPARE_PAGES = 256  # what settling may use beyond the bound that puts keep to

log = logging.getLogger(__name__)

Counts = Mapping[tuple[str, str], int]


class NewEntry(NamedTuple):
    """A write to be kept. `replaces` drops a waiting entry with the same key; otherwise that one stands for both."""

    key: str
    person: int | None
    kind: str
    body: str
    created: int
    replaces: bool


class Entry(NamedTuple):
    """A write that waits; ids grow in the order in which entries were kept. `body` is as on disk, readable or not."""

    id: int
    body: bytes


class Letter(NamedTuple):
    """An entry or dead letter as people look at it; times in ms since 1970 UTC, `reason` and `died` of the dead."""

    id: int
    kind: str
    created: int
    body: bytes
    reason: str
    died: int | None


class Position(NamedTuple):
    """How far delivery has come: every entry below `head` is settled; `newest_dead` is the highest id of the dead."""

    head: int
    newest_dead: int


class QueueFile:
    """One queue file, opened on first use in each process. Raises NotKept, or QueueFull, when the disk refuses."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path = path
        self._most_pages = max(32, max_bytes // PAGE_BYTES)
        self._mutex = threading.Lock()
        self._connection: apsw.Connection | None = None
        self._opened_file: tuple[int, int] | None = None
        self._checked = False
        self._suspect = False
        self._file_lock = FileLock(Path(f"{path}-lock"))
        self._turn = FileLock(Path(f"{path}-turn"))
        self._delivering = FileLock(Path(f"{path}-delivering"))
        self._ballast = Ballast(Path(f"{path}-ballast"))
        _close_across_forks(self)

    # --- keeping ---

    def put(
        self, entries: Sequence[NewEntry], notes: Mapping[str, str | None], erasures: Sequence[Erasure] = ()
    ) -> list[int]:
        """Commits entries and notes (None removes one) durably, together; the ids under which the entries wait.

        What the erasures reach of earlier entries and dead letters is removed in the same commit.
        """
        with self._transaction() as connection:
            if not self._ballast.held():
                raise apsw.FullError("no room for the ballast")
            for erasure in erasures:
                _erase(connection, erasure)
            ids = _put_all(connection, entries)
            for key, value in notes.items():
                if value is None:
                    connection.execute("DELETE FROM notes WHERE key = ?", (key,))
                else:
                    connection.execute("INSERT OR REPLACE INTO notes (key, value) VALUES (?, ?)", (key, value))
        return ids

    # --- delivering ---

    @contextmanager
    def delivering(self, *, wait: bool) -> Iterator[bool]:
        """Makes this thread the file's only deliverer; False if another one is and `wait` is False.

        Who wants to deliver queues at `turn` first, so a deliverer that wants to go on comes after those who wait.
        """
        with _told_apart():
            if wait:
                self._turn.acquire()
                try:
                    self._delivering.acquire()
                finally:
                    self._turn.release()
            alone = wait or self._delivering.try_acquire()
        try:
            yield alone
        finally:
            if alone:
                self._delivering.release()

    def waiting(self, most: int) -> list[Entry]:
        """The oldest entries, in order."""
        with self._reading() as connection:
            rows = connection.execute("SELECT id, CAST(body AS BLOB) FROM entries ORDER BY id LIMIT ?", (most,))
            return [Entry(*row) for row in rows.fetchall()]  # type: ignore[arg-type]

    def settle(self, delivered: Sequence[Entry], dead: Sequence[tuple[Entry, str]], died: int, counts: Counts) -> None:
        """Removes delivered entries, moves refused ones to the dead letters with their reason, and counts, at once.

        On a full disk the ballast is given up for it, and, if that is not enough, it is done in smaller parts.
        """
        try:
            self._settle(delivered, dead, died, counts)
        except QueueFull:
            with self._more_room():
                try:
                    self._settle(delivered, dead, died, counts)
                except QueueFull:
                    if len(delivered) <= 1:
                        raise
                    half = len(delivered) // 2
                    self.settle(delivered[:half], (), died, {})
                    self.settle(delivered[half:], dead, died, counts)

    def _settle(self, delivered: Sequence[Entry], dead: Sequence[tuple[Entry, str]], died: int, counts: Counts) -> None:
        with self._transaction() as connection:
            if delivered:
                # They were read as one run of ids by the only deliverer, so nothing else lies between them.
                connection.execute("DELETE FROM entries WHERE id BETWEEN ? AND ?", (delivered[0].id, delivered[-1].id))
            for entry, reason in dead:
                connection.execute(BURY, (reason, died, entry.id))
                connection.execute("DELETE FROM entries WHERE id = ?", (entry.id,))
            for (name, label), n in counts.items():
                connection.execute(COUNT, (name, label, n))

    def position(self) -> Position:
        """How far delivery has come."""
        with self._reading() as connection:
            return Position(*_row(connection, POSITION))

    def any_dead(self, first: int, last: int) -> bool:
        """True if an entry of that run of ids is among the dead letters."""
        with self._reading() as connection:
            return bool(_row(connection, "SELECT EXISTS (SELECT 1 FROM dead WHERE id BETWEEN ? AND ?)", first, last)[0])

    def signature(self) -> tuple[int, int] | None:
        """A cheap value that changes whenever some process commits to the file."""
        try:
            status = os.stat(f"{self.path}-wal")
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_size

    # --- looking, and mending by hand ---

    def notes(self, prefix: str) -> dict[str, str]:
        """The notes whose key begins with `prefix`."""
        with self._reading() as connection:
            rows = connection.execute("SELECT key, value FROM notes ORDER BY key").fetchall()
        return {str(key): str(value) for key, value in rows if str(key).startswith(prefix)}

    def tallies(self) -> tuple[int, int | None, int, dict[tuple[str, str], int]]:
        """How many wait, when the oldest was kept, how many are dead, and the counters."""
        with self._reading() as connection:
            waiting, oldest = _row(connection, "SELECT count(*), min(created) FROM entries")
            (dead,) = _row(connection, "SELECT count(*) FROM dead")
            counters = connection.execute("SELECT name, label, n FROM counters").fetchall()
        return waiting, oldest, dead, {(str(name), str(label)): int(str(n)) for name, label, n in counters}

    def letters(self, *, dead: bool, most: int) -> list[Letter]:
        """The oldest waiting entries or dead letters."""
        what = "reason, died FROM dead" if dead else "'', NULL FROM entries"
        with self._reading() as connection:
            rows = connection.execute(
                f"SELECT id, kind, created, CAST(body AS BLOB), {what} ORDER BY id LIMIT ?",
                (most,),
            )
            return [Letter(*row) for row in rows.fetchall()]  # type: ignore[arg-type]

    def replay(self, ids: Sequence[int]) -> int:
        """Puts dead letters at the end of the queue again; how many there were."""
        return self._exhume(ids, REVIVE)

    def drop(self, ids: Sequence[int]) -> int:
        """Deletes dead letters for good; how many there were."""
        return self._exhume(ids, None)

    def _exhume(self, ids: Sequence[int], first: str | None) -> int:
        found = 0
        with self._transaction() as connection:
            for number in ids:
                if first is not None:
                    connection.execute(first, (number,))
                connection.execute("DELETE FROM dead WHERE id = ?", (number,))
                found += connection.changes()
        return found

    # --- erasing ---

    def persons(self) -> list[int]:
        """Everyone whom an entry or dead letter is about."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT person FROM entries WHERE person IS NOT NULL"
                " UNION SELECT person FROM dead WHERE person IS NOT NULL"
            )
            return [int(str(person)) for (person,) in rows.fetchall()]

    def forget(self, person: int) -> int:
        """Removes all of the person's entries and dead letters, from the write-ahead log too; how many there were."""

        def remove(connection: apsw.Connection) -> int:
            removed = 0
            for table in ("entries", "dead"):
                connection.execute(f"DELETE FROM {table} WHERE person = ?", (person,))  # noqa: S608 (constants)
                removed += connection.changes()
            return removed

        return self._removed(remove)

    def erase(self, erasures: Sequence[Erasure]) -> int:
        """Removes what the erasures reach, from the write-ahead log too; how many entries there were."""
        return self._removed(lambda connection: sum(_erase(connection, erasure) for erasure in erasures))

    def _removed(self, remove: Callable[[apsw.Connection], int]) -> int:
        with self._transaction() as connection:
            removed = remove(connection)
        if removed:
            with self._locked() as connection:
                _empty_log(connection)
        return removed

    # --- opening and transactions ---

    def close(self) -> None:
        """Closes this process's connection; the next use opens it again."""
        with self._mutex:
            self._close()

    @contextmanager
    def _transaction(self) -> Iterator[apsw.Connection]:
        with self._locked() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(apsw.Error):  # what made the commit fail may have rolled it back already
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _locked(self) -> Iterator[apsw.Connection]:
        with self._mutex, self._watched():
            self._file_lock.acquire()
            try:
                yield self._opened()
            finally:
                self._file_lock.release()

    @contextmanager
    def _reading(self) -> Iterator[apsw.Connection]:
        with self._mutex, self._watched():
            if not self._is_open():
                self._file_lock.acquire()
                try:
                    self._opened()
                finally:
                    self._file_lock.release()
            if self._connection is None:
                raise apsw.CantOpenError("closed")
            yield self._connection

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Errors as this package's own; after one that speaks of damage the file is examined when it is next opened."""
        try:
            with _told_apart():
                yield
        except QueueFull:
            raise
        except NotKept as problem:
            if isinstance(problem.__cause__, (apsw.CorruptError, apsw.NotADBError, apsw.IOError)):
                self._suspect = True
                self._drop_connection()
            raise

    @contextmanager
    def _more_room(self) -> Iterator[None]:
        self._ballast.drop()
        with self._locked() as connection:
            _empty_log(connection)
            connection.execute(f"PRAGMA max_page_count={self._most_pages + SPARE_PAGES}")
        try:
            yield
        finally:
            with self._locked() as connection:
                connection.execute(f"PRAGMA max_page_count={self._most_pages}")

    def _is_open(self) -> bool:
        """True if the file that this process has open is still the one of that name (it may have been set aside)."""
        return self._connection is not None and self._opened_file == _identity(self.path)

    def _opened(self) -> apsw.Connection:
        """The connection; to be called under the file's lock."""
        if self._connection is None or not self._is_open():
            self._drop_connection()
            try:
                self._connection = self._open()
            except (apsw.FullError, apsw.IOError, apsw.CantOpenError):
                self._ballast.drop()
                self._connection = self._open()
            self._opened_file = _identity(self.path)
        return self._connection

    def _open(self) -> apsw.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        salvage.finish(self.path)
        try:
            if salvage.has_only_its_log(self.path):
                raise apsw.CorruptError("the queue file is gone, its log is not")
            connection = _connect(self.path, self._most_pages)
            if not self._checked or self._suspect:
                _examine(connection, thorough=self._suspect)
        except (apsw.CorruptError, apsw.NotADBError) as problem:
            salvaged = salvage.replace_damaged(self.path)
            log.error(
                "the queue file was damaged: it is set aside, and what could be read of it goes on",
                extra={"set_aside": str(salvaged.aside), "salvaged": salvaged.rows, "problem": type(problem).__name__},
            )
            connection = _connect(self.path, self._most_pages)
        self._checked, self._suspect = True, False
        return connection

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.close(force=True)
            self._connection = None

    def _close(self) -> None:
        if self._connection is not None:
            self._file_lock.acquire()
            try:
                self._drop_connection()
            finally:
                self._file_lock.release()
        self._file_lock.forget()


def _put_all(connection: apsw.Connection, entries: Sequence[NewEntry]) -> list[int]:
    if len(entries) == 1 or any(entry.replaces for entry in entries):
        return [_put(connection, entry) for entry in entries]
    before = connection.total_changes()
    connection.executemany(PUT, [entry[:5] for entry in entries])
    if connection.total_changes() - before == len(entries):
        last = connection.last_insert_rowid()
        return list(range(last - len(entries) + 1, last + 1))
    return [_id_of(connection, entry.key) for entry in entries]


def _put(connection: apsw.Connection, entry: NewEntry) -> int:
    if entry.replaces:
        connection.execute("DELETE FROM entries WHERE key = ?", (entry.key,))
    connection.execute(PUT, (entry.key, entry.person, entry.kind, entry.body, entry.created))
    if connection.changes():
        return connection.last_insert_rowid()
    return _id_of(connection, entry.key)


def _id_of(connection: apsw.Connection, key: str) -> int:
    return int(_row(connection, "SELECT id FROM entries WHERE key = ?", key)[0])


def _erase(connection: apsw.Connection, erasure: Erasure) -> int:
    removed = 0
    for table in ("entries", "dead"):
        rows = connection.execute(
            f"SELECT id, CAST(body AS BLOB), created FROM {table} WHERE person = ?",  # noqa: S608 (constants)
            (erasure.person,),
        ).fetchall()
        for number, body, created in rows:
            if is_erased_by(erasure, body, created):  # type: ignore[arg-type]
                connection.execute(f"DELETE FROM {table} WHERE id = ?", (number,))  # noqa: S608 (constants)
                removed += 1
    return removed


def _empty_log(connection: apsw.Connection) -> None:
    with suppress(apsw.Error):  # a reader from outside keeps it; then it is overwritten later
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


def _row(connection: apsw.Connection, sql: str, *bindings: int | str) -> tuple[Any, ...]:
    """The one row that the query is known to have."""
    row: tuple[Any, ...] = connection.execute(sql, bindings).fetchone() or ()
    return row


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


@contextmanager
def _told_apart() -> Iterator[None]:
    """SQLite's and the system's errors as this package's own, which say what was kept and what to do."""
    try:
        yield
    except apsw.FullError as problem:
        raise QueueFull("the queue file or its disk is full: this was not kept, earlier writes are safe") from problem
    except (apsw.Error, OSError) as problem:
        raise NotKept(f"the queue file could not be used ({type(problem).__name__}): nothing was kept") from problem


def _examine(connection: apsw.Connection, *, thorough: bool) -> None:
    if not salvage.is_sound(connection, thorough=thorough):
        connection.close(force=True)
        raise apsw.CorruptError("the queue file is damaged")


def _connect(path: Path, most_pages: int) -> apsw.Connection:
    is_new = not path.exists()
    connection = apsw.Connection(str(path))
    try:
        connection.set_busy_timeout(5000)  # for readers from outside, such as the sqlite3 shell
        # Closing neither checkpoints nor removes the log: after a file was set aside the name is another file's.
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.execute("PRAGMA secure_delete=ON")
        if connection.execute("PRAGMA journal_mode=WAL").fetchone() != ("wal",):
            raise apsw.CantOpenError("this filesystem does not take a write-ahead log")
        connection.execute("PRAGMA synchronous=FULL")
        if connection.execute("PRAGMA synchronous").fetchone() != (2,):
            raise apsw.CantOpenError("synchronous is not FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA max_page_count={most_pages}")
        (version,) = _row(connection, "PRAGMA user_version")
        if version == 0 and not connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
            create(connection)
        elif version > SCHEMA_VERSION:
            raise apsw.CantOpenError("a newer version of this program made the queue file")
        elif version != SCHEMA_VERSION:
            raise apsw.CorruptError("this is no queue file")
        if is_new:
            salvage.sync(path.parent)
    except BaseException:
        connection.close(force=True)
        raise
    return connection


def _close_across_forks(queue: QueueFile) -> None:
    """SQLite connections and flocks must not be carried into a child: close the one before, drop the other after."""
    reference = weakref.ref(queue)

    def before() -> None:
        if (queue := reference()) is not None:
            queue._mutex.acquire()
            queue._close()

    def in_parent() -> None:
        if (queue := reference()) is not None:
            queue._mutex.release()

    def in_child() -> None:
        if (queue := reference()) is not None:
            for lock in (queue._file_lock, queue._turn, queue._delivering):
                lock.forget()
            queue._mutex.release()

    os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=in_child)
