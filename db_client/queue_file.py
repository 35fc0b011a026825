"""The queue file: every write stands in it, on disk, before anyone is told that it is safe, until the service has it.

One SQLite file (apsw's own SQLite, free of the WAL-reset defect), shared by threads and processes. Every transaction
holds a kernel lock on a side file, which serves waiters fairly where SQLite's own busy handler starves them.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from db_client.errors import NotKept, QueueFull
from db_client.locks import FileLock

PAGE_BYTES = 4096
CHECKPOINT_PAGES = 200
SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE entries (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  key     TEXT NOT NULL UNIQUE,
  person  INTEGER,
  kind    TEXT NOT NULL,
  body    TEXT NOT NULL,
  created INTEGER NOT NULL
);
CREATE TABLE dead (
  id      INTEGER PRIMARY KEY,
  key     TEXT NOT NULL,
  person  INTEGER,
  kind    TEXT NOT NULL,
  body    TEXT NOT NULL,
  created INTEGER NOT NULL,
  reason  TEXT NOT NULL,
  died    INTEGER NOT NULL
);
CREATE TABLE notes (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE counters (name TEXT, label TEXT, n INTEGER NOT NULL, PRIMARY KEY (name, label)) WITHOUT ROWID;
"""

PUT = "INSERT INTO entries (key, person, kind, body, created) VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING"
POSITION = """
SELECT coalesce((SELECT min(id) FROM entries), (SELECT seq + 1 FROM sqlite_sequence WHERE name = 'entries'), 1),
       coalesce((SELECT max(id) FROM dead), 0)
"""
COUNT = """
INSERT INTO counters (name, label, n) VALUES (?, ?, ?) ON CONFLICT (name, label) DO UPDATE SET n = n + excluded.n
"""

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
    """A write that waits; ids grow in the order in which entries were kept. `created` is ms since 1970 UTC."""

    id: int
    key: str
    person: int | None
    kind: str
    body: str
    created: int


class Position(NamedTuple):
    """How far delivery has come: every entry below `head` is settled; `newest_dead` is the highest id of the dead."""

    head: int
    newest_dead: int


class QueueFile:
    """One queue file, opened on first use in each process. Raises NotKept, or QueueFull, when the disk refuses."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path = path
        self._most_pages = max(64, max_bytes // PAGE_BYTES)
        self._mutex = threading.Lock()
        self._connection: apsw.Connection | None = None
        self._file_lock = FileLock(Path(f"{path}-lock"))
        self._turn = FileLock(Path(f"{path}-turn"))
        self._delivering = FileLock(Path(f"{path}-delivering"))
        _close_across_forks(self)

    # --- keeping ---

    def put(self, entries: Sequence[NewEntry], notes: Mapping[str, str | None]) -> list[int]:
        """Commits entries and notes (None removes one) durably, together; the ids under which the entries wait."""
        with self._transaction() as connection:
            ids = [_put(connection, entry) for entry in entries]
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
        if wait:
            self._turn.acquire()
            try:
                self._delivering.acquire()
            finally:
                self._turn.release()
        elif not self._delivering.try_acquire():
            yield False
            return
        try:
            yield True
        finally:
            self._delivering.release()

    def waiting(self, most: int, most_bytes: int) -> list[Entry]:
        """The oldest entries, in order: at most that many, and not more bytes of bodies (but always one)."""
        with self._reading() as connection:
            entries: list[Entry] = []
            size = 0
            for row in connection.execute(
                "SELECT id, key, person, kind, body, created FROM entries ORDER BY id LIMIT ?", (most,)
            ):
                entry = Entry(*row)
                size += len(entry.body)
                if entries and size > most_bytes:
                    break
                entries.append(entry)
            return entries

    def settle(self, delivered: Sequence[Entry], dead: Sequence[tuple[Entry, str]], died: int, counts: Counts) -> None:
        """Removes delivered entries, moves refused ones to the dead letters with their reason, and counts, at once."""
        with self._transaction() as connection:
            if delivered:
                # They were read as one run of ids by the only deliverer, so nothing else lies between them.
                connection.execute("DELETE FROM entries WHERE id BETWEEN ? AND ?", (delivered[0].id, delivered[-1].id))
            for entry, reason in dead:
                connection.execute("DELETE FROM entries WHERE id = ?", (entry.id,))
                connection.execute(
                    "INSERT INTO dead (id, key, person, kind, body, created, reason, died) VALUES (?,?,?,?,?,?,?,?)",
                    (*entry, reason, died),
                )
            for (name, label), n in counts.items():
                connection.execute(COUNT, (name, label, n))

    def position(self) -> Position:
        """How far delivery has come."""
        with self._reading() as connection:
            return Position(*_row(connection, POSITION))

    def any_dead(self, first: int, last: int) -> bool:
        """True if an entry of that run of ids is among the dead letters."""
        with self._reading() as connection:
            found = connection.execute("SELECT 1 FROM dead WHERE id BETWEEN ? AND ? LIMIT 1", (first, last))
            return found.fetchone() is not None

    def signature(self) -> tuple[int, int] | None:
        """A cheap value that changes whenever some process commits to the file."""
        try:
            status = os.stat(f"{self.path}-wal")
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_size

    # --- looking ---

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

    def forget(self, person: int) -> int:
        """Removes the person's entries and dead letters, from the write-ahead log too; how many there were."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM entries WHERE person = ?", (person,))
            removed = connection.changes()
            connection.execute("DELETE FROM dead WHERE person = ?", (person,))
            removed += connection.changes()
        if removed:
            with self._locked() as connection:
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        return removed

    def close(self) -> None:
        """Closes this process's connection; the next use opens it again."""
        with self._mutex:
            self._close()

    # --- transactions ---

    @contextmanager
    def _transaction(self) -> Iterator[apsw.Connection]:
        with self._locked() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _locked(self) -> Iterator[apsw.Connection]:
        with self._mutex, _told_apart():
            self._file_lock.acquire()
            try:
                yield self._opened()
            finally:
                self._file_lock.release()

    @contextmanager
    def _reading(self) -> Iterator[apsw.Connection]:
        with self._mutex, _told_apart():
            if self._connection is None:
                self._file_lock.acquire()
                try:
                    self._opened()
                finally:
                    self._file_lock.release()
            yield self._opened()

    def _opened(self) -> apsw.Connection:
        if self._connection is None:
            self._connection = _open(self.path, self._most_pages)
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._file_lock.acquire()
            try:
                self._connection.close()
            finally:
                self._connection = None
                self._file_lock.release()


def _put(connection: apsw.Connection, entry: NewEntry) -> int:
    if entry.replaces:
        connection.execute("DELETE FROM entries WHERE key = ?", (entry.key,))
    connection.execute(PUT, (entry.key, entry.person, entry.kind, entry.body, entry.created))
    if connection.changes():
        return connection.last_insert_rowid()
    (waiting,) = _row(connection, "SELECT id FROM entries WHERE key = ?", entry.key)
    return int(waiting)


def _row(connection: apsw.Connection, sql: str, *bindings: int | str) -> tuple[Any, ...]:
    """The one row that the query is known to have."""
    row: tuple[Any, ...] = connection.execute(sql, bindings).fetchone() or ()
    return row


@contextmanager
def _told_apart() -> Iterator[None]:
    """SQLite's and the system's errors as this package's own, which say what was kept and what to do."""
    try:
        yield
    except apsw.FullError as problem:
        raise QueueFull(
            "the queue file or its disk is full: this write was not kept, earlier ones are safe"
        ) from problem
    except (apsw.Error, OSError) as problem:
        raise NotKept(f"the queue file could not be used ({type(problem).__name__}): nothing was kept") from problem


def _open(path: Path, most_pages: int) -> apsw.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(5000)  # for readers from outside, such as the sqlite3 shell
    for pragma, wanted in (("journal_mode=WAL", "wal"), ("synchronous=FULL", None), ("synchronous", 2)):
        answer = connection.execute(f"PRAGMA {pragma}").fetchone()
        if wanted is not None and answer != (wanted,):
            raise apsw.CantOpenError(f"PRAGMA {pragma} answered {answer}")
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA max_page_count={most_pages}")
    if connection.execute("PRAGMA user_version").fetchone() == (0,):
        connection.execute(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version={SCHEMA_VERSION}; COMMIT")
    if is_new:
        _sync_directory(path.parent)
    return connection


def _sync_directory(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
