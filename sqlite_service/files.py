"""The file on disk before anything serves from it: its folder, its lock, and whether it is a database."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

import apsw

from sqlite_service import unused_bytes


class CannotOpen(Exception):
    """The service cannot start on this file; the text tells a person why and what to do."""


def prepare(file: Path, *, lock_seconds: float = 3.0) -> int:
    """Makes the file ready and returns the descriptor that holds its lock for the life of the service.

    Missing folders are made and fsynced, an instance that is just ending is waited for, the journal mode is set to
    WAL, what a killed one left in the WAL is copied into the file, and nothing stays of what was deleted, whoever wrote
    the file. Raises CannotOpen.
    """
    try:
        _make_folder(file.absolute().parent)
        lock = _lock(file, lock_seconds)
    except OSError as problem:
        raise CannotOpen(
            f"SQLITE_FILE {file}: {problem.strerror}. Give the service a folder it may write to."
        ) from problem
    try:
        connection = apsw.Connection(str(file))
        connection.set_busy_timeout(2_000)
        mode = next(iter(connection.execute("PRAGMA journal_mode=WAL")))[0]
        connection.execute("PRAGMA synchronous=FULL; BEGIN IMMEDIATE; COMMIT")
        if mode == "wal":
            _copy_wal(connection)
        connection.close()
        if mode == "wal":
            _overwrite_deleted(file)
        _fsync(file.absolute().parent)
    except apsw.NotADBError as problem:
        raise CannotOpen(f"SQLITE_FILE {file} is not an SQLite database. It was left as it is.") from problem
    except apsw.BusyError as problem:
        raise CannotOpen(
            f"SQLITE_FILE {file} is locked by another program. Close that program, then start again."
        ) from problem
    except (apsw.Error, OSError) as problem:
        raise CannotOpen(f"SQLITE_FILE {file} cannot be used: {problem}.") from problem
    if mode != "wal":
        raise CannotOpen(
            f"SQLITE_FILE {file}: this file system cannot hold a write-ahead log (journal mode is {mode})."
        )
    return lock


def _copy_wal(connection: apsw.Connection) -> None:
    """Makes the file all there is, and its pages of kinds that can be told apart."""
    [(kept_free,)] = connection.execute("PRAGMA auto_vacuum").fetchall()
    if kept_free:
        connection.execute("PRAGMA auto_vacuum=NONE; VACUUM").fetchall()
    with suppress(apsw.BusyError):  # somebody reads in another program: the running service will do it
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


def _overwrite_deleted(file: Path) -> None:
    """No connection of this process may be open: closing the descriptor would take its locks."""
    wal = Path(f"{file}-wal")
    if wal.exists() and wal.stat().st_size:
        return
    descriptor = os.open(file, os.O_RDWR)
    try:
        unused_bytes.overwrite_all(descriptor)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_folder(folder: Path) -> None:
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    for parent in reversed(missing):
        parent.mkdir(exist_ok=True)
        _fsync(parent.parent)


def _fsync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(file: Path, seconds: float) -> int:
    descriptor = os.open(f"{file}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise CannotOpen(
                    f"SQLITE_FILE {file} is in use by another sqlite_service. "
                    "Stop that one, or give this one a file of its own."
                ) from None
            time.sleep(0.02)
