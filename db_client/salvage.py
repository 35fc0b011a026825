"""A damaged queue file is set aside, for a week, and what can still be read of it goes into a new one.

A crash at any point leaves either the damaged file in place (and all of this begins again) or the finished new one
under the name `...-salvaged`, which the next opening puts in place before it looks at anything else.
"""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from db_client.queue_schema import COUNT, EARLIER_DECISIONS, EARLIER_VERSIONS, PAGE_BYTES, SCHEMA_VERSION, create

MOST_PROBES = 200_000
KEPT_DAYS = 7  # a damaged file holds people's data that no erasure reaches into: time enough to look at it, no more

_COLUMNS = {
    "entries": ("id", "key", "person", "kind", "body", "created"),
    "dead": ("id", "key", "person", "kind", "body", "created", "reason", "died"),
    "notes": ("key", "value"),
    "counters": ("name", "label", "n"),
    "remembered": ("subject", "slot", "interaction_id", "body"),
}


class Salvaged(NamedTuple):
    """Where the damaged file lies now, and how many entries and dead letters of it are in the new one."""

    aside: Path
    rows: int


def is_sound(connection: apsw.Connection, *, thorough: bool) -> bool:
    """True if SQLite finds the file in order; `thorough` compares the indexes too."""
    check = "integrity_check(1)" if thorough else "quick_check(1)"
    try:
        return connection.execute(f"PRAGMA {check}").fetchone() == ("ok",)
    except apsw.Error:
        return False


def replace_damaged(path: Path) -> Salvaged:
    """Puts a new queue file in place of the damaged one. To be called under the file's lock, with it closed here."""
    path.touch()
    aside = _set_aside(path)
    scratch, building = _workings(path)
    rows = _rebuild(path, scratch, building)
    _put_in_place(path, building)
    return Salvaged(aside, rows)


def renew(path: Path) -> None:
    """Puts a new queue file with the same rows in place of a sound one of an earlier version; to be called likewise."""
    _, building = _workings(path)
    try:
        with closing(apsw.Connection(str(building))) as new:
            create(new)
            _copied(path, new)
        _put_in_place(path, building)
    except BaseException:
        _remove(building)  # on a full disk its space is wanted
        raise


def _put_in_place(path: Path, building: Path) -> None:
    sync(building)
    building.rename(f"{path}-salvaged")
    sync(path.parent)
    finish(path)


def has_only_its_log(path: Path) -> bool:
    """True if the file is missing or empty beside a log that is not: SQLite would throw the log away."""
    log = Path(f"{path}-wal")
    return (not path.exists() or not path.stat().st_size) and log.exists() and log.stat().st_size > 0


def finish(path: Path) -> None:
    """Puts a finished new file in place, if there is one; the old one's log must be gone before.

    What a salvage that was cut short worked on is removed: it is begun anew, or no more needed.
    """
    salvaged = Path(f"{path}-salvaged")
    if salvaged.exists():
        for suffix in ("-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        sync(path.parent)
        salvaged.replace(path)
        sync(path.parent)
    _remove(*_workings(path))


def remove_old(path: Path, now: int, erased_at: int | None = None) -> None:
    """Deletes what was set aside of this queue file more than `KEPT_DAYS` before `now` (ms since 1970 UTC).

    With `erased_at`, when somebody was erased, also what may hold something of theirs: what was set aside before it, or
    not long after it, as an erasure may arrive late.
    """
    for aside in path.parent.glob(f"{glob.escape(path.name)}.damaged-*"):
        set_aside = aside.stat().st_mtime * 1000
        last_use = set_aside + KEPT_DAYS * 86_400_000
        if last_use < now or (erased_at is not None and set_aside - KEPT_DAYS * 86_400_000 < erased_at):
            aside.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Makes a file, or the names in a directory, durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _set_aside(path: Path) -> Path:
    number = 1
    while (aside := Path(f"{path}.damaged-{number}")).exists() and not aside.samefile(path):
        number += 1
    for suffix in ("", "-wal"):
        source, target = Path(f"{path}{suffix}"), Path(f"{aside}{suffix}")
        if source.exists() and not target.exists():
            try:
                os.link(source, target)
            except OSError:  # a filesystem without hard links
                shutil.copyfile(source, target)
        if target.exists():
            os.utime(target)  # from now on its time tells when it was set aside
    sync(path.parent)
    return aside


def _workings(path: Path) -> tuple[Path, Path]:
    """The copy of a damaged file that is read, and the new file while it is built."""
    return Path(f"{path}-scratch"), Path(f"{path}-salvaging")


def _remove(*paths: Path) -> None:
    for path in paths:
        for suffix in ("", "-wal", "-shm", "-journal"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)


def _rebuild(damaged: Path, scratch: Path, building: Path) -> int:
    new = apsw.Connection(str(building))
    create(new)
    try:
        _copy(damaged, scratch)
        rows = _copied(scratch, new)
        if rows is None:
            # The first page, which holds the schema, is gone. Every queue file begins with the same one.
            _remove(scratch)
            _copy(damaged, scratch)
            _graft(building, scratch)
            rows = _copied(scratch, new) or 0
        new.execute(COUNT, ("set_aside", "damaged", 1))
        new.execute(COUNT, ("salvaged", "rows", rows))
    finally:
        new.close()
    return rows


def _copy(source: Path, target: Path) -> None:
    for suffix in ("", "-wal"):
        if Path(f"{source}{suffix}").exists():
            shutil.copyfile(f"{source}{suffix}", f"{target}{suffix}")


def _graft(sound: Path, damaged: Path) -> None:
    pages = damaged.stat().st_size // PAGE_BYTES
    with sound.open("rb") as source, damaged.open("r+b") as target:
        first = bytearray(source.read(PAGE_BYTES))
        first[18:20] = b"\2\2"  # has a write-ahead log
        first[28:32] = max(pages, 1).to_bytes(4, "big")  # the file's length in pages
        first[32:40] = bytes(8)  # no free pages: nothing is written here
        target.truncate(max(pages, 1) * PAGE_BYTES)
        target.write(first)


def _copied(damaged: Path, new: apsw.Connection) -> int | None:
    """Copies what can be read; how many entries and dead letters, or None if not even the schema can be read."""
    try:
        old = apsw.Connection(str(damaged))
        version = old.pragma("user_version")
        if version not in (SCHEMA_VERSION, *EARLIER_VERSIONS):
            return None
        old.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    except apsw.Error:
        return None
    rows = 0
    try:
        with new:
            for table in ("entries", "dead"):
                for row in _rows_by_id(old, table):
                    new.execute(_insert(table), row)
                    rows += 1
            for table in ("notes", "counters", "remembered"):
                earlier = table == "remembered" and version in EARLIER_VERSIONS
                for row in _until_damage(old, EARLIER_DECISIONS if earlier else _select(table)):
                    new.execute(_insert(table), row)
            for (given,) in _until_damage(old, "SELECT seq FROM sqlite_sequence WHERE name = 'entries'"):
                new.execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'entries'", (given,))
    finally:
        old.close()
    return rows


# The names in these texts are the constants above.
def _select(table: str, columns: Sequence[str] = (), rest: str = "") -> str:
    return f"SELECT {', '.join(columns or _COLUMNS[table])} FROM {table} NOT INDEXED {rest}"  # noqa: S608


def _insert(table: str) -> str:
    columns = _COLUMNS[table]
    return f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608


def _rows_by_id(old: apsw.Connection, table: str) -> Iterator[tuple[Any, ...]]:
    """Rows in order of their ids: forwards to the damage, then, past it, one id at a time."""
    # Text is read as bytes and stored as text again, so that a damaged letter does not cost the row.
    columns = [_raw(column) for column in _COLUMNS[table]]
    last = 0
    for row in _until_damage(old, _select(table, columns, "ORDER BY id")):
        last = row[0]
        yield _as_text(row)
    newest = next((row[0] for row in _until_damage(old, _select(table, ["id"], "ORDER BY id DESC"))), last)
    for number in range(last + 1, min(newest, last + MOST_PROBES) + 1):
        for row in _until_damage(old, _select(table, columns, "WHERE id = ?"), number):
            yield _as_text(row)


def _raw(column: str) -> str:
    return f"CAST({column} AS BLOB)" if column in ("key", "kind", "body", "reason") else column


def _as_text(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in row)


def _until_damage(old: apsw.Connection, sql: str, *bindings: int) -> Iterator[tuple[Any, ...]]:
    try:
        yield from old.execute(sql, bindings)
    except (apsw.Error, UnicodeDecodeError):
        return
