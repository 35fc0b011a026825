"""Rows of a queue file, within a transaction that somebody else holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain, groupby
from typing import Any, NamedTuple, TypeAlias

import apsw

from db_client.erasure import Erasure, left_of
from db_client.queue_schema import BURY, COUNT, PUT, PUT_ROWS, REMEMBER, ROWS_AT_ONCE
from db_client.records import from_json
from db_client.remembering import as_remembered, is_decision, person_subject, slots


class NewEntry(NamedTuple):
    """A write to be kept, its fields in the order of the columns.

    An older entry of the same key that still waits is dropped for it; without a key it is a write of its own.
    """

    key: str | None
    person: int | None
    kind: str
    body: str
    created: int


BUSY_MS = 500  # how long readers from outside, such as the sqlite3 shell, are waited for
OWN_READERS_MS = 50  # those from outside can stay for hours
MOST_REWRITTEN_PAGES = 4096  # 16 MiB: a tenth of a second, during which the others wait

Counts: TypeAlias = Mapping[tuple[str, str], int]


class Entry(NamedTuple):
    """A write that waits; ids grow in the order in which entries were kept. `body` is as on disk, readable or not."""

    id: int
    body: bytes


_entry = partial(tuple.__new__, Entry)  # Entry._make in half the time


class Settlement(NamedTuple):
    """What became of a run of entries: the delivered go, the refused become dead letters, each with its reason.

    `died`: ms since 1970 UTC. `counts`: what to add to the counters, by name and label.
    """

    delivered: Sequence[Entry]
    dead: Sequence[tuple[Entry, str]]
    died: int
    counts: Counts


def put_all(connection: apsw.Connection, entries: Sequence[NewEntry]) -> list[int]:
    """Puts entries at the end; the ids under which they wait, each greater by one than the one before."""
    for replaces, of_one_sort in groupby(entries, key=_has_key):
        run = list(of_one_sort)
        if replaces:
            for entry in run:
                connection.execute("DELETE FROM entries WHERE key = ?", (entry.key,))
                connection.execute(PUT, entry)
        else:
            in_rows = len(run) - len(run) % ROWS_AT_ONCE
            for first in range(0, in_rows, ROWS_AT_ONCE):
                connection.execute(PUT_ROWS, tuple(chain.from_iterable(run[first : first + ROWS_AT_ONCE])))
            connection.executemany(PUT, run[in_rows:])
    last = connection.last_insert_rowid()
    return list(range(last - len(entries) + 1, last + 1))


def _has_key(entry: NewEntry) -> bool:
    return entry.key is not None


def oldest(connection: apsw.Connection, most: int) -> list[Entry]:
    """The entries at the head of the queue, in order."""
    rows = connection.execute("SELECT id, CAST(body AS BLOB) FROM entries ORDER BY id LIMIT ?", (most,))
    return list(map(_entry, rows))


def settle_all(connection: apsw.Connection, settled: Settlement) -> None:
    """Removes what was delivered, moves what was refused to the dead letters, and counts."""
    if delivered := settled.delivered:
        # They were read as one run of ids by the only deliverer, so nothing else lies between them.
        connection.execute("DELETE FROM entries WHERE id BETWEEN ? AND ?", (delivered[0].id, delivered[-1].id))
    for entry, reason in settled.dead:
        connection.execute(BURY, (reason, settled.died, entry.id))
        connection.execute("DELETE FROM entries WHERE id = ?", (entry.id,))
    for (name, label), n in settled.counts.items():
        connection.execute(COUNT, (name, label, n))


def note_all(connection: apsw.Connection, notes: Mapping[str, str | None]) -> None:
    """Sets notes, and removes those whose value is None."""
    connection.executemany("DELETE FROM notes WHERE key = ?", [(key,) for key, value in notes.items() if value is None])
    connection.executemany(
        "INSERT OR REPLACE INTO notes (key, value) VALUES (?, ?)",
        [(key, value) for key, value in notes.items() if value is not None],
    )


def remember(connection: apsw.Connection, entries: Sequence[NewEntry]) -> None:
    """Notes the newest decisions, for the day on which the service forgets them."""
    for entry in entries:
        if is_decision(entry.kind) and (places := slots(record := from_json(entry.body))):
            decision = {
                "subject": places.subject,
                "interaction_id": record.interaction_id,  # type: ignore[attr-defined]
                "body": as_remembered(record),
            }
            for slot in places.names:
                connection.execute(REMEMBER, {**decision, "slot": slot})


def erase(connection: apsw.Connection, erasure: Erasure) -> int:
    """Removes what the erasure reaches of entries, dead letters and remembered decisions; how many of the former.

    The erasures themselves stay remembered.
    """
    connection.execute(
        "DELETE FROM remembered WHERE subject = ? AND interaction_id < ? AND slot <> 'erase'",
        (person_subject(erasure.person), erasure.interaction_id),
    )
    removed = 0
    for table in ("entries", "dead"):
        rows = connection.execute(
            f"SELECT id, CAST(body AS BLOB), created FROM {table} WHERE person = ?",  # noqa: S608 (constants)
            (erasure.person,),
        ).fetchall()
        for number, body, created in rows:
            left = left_of(erasure, body, created)  # type: ignore[arg-type]
            if left is None:
                connection.execute(f"DELETE FROM {table} WHERE id = ?", (number,))  # noqa: S608 (constants)
                removed += 1
            elif left != body:
                connection.execute(f"UPDATE {table} SET body = ? WHERE id = ?", (left.decode(), number))  # noqa: S608
    return removed


def empty_log(connection: apsw.Connection) -> bool:
    """Moves what stands in the write-ahead log into the file and leaves nothing in the log.

    False if that is not possible now: a reader from outside keeps it, or the disk is full.
    """
    connection.set_busy_timeout(OWN_READERS_MS)
    try:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except apsw.Error:
        return False
    finally:
        connection.set_busy_timeout(BUSY_MS)
    return True


def rewrite(connection: apsw.Connection) -> bool:
    """Writes the file anew, row by row; False if it is too long for that now, the disk is full, or another tool writes.

    `secure_delete` overwrites what is deleted, but not the copies that stay in a page when rows move to another one.
    """
    (used,) = row_of(connection, "SELECT page_count - freelist_count FROM pragma_page_count, pragma_freelist_count")
    if used > MOST_REWRITTEN_PAGES:
        return False
    with suppress(apsw.FullError, apsw.BusyError):
        connection.execute("VACUUM")
        return True
    return False


def row_of(connection: apsw.Connection, sql: str, *bindings: int | str) -> tuple[Any, ...]:
    """The one row that the query is known to have."""
    row: tuple[Any, ...] = connection.execute(sql, bindings).fetchone() or ()
    return row
