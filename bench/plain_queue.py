"""The floor of the queue file: the least a durable queue on the standard library's sqlite3 can do."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path


class PlainQueue:
    """Texts in one table; for one thread, without bounds or checks.

    What is put is on disk when the call returns (WAL, synchronous=FULL). Of what is removed a power cut may undo the
    newest, as with the queue file: a second connection with synchronous=NORMAL removes it.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._remover = sqlite3.connect(path, isolation_level=None)
        self._remover.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute("CREATE TABLE q (id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL)")

    def put(self, bodies: Sequence[str]) -> None:
        """Adds the texts in one commit."""
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany("INSERT INTO q (body) VALUES (?)", [(body,) for body in bodies])
        self._connection.execute("COMMIT")

    def oldest(self, most: int) -> list[tuple[int, str]]:
        """The ids and texts at the head of the queue."""
        return self._remover.execute("SELECT id, body FROM q ORDER BY id LIMIT ?", (most,)).fetchall()

    def remove_through(self, last: int) -> None:
        """Removes the head of the queue up to that id, in one commit."""
        self._remover.execute("BEGIN IMMEDIATE")
        self._remover.execute("DELETE FROM q WHERE id <= ?", (last,))
        self._remover.execute("COMMIT")

    def close(self) -> None:
        """Closes the file."""
        self._remover.close()
        self._connection.close()
