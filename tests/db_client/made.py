"""Records and stores for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from db_client.records import ConsentDecision, Decision, Watermark
from db_client.settings import StoreSettings
from db_client.snowflake import earliest
from db_client.store import Store

NOON = 1_790_000_000_000
NOWHERE = "http://127.0.0.1:9"  # the discard port: nothing listens


def decision(number: int, choice: Decision = "in", *, user: int | None = None, **fields: str) -> ConsentDecision:
    """The number-th decision, a second after the one before; of a person of its own unless `user` is given."""
    return ConsentDecision(earliest(NOON + number * 1000), 5_000 + number if user is None else user, choice, **fields)


def watermark(observed_at: int, shard: int = 0) -> Watermark:
    return Watermark(shard, observed_at)


@contextmanager
def store(folder: Path, url: str = NOWHERE, *, max_bytes: int = StoreSettings.queue_max_bytes) -> Iterator[Store]:
    """A store on folder/queue.db, not started; it is ended at the end without waiting."""
    made = Store(StoreSettings(url, folder / "queue.db", max_bytes), clock=lambda: NOON)
    try:
        yield made
    finally:
        made.stop(within=0)
