"""What the queue file's promises cost: durable puts and drained entries per second, beside a plain queue on sqlite3."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from bench.figures import Figure, Goal, Row, at_least
from bench.plain_queue import PlainQueue
from db_client.queue_file import NewEntry, QueueFile
from db_client.records import VoiceSession
from db_client.settings import StoreSettings
from db_client.store import Store

T = TypeVar("T")

SESSION = VoiceSession(
    session_id="0",
    guild_id=1_180_000_000_000_000_001,
    channel_id=1_180_000_000_000_000_002,
    user_id=1_180_000_000_000_000_003,
    started_at=1_795_330_813_752,
    started_by="joined",
    started_within_ms=0,
    revision=1,
)


def figures(folder: Path, *, scale: float, rounds: int) -> Iterator[Row]:
    """Puts and drains, one by one and in batches of 100."""
    for size, count, goal in ((1, 400, None), (100, 20_000, at_least(0.9))):
        yield from _of_size(folder, size, max(2 * size, int(count * scale)), rounds, goal)


def _of_size(folder: Path, size: int, count: int, rounds: int, goal: Goal | None) -> Iterator[Row]:
    pairs: list[list[tuple[float, float]]] = [[], [], []]
    for number in range(rounds):
        records = [SESSION._replace(session_id=f"{size}-{number}-{i}") for i in range(count)]
        put, drained = _queue_file(folder / f"file-{size}-{number}.db", records, size)
        plain_put, plain_drained = _plain(folder / f"plain-{size}-{number}.db", records, size)
        kept = _store(folder / f"store-{size}-{number}.db", records, size)
        for of, pair in zip(pairs, ((put, plain_put), (drained, plain_drained), (kept, plain_put)), strict=True):
            of.append(pair)
    how = "one by one" if size == 1 else f"in batches of {size}"
    yield Figure(f"durable puts, {how}", "/s", pairs[0], goal)
    yield Figure(f"drained entries, {how}", "/s", pairs[1], goal)
    yield Figure(f"Store.keep, {how} (records into JSON, shared commits)", "/s", pairs[2])


def _queue_file(path: Path, records: Sequence[VoiceSession], size: int) -> tuple[float, float]:
    """Puts and drained entries per second of the queue file: what `Store.keep` and its deliverer do to it."""
    queue = QueueFile(path, StoreSettings().queue_max_bytes)
    entries = [NewEntry(r.key, r.person, r.kind, r.to_json(), r.started_at) for r in records]
    queue.put([], {})  # the file and its tables are made now
    put = _rate(len(entries), lambda: [queue.put(batch, {}) for batch in _batches(entries, size)])
    with queue.delivering(wait=True):
        drained = _rate(len(entries), lambda: _drain(queue, size))
    queue.close()
    return put, drained


def _plain(path: Path, records: Sequence[VoiceSession], size: int) -> tuple[float, float]:
    """The same of the plain queue."""
    queue = PlainQueue(path)
    bodies = [record.to_json() for record in records]
    put = _rate(len(bodies), lambda: [queue.put(batch) for batch in _batches(bodies, size)])
    drained = _rate(len(bodies), lambda: _drain_plain(queue, size))
    queue.close()
    return put, drained


def _store(path: Path, records: Sequence[VoiceSession], size: int) -> float:
    """Records kept per second, as the programs call it; nothing is delivered meanwhile."""
    store = Store(StoreSettings(queue_file=path))
    store.keep([])
    kept = _rate(len(records), lambda: [store.keep(batch) for batch in _batches(records, size)])
    store.stop(within=0)
    return kept


def _drain(queue: QueueFile, size: int) -> None:
    while entries := queue.waiting(size):
        queue.settle(entries, [], 0, {})


def _drain_plain(queue: PlainQueue, size: int) -> None:
    while entries := queue.oldest(size):
        queue.remove_through(entries[-1][0])


def _batches(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _rate(count: int, work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return count / (time.perf_counter() - started)
