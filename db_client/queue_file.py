"""The queue file: every write stands in it, on disk, before anyone is told that it is safe, until the service has it.

One SQLite file (apsw's own SQLite, free of the WAL-reset defect), shared by threads and processes. Every transaction
holds a kernel lock on a side file, which serves waiters fairly where SQLite's own busy handler starves them.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from db_client import salvage
from db_client.erasure import Erasure
from db_client.errors import NotKept, QueueFull
from db_client.locks import FileLock
from db_client.queue_connection import QueueConnection, told_apart
from db_client.queue_rows import (
    Counts,
    Entry,
    NewEntry,
    Settlement,
    empty_log,
    erase,
    note_all,
    oldest,
    put_all,
    remember,
    rewrite,
    row_of,
    settle_all,
)
from db_client.queue_schema import POSITION, REVIVE
from db_client.room import Ballast

CLEANINGS = 2
SPARE_PAGES = 256  # what settling may use beyond the bound that puts keep to

__all__ = ["Entry", "Letter", "NewEntry", "Position", "QueueFile", "Settlement"]


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
        self._ballast = Ballast(Path(f"{path}-ballast"))
        self._file = QueueConnection(path, max_bytes, self._ballast)
        self._turn = FileLock(Path(f"{path}-turn"))
        self._delivering = FileLock(Path(f"{path}-delivering"))
        self._cleanings = CLEANINGS  # a run before this one may have been killed before it had cleaned up
        _forget_in_children(self._turn, self._delivering)

    def close(self) -> None:
        """Closes this process's connection; the next use opens it again."""
        self._file.close()

    # --- keeping ---

    def put(
        self,
        entries: Sequence[NewEntry],
        notes: Mapping[str, str | None],
        erasures: Sequence[Erasure] = (),
        settled: Settlement | None = None,
    ) -> list[int]:
        """Commits entries and notes (None removes one) durably, together; the ids under which the entries wait.

        What the erasures reach of entries, these ones too, and of dead letters is removed in the same commit, and from
        the log: such an entry counts as settled. What is `settled` goes in the same commit.
        """
        if not self._ballast.is_there():
            self._make_ballast()
        with self._file.transaction() as connection:
            if settled is not None:
                settle_all(connection, settled)
            ids = put_all(connection, entries)
            remember(connection, entries)
            note_all(connection, notes)
            for erasure in erasures:
                erase(connection, erasure)
        if erasures:
            self.left_traces()
        return ids

    def _make_ballast(self) -> None:
        with self._file.locked() as connection:
            if not self._ballast.held():
                empty_log(connection)  # which may be what takes the room
                if not self._ballast.held():
                    raise apsw.FullError("no room for the ballast")

    # --- delivering ---

    @contextmanager
    def delivering(self, *, wait: bool) -> Iterator[bool]:
        """Makes this thread the file's only deliverer; False if another one is and `wait` is False.

        Who wants to deliver queues at `turn` first, so a deliverer that wants to go on comes after those who wait.
        """
        with told_apart():
            alone = self._begun_delivering(wait)
        try:
            yield alone
        finally:
            if alone:
                self._delivering.release()

    def _begun_delivering(self, wait: bool) -> bool:
        if wait:
            self._turn.acquire()
        elif not self._turn.try_acquire():
            return False
        try:
            if wait:
                self._delivering.acquire()
            return wait or self._delivering.try_acquire()
        finally:
            self._turn.release()

    def others_wait(self) -> bool:
        """To the deliverer: True if another process wants to deliver too."""
        with told_apart():
            if not self._turn.try_acquire():
                return True
            self._turn.release()
        return False

    def waiting(self, most: int) -> list[Entry]:
        """The oldest entries, in order."""
        with self._file.reading() as connection:
            return oldest(connection, most)

    def subjects(self) -> tuple[set[int], set[str]]:
        """Whom the entries are about, and the keys of those that have one."""
        with self._file.reading() as connection:
            rows: list[Any] = connection.execute("SELECT DISTINCT person, key FROM entries").fetchall()
        return {int(row[0]) for row in rows if row[0] is not None}, {str(row[1]) for row in rows if row[1] is not None}

    def settle(self, delivered: Sequence[Entry], dead: Sequence[tuple[Entry, str]], died: int, counts: Counts) -> None:
        """Removes delivered entries, moves refused ones to the dead letters with their reason, and counts, at once.

        A power cut may undo the removal of delivered ones, but not once anything was put: they are delivered once more.

        On a full disk the ballast is given up for it, and, if that is not enough, it is done in smaller parts.
        """
        settled = Settlement(delivered, dead, died, counts)
        try:
            self._settle(settled)
        except QueueFull:
            with self._more_room():
                try:
                    self._settle(settled)
                except QueueFull:
                    if len(delivered) <= 1:
                        raise
                    half = len(delivered) // 2
                    self.settle(delivered[:half], (), died, {})
                    self.settle(delivered[half:], dead, died, counts)

    @contextmanager
    def _more_room(self) -> Iterator[None]:
        self._ballast.drop()
        with self._file.locked() as connection:
            empty_log(connection)
            connection.execute(f"PRAGMA max_page_count={self._file.most_pages + SPARE_PAGES}")
        try:
            yield
        finally:
            with self._file.locked() as connection:
                connection.execute(f"PRAGMA max_page_count={self._file.most_pages}")

    def _settle(self, settled: Settlement) -> None:
        with self._file.transaction(synced=bool(settled.dead)) as connection:
            settle_all(connection, settled)

    def position(self) -> Position:
        """How far delivery has come."""
        with self._file.reading() as connection:
            return Position(*row_of(connection, POSITION))

    def any_dead(self, first: int, last: int) -> bool:
        """True if an entry of that run of ids is among the dead letters."""
        with self._file.reading() as connection:
            return bool(
                row_of(connection, "SELECT EXISTS (SELECT 1 FROM dead WHERE id BETWEEN ? AND ?)", first, last)[0]
            )

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
        with self._file.reading() as connection:
            rows = connection.execute("SELECT key, value FROM notes ORDER BY key").fetchall()
        return {str(key): str(value) for key, value in rows if str(key).startswith(prefix)}

    def tallies(self) -> tuple[int, int | None, int, dict[tuple[str, str], int]]:
        """How many wait, when the oldest was kept, how many are dead, and the counters."""
        with self._file.reading() as connection:
            waiting, oldest = row_of(connection, "SELECT count(*), min(created) FROM entries")
            (dead,) = row_of(connection, "SELECT count(*) FROM dead")
            counters = connection.execute("SELECT name, label, n FROM counters").fetchall()
        return waiting, oldest, dead, {(str(name), str(label)): int(str(n)) for name, label, n in counters}

    def letters(self, *, dead: bool, most: int) -> list[Letter]:
        """The oldest waiting entries or dead letters."""
        what = "reason, died FROM dead" if dead else "'', NULL FROM entries"
        with self._file.reading() as connection:
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
        with self._file.transaction() as connection:
            for number in ids:
                if first is not None:
                    connection.execute(first, (number,))
                connection.execute("DELETE FROM dead WHERE id = ?", (number,))
                found += connection.changes()
        return found

    # --- erasing ---

    def persons(self, *, remembered: bool = False) -> list[int]:
        """Everyone whom an entry or dead letter is about; with `remembered`, or a remembered decision."""
        questions = [f"SELECT person FROM {table} WHERE person IS NOT NULL" for table in ("entries", "dead")]  # noqa: S608
        if remembered:
            questions.append(
                "SELECT substr(subject, 8) FROM remembered WHERE subject GLOB 'person:*' AND slot <> 'erase'"
            )
        with self._file.reading() as connection:
            persons = {int(str(person)) for (person,) in connection.execute(" UNION ".join(questions)).fetchall()}
        return sorted(persons)

    def decisions(self) -> list[str]:
        """The decisions that are remembered here, as JSON, oldest first, each once."""
        with self._file.reading() as connection:
            rows = connection.execute("SELECT DISTINCT interaction_id, body FROM remembered ORDER BY 1, 2").fetchall()
        return [str(body) for _, body in rows]

    def erase(self, erasures: Sequence[Erasure]) -> int:
        """Removes what the erasures reach, from the write-ahead log too; how many entries and dead letters that was."""
        with self._file.transaction() as connection:
            before = connection.total_changes()
            removed = sum(erase(connection, erasure) for erasure in erasures)
            changed = connection.total_changes() > before
        if changed:
            self.left_traces()
        return removed

    def left_traces(self) -> None:
        """Empties the log, in which what was deleted still stands, if that can be now; `clean` looks after the rest."""
        self._cleanings = CLEANINGS
        with suppress(NotKept), self._file.locked() as connection:
            empty_log(connection)

    def clean(self) -> None:
        """Leaves nothing of what was erased in any byte of the file and its log; not now if a reader is in the way.

        To be called now and then. It does something after a start and after erasures, until it is done, and once more:
        who learns of an erasure removes notes of their own soon after it.
        """
        if not self._cleanings:
            return
        with self._file.locked() as connection:
            # Emptied before too: a log that a reader keeps would become longer with each rewriting.
            if empty_log(connection):
                rewritten = rewrite(connection)
                if empty_log(connection) and rewritten:
                    self._cleanings -= 1

    def remove_damaged(self, now: int, erased_at: int | None = None) -> None:
        """Deletes files that were set aside long ago (`now`: ms since 1970 UTC): no erasure can reach into them.

        With `erased_at`, when somebody was erased, also those that may hold something of theirs.
        """
        with told_apart():
            salvage.remove_old(self.path, now, erased_at)


def _forget_in_children(*locks: FileLock) -> None:
    """An flock is shared with a forked child, and would be held as long as either lives."""
    references = [weakref.ref(lock) for lock in locks]

    def in_child() -> None:
        for reference in references:
            if (lock := reference()) is not None:
                lock.forget()

    os.register_at_fork(after_in_child=in_child)
