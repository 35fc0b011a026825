"""Checkpointer, made so that nothing of a deleted row stays in the file or in its WAL. No threads here.

`DESIGN.md`, "Erased is gone", says why each step is there.
"""

from __future__ import annotations

import logging
import math
import os
import time
from contextlib import suppress
from pathlib import Path

import apsw

from sqlite_service import unused_bytes
from sqlite_service.connection import BUSY_MS, Connection

log = logging.getLogger(__name__)

_FULL_WAL = 1_000
"""Frames (one page each) after which the WAL is copied into the file, as SQLite would by itself."""
_WAL_BYTES = 4_200_000
"""What the WAL grows to until then, with pages of 4 KiB."""
_READERS_MS, _MOST_READERS_MS = 100, 500


class Checkpointer:
    """Copies the WAL into the file when it is full, and leaves nothing old in either once in `seconds`.

    They count from the first write after the last time. While a reader holds an older state it is tried again, after a
    quarter of them. For whoever has the writer's connection to himself.
    """

    def __init__(self, file: Path, *, seconds: float) -> None:
        self._wal = Path(f"{file}-wal")
        # The kernel takes SQLite's locks from a process that closes any descriptor of the file: it stays until `close`.
        self._descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
        self._seconds = seconds
        self._frames = 0
        self._copy_at = _FULL_WAL
        self._clean_at = math.inf
        self._was_full = False
        self._tries = 0

    def attach(self, connection: Connection) -> None:
        """From now on the connection's WAL is copied here and nowhere else; what it still holds is cleaned at once."""
        connection.raw.set_wal_hook(self._committed)
        connection.raw.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self._clean_at, self._was_full = 0, True
        self.checkpoint(connection)

    def _committed(self, _connection: apsw.Connection, _name: str, frames: int) -> int:
        self._frames = frames
        if self._clean_at == math.inf:
            self._clean_at = time.monotonic() + self._seconds
        return apsw.SQLITE_OK

    def due(self) -> bool:
        """Whether `checkpoint` has something to do now."""
        return self._frames >= self._copy_at or time.monotonic() >= self._clean_at

    def checkpoint(self, connection: Connection) -> None:
        """Does what is due; holds others up for a few milliseconds, and half a second if readers are in its way."""
        now = time.monotonic()
        whole = now >= self._clean_at
        self._was_full |= self._frames >= _FULL_WAL
        self._tries += 1
        connection.raw.set_busy_timeout(min(self._tries * _READERS_MS, _MOST_READERS_MS))
        try:
            copied = self._copied(connection, whole=whole)
        except apsw.BusyError:
            copied = False
        except (apsw.Error, OSError) as problem:
            log.warning("what was deleted is still in the file or its WAL: %s", problem)
            copied = False
        finally:
            connection.raw.set_busy_timeout(BUSY_MS)
        if copied:
            self._tries = 0
        self._frames, self._copy_at = (0, _FULL_WAL) if copied else (self._frames, self._frames + _FULL_WAL)
        if whole:
            self._clean_at = math.inf if copied else now + self._seconds / 4
        if whole and copied and self._was_full:
            self._was_full = False
            _give_full_size(connection)

    def _copied(self, connection: Connection, *, whole: bool) -> bool:
        """Whether all of the WAL is in the file; if `whole`, then nothing is in the WAL any more."""
        raw = connection.raw
        version = raw.pragma("data_version")
        frames, copied = raw.wal_checkpoint(
            mode=apsw.SQLITE_CHECKPOINT_FULL if whole else apsw.SQLITE_CHECKPOINT_PASSIVE
        )
        if copied < frames:
            return False
        if frames > 0:
            # With the write lock, and if nobody (a sqlite3 shell) has committed since, no page of the file can change.
            connection.control("BEGIN IMMEDIATE")
            try:
                if raw.pragma("data_version") != version:
                    return False
                unused_bytes.overwrite(self._descriptor, unused_bytes.pages_in_wal(self._wal, frames))
            finally:
                connection.control("ROLLBACK")
        if whole:
            raw.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        return True

    def detach(self, connection: Connection) -> None:
        """Cleans for the last time; if nobody reads any more, closing the connection removes the WAL."""
        self._clean_at, self._was_full = 0, False
        self.checkpoint(connection)
        if self._clean_at == math.inf:
            connection.raw.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)

    def close(self) -> None:
        """After the last connection of this process to the file was closed."""
        os.close(self._descriptor)


def _give_full_size(connection: Connection) -> None:
    """Gives the WAL its full size at once, by a transaction that spills into it and is rolled back.

    An fsync of what was written in place takes less than one that makes the file longer. Nothing depends on it:
    without room the WAL stays as it is.
    """
    with suppress(apsw.Error):
        connection.control("PRAGMA cache_size=10")
        connection.control("BEGIN IMMEDIATE")
        # Unlike an INSERT it leaves the counters that answers show, last_insert_id and rows_affected, at zero.
        connection.control(f"CREATE TABLE 'room for the WAL' AS SELECT zeroblob({_WAL_BYTES})")
    with suppress(apsw.Error):
        if connection.raw.in_transaction:
            connection.control("ROLLBACK")
        connection.control("PRAGMA cache_size=-2000")
