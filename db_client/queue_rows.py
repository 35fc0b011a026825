"""Rows of a queue file, within a transaction that somebody else holds."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import apsw

from db_client.erasure import Erasure, is_erased_by
from db_client.queue_schema import PUT


class NewEntry(NamedTuple):
    """A write to be kept. `replaces` drops a waiting entry with the same key; otherwise that one stands for both."""

    key: str
    person: int | None
    kind: str
    body: str
    created: int
    replaces: bool


def put_all(connection: apsw.Connection, entries: Sequence[NewEntry]) -> list[int]:
    """Puts entries at the end; the ids under which they, or those that stand for them, wait."""
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
    return int(row_of(connection, "SELECT id FROM entries WHERE key = ?", key)[0])


def erase(connection: apsw.Connection, erasure: Erasure) -> int:
    """Removes what the erasure reaches of entries and dead letters; how many."""
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


def empty_log(connection: apsw.Connection) -> None:
    """Moves what stands in the write-ahead log into the file, and leaves nothing of it in the log."""
    with suppress(apsw.Error):  # a reader from outside keeps it; then it is overwritten later
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


def row_of(connection: apsw.Connection, sql: str, *bindings: int | str) -> tuple[Any, ...]:
    """The one row that the query is known to have."""
    row: tuple[Any, ...] = connection.execute(sql, bindings).fetchone() or ()
    return row
