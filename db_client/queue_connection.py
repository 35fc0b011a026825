"""The way to the queue file's rows: one connection in each process, a kernel lock around each transaction.

Opening examines the file and replaces a damaged one. Nobody waits longer than `LOCK_SECONDS` for another process.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import apsw

from db_client import salvage
from db_client.errors import NotKept, QueueFull
from db_client.locks import FileLock, NotHad
from db_client.queue_rows import BUSY_MS, row_of
from db_client.queue_schema import EARLIER_VERSIONS, PAGE_BYTES, SCHEMA_VERSION, create
from db_client.room import Ballast

SPARE_LOG_PAGES = 16  # by so much what a checkpoint may have to add to the file stays below the ballast
LOCK_SECONDS = 1.0  # a transaction takes some milliseconds; who waits longer waits for a process that stands still

log = logging.getLogger(__name__)


# Entries are written once and read once: more pages in memory are of no use.
CACHE_KIB = 1024


class QueueConnection:
    """The connection to one queue file, opened on first use in each process, and its lock.

    Every method raises NotKept, or QueueFull, when the disk refuses, and NotKept when another process does not let go.
    The ballast is given up when there is not even room to open the file.
    """

    def __init__(self, path: Path, max_bytes: int, ballast: Ballast) -> None:
        self.path = path
        self.most_pages = max(32, max_bytes // PAGE_BYTES)
        self._ballast = ballast
        self._mutex = threading.Lock()
        self._connection: apsw.Connection | None = None
        self._opened_file: tuple[int, int] | None = None
        self._synced = True
        self._checked = False
        self._suspect = False
        self._file_lock = FileLock(Path(f"{path}-lock"))
        _close_across_forks(self)

    @contextmanager
    def transaction(self, *, synced: bool = True) -> Iterator[apsw.Connection]:
        """One transaction, durable when it is over; rolled back if anything is raised in it.

        One that is not synced survives a crash; a power cut may undo it until a synced one, of any process, follows.
        """
        with self.locked() as connection:
            self._sync(connection, synced)
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(apsw.Error):  # what made the commit fail may have rolled it back already
                    connection.execute("ROLLBACK")
                raise

    def _sync(self, connection: apsw.Connection, synced: bool) -> None:
        if synced is not self._synced:
            # Not a statement from the cache: this pragma acts when it is compiled.
            connection.execute(f"PRAGMA synchronous={'FULL' if synced else 'NORMAL'}", can_cache=False)
            self._synced = synced

    @contextmanager
    def locked(self) -> Iterator[apsw.Connection]:
        """The connection under the file's lock, outside of a transaction."""
        with self._alone(), self._watched(), self._file_lock.held(LOCK_SECONDS):
            yield self._opened()

    @contextmanager
    def reading(self) -> Iterator[apsw.Connection]:
        """The connection for reading, which waits for no other process once the file is open."""
        with self._alone(), self._watched():
            if not self._is_open():
                with self._file_lock.held(LOCK_SECONDS):
                    self._opened()
            if self._connection is None:
                raise apsw.CantOpenError("closed")
            yield self._connection

    def close(self) -> None:
        """Closes this process's connection; the next use opens it again."""
        with self._mutex:
            self._close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Against the other threads of this process, each of which may be waiting for another process."""
        with told_apart():
            if not self._mutex.acquire(timeout=LOCK_SECONDS):
                raise NotHad
        try:
            yield
        finally:
            self._mutex.release()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Errors as this package's own; after one that speaks of damage the file is examined when it is next opened."""
        try:
            with told_apart():
                yield
        except QueueFull:
            raise
        except NotKept as problem:
            if isinstance(problem.__cause__, (apsw.CorruptError, apsw.NotADBError, apsw.IOError)):
                self._suspect = True
                self._drop()
            raise

    def _is_open(self) -> bool:
        """True if the file that this process has open is still the one of that name (it may have been set aside)."""
        return self._connection is not None and self._opened_file == _identity(self.path)

    def _opened(self) -> apsw.Connection:
        """The connection; to be called under the file's lock."""
        if self._connection is None or not self._is_open():
            self._drop()
            try:
                self._connection = self._open()
            except (apsw.FullError, apsw.IOError, apsw.CantOpenError):
                self._ballast.drop()
                self._connection = self._open()
            self._opened_file = _identity(self.path)
            self._synced = True
        return self._connection

    def _open(self) -> apsw.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        salvage.finish(self.path)
        try:
            if salvage.has_only_its_log(self.path):
                raise apsw.CorruptError("the queue file is gone, its log is not")
            connection = self._connected()
            of_today = connection.pragma("user_version") == SCHEMA_VERSION
            if not self._checked or self._suspect or not of_today:
                _examine(connection, thorough=self._suspect)
            if not of_today:
                connection.close()
                salvage.renew(self.path)
                connection = self._connected()
        except (apsw.CorruptError, apsw.NotADBError) as problem:
            salvaged = salvage.replace_damaged(self.path)
            log.error(
                "the queue file was damaged: it is set aside, and what could be read of it goes on",
                extra={"set_aside": str(salvaged.aside), "salvaged": salvaged.rows, "problem": type(problem).__name__},
            )
            connection = self._connected()
        self._checked, self._suspect = True, False
        return connection

    def _connected(self) -> apsw.Connection:
        return _connect(self.path, self.most_pages, self._ballast.size() // PAGE_BYTES)

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close(force=True)
            self._connection = None

    def _close(self) -> None:
        if self._connection is not None:
            # A process that stands still with the lock must not keep this one from ending or forking.
            with suppress(NotHad), self._file_lock.held(LOCK_SECONDS):
                self._drop()
            self._drop()
        self._file_lock.forget()


@contextmanager
def told_apart() -> Iterator[None]:
    """SQLite's and the system's errors as this package's own, which say what was kept and what to do."""
    try:
        yield
    except apsw.FullError as problem:
        raise QueueFull("the queue file or its disk is full: this was not kept, earlier writes are safe") from problem
    except NotHad as problem:
        raise NotKept(
            "another process has held the queue file for over a second, as if it were stopped: nothing was kept;"
            " let that process go on, or end it"
        ) from problem
    except apsw.IOError as problem:
        # A commit that failed in the midst may be found in the log when the file is opened again.
        raise NotKept(
            "the disk under the queue file failed: do not count on this being kept; doing it again is harmless"
        ) from problem
    except (apsw.Error, OSError) as problem:
        raise NotKept(f"the queue file could not be used ({type(problem).__name__}): nothing was kept") from problem


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _examine(connection: apsw.Connection, *, thorough: bool) -> None:
    if not salvage.is_sound(connection, thorough=thorough):
        connection.close(force=True)
        raise apsw.CorruptError("the queue file is damaged")


def _connect(path: Path, most_pages: int, log_pages: int) -> apsw.Connection:
    is_new = not path.exists()
    connection = apsw.Connection(str(path))
    try:
        connection.set_busy_timeout(BUSY_MS)
        # Closing neither checkpoints nor removes the log: after a file was set aside the name is another file's.
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.execute("PRAGMA secure_delete=ON")
        connection.execute("PRAGMA temp_store=MEMORY")  # what VACUUM copies is everybody's: into no other file
        connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        if connection.execute("PRAGMA journal_mode=WAL").fetchone() != ("wal",):
            raise apsw.CantOpenError("this filesystem does not take a write-ahead log")
        connection.execute("PRAGMA synchronous=FULL")
        if connection.execute("PRAGMA synchronous").fetchone() != (2,):
            raise apsw.CantOpenError("synchronous is not FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint={max(SPARE_LOG_PAGES, log_pages - SPARE_LOG_PAGES)}")
        connection.execute(f"PRAGMA max_page_count={most_pages}")
        (version,) = row_of(connection, "PRAGMA user_version")
        if version == 0 and not connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
            create(connection)
        elif version > SCHEMA_VERSION:
            raise NotKept(
                "a newer version of this program made the queue file: run that version; nothing was kept or changed"
            )
        elif version not in (SCHEMA_VERSION, *EARLIER_VERSIONS):
            raise apsw.CorruptError("this is no queue file")
        if is_new:
            salvage.sync(path.parent)
    except BaseException:
        connection.close(force=True)
        raise
    return connection


def _close_across_forks(queue: QueueConnection) -> None:
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
            queue._file_lock.forget()
            queue._mutex.release()

    os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=in_child)
