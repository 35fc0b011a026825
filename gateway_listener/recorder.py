"""From the event loop to the queue file: the loop only appends; one thread writes, in batches, and keeps what the disk
refuses until it can be written. Delivery to the service is the store's own affair, in the background."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from db_client.errors import NotKept
from db_client.records import Record, Retraction, VoiceSession
from gateway_listener.notes import WATERMARK, note_of
from gateway_listener.outbox import Forget, Item, Note
from program import threads
from program.logs import cause

log = logging.getLogger(__name__)

# A watermark without anything else is written this often; each commit is a flush of the disk.
SAVE_EVERY = 1.0
RETRY_AFTER = 1.0
MOST_AT_ONCE = 500
# An error that is not the disk's is met so often in a row, and then it is not the moment that is at fault.
UNFORESEEN = 10


class Keeper(Protocol):
    """What the recorder needs of `db_client.store.Store`."""

    def keep(self, records: Sequence[Record], *, notes: Mapping[str, str | None] | None = None) -> object:
        """Commits records and notes together; raises NotKept."""

    def forget(self, user_id: int, *, before: int) -> int:
        """Removes a person's waiting entries from before that decision (a snowflake); raises NotKept."""


class Recorder:
    """Items in, commits out, in order; `hand_over` never waits for the disk."""

    def __init__(
        self,
        store: Keeper,
        *,
        save_every: float = SAVE_EVERY,
        retry_after: float = RETRY_AFTER,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.watermark: int | None = None
        """Up to when everything seen has been handed over; set it whenever that moves."""
        self.done_at = steady()
        """When all that had been handed over was last on the disk, by `steady` (seconds)."""
        self._steady = steady
        self._store = store
        self._save_every = save_every
        self._retry_after = retry_after
        self._changed = threading.Condition()
        self._items: list[Item] = []
        self._backlog: list[Item] = []
        self._refused = False
        self._stopping = False
        self._saved: int | None = None
        self._unforeseen = 0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins writing; raises `threads.NoThread`."""
        self._thread = threads.start("recorder", self._run)

    def hand_over(self, items: Iterable[Item], watermark: int | None) -> None:
        """Takes items to be written in this order, and the watermark that is true once they are."""
        with self._changed:
            self._items.extend(items)
            self.watermark = watermark
            self._changed.notify()

    @property
    def waiting(self) -> int:
        """How many items are in memory only; they go from the first list to the second, so none is overlooked."""
        return len(self._items) + len(self._backlog)

    def subjects(self) -> tuple[set[int], set[str]]:
        """Whom the items are about that are in memory only, and the keys of those records that have one."""
        with self._changed:
            return subjects([*self._items, *self._backlog])

    @property
    def refused(self) -> bool:
        """True while the disk does not take what it is given."""
        return self._refused

    @property
    def alive(self) -> bool:
        """False if the writing thread has ended."""
        return self._thread is not None and self._thread.is_alive()

    def stop(self, *, within: float) -> bool:
        """Writes what is left, for at most `within` seconds, and ends; True if all of it is in the queue file."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(within)
        return not self.alive and not self.waiting

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._items and not self._stopping:
                    self._changed.wait(self._save_every)
                self._backlog.extend(self._items)
                self._items.clear()
                watermark, stopping = self.watermark, self._stopping
            done = self._write(watermark)
            if stopping and (done or not self._backlog):
                return
            if not done:
                time.sleep(self._retry_after)

    def _write(self, watermark: int | None) -> bool:
        """Writes the backlog, oldest first; False if the disk refused, and then what is left stays in memory."""
        try:
            while self._backlog:
                count = self._write_batch(self._backlog, watermark)
                del self._backlog[:count]
            if watermark is not None and watermark != self._saved:
                self._store.keep([], notes={WATERMARK: str(watermark)})
                self._saved = watermark
        except NotKept as problem:
            self._note_refusal(str(problem))
            return False
        except Exception as problem:  # what is in memory is not given up for one error
            self._unforeseen += 1
            log.error("the recorder met an error of its own", extra=cause(problem))
            self._note_refusal(type(problem).__name__)
            if self._unforeseen >= UNFORESEEN:
                raise
            return False
        if self._refused:
            log.warning("the queue file takes writes again; nothing was lost")
        self._refused = False
        self._unforeseen = 0
        self.done_at = self._steady()
        return True

    def _write_batch(self, items: list[Item], watermark: int | None) -> int:
        """One commit, or one person forgotten; how many items that was."""
        first = items[0]
        if isinstance(first, Forget):
            self._store.forget(first.user_id, before=first.before)
            self.counts["forgotten"] += 1
            return 1
        batch = items[:MOST_AT_ONCE]
        length = next((place for place, item in enumerate(batch) if isinstance(item, Forget)), len(batch))
        records = coalesced([item for item in batch[:length] if isinstance(item, Record)])
        notes = notes_with(batch[:length])
        # The watermark may go with the last of the backlog only: it says that everything before it is written.
        if length == len(items) and watermark is not None:
            notes[WATERMARK] = str(watermark)
        self._store.keep(records, notes=notes)
        if WATERMARK in notes:
            self._saved = watermark
        self.counts["commits"] += 1
        self.counts["records"] += len(records)
        return length

    def _note_refusal(self, reason: str) -> None:
        self.counts["refused"] += 1
        if not self._refused:
            log.error(
                "the queue file cannot be written (%s): %d changes are kept in memory and tried again every %g s."
                " Make room on the disk, or see to QUEUE_FILE; stopping the listener now would lose them.",
                reason,
                self.waiting,
                self._retry_after,
            )
        self._refused = True


def subjects(items: Iterable[Item]) -> tuple[set[int], set[str]]:
    """Whom these are about, and the keys of those records that have one."""
    people: set[int] = set()
    keys: set[str] = set()
    for item in items:
        if isinstance(item, Forget):
            people.add(item.user_id)
        elif isinstance(item, Record):
            people.update(() if item.person is None else (item.person,))
            keys.update(() if item.key is None else (item.key,))
    return people, keys


def notes_with(items: Iterable[Item]) -> dict[str, str | None]:
    """The notes among the items, and those that must change together with the records among them."""
    notes: dict[str, str | None] = {}
    for item in items:
        if isinstance(item, Note):
            notes[item.key] = item.value
        elif isinstance(item, Record) and (note := note_of(item)) is not None:
            notes[note[0]] = note[1]
    return notes


def coalesced(records: Iterable[Record]) -> list[Record]:
    """The same records with fewer revisions: of a session that was written several times in a row, only the newest.

    "In a row" is per person and guild, so nothing moves past another session of the same seat.
    """
    kept: list[Record] = []
    latest: dict[tuple[int, int], tuple[int, str]] = {}
    for record in records:
        if isinstance(record, VoiceSession):
            seat = (record.guild_id, record.user_id)
            place, session_id = latest.get(seat, (-1, ""))
            if session_id == record.session_id:
                kept[place] = record
                continue
            latest[seat] = (len(kept), record.session_id)
        elif isinstance(record, Retraction):
            latest.clear()
        kept.append(record)
    return kept
