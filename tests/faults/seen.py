"""What the service holds after a campaign, compared with what was acknowledged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from db_client.settings import StoreSettings
from db_client.statements import Statement
from db_client.store import QueueStatistics, Store
from tests.db_client.made import decision
from tests.waiting import eventually

PAGE = 20_000


def settings(folder: Path, url: str) -> StoreSettings:
    return StoreSettings(url, folder / "queue.db")


def drained(folder: Path, url: str, *, within: float = 120) -> QueueStatistics:
    """Delivers what a queue file still holds, with a new store, and gives its statistics."""
    store = Store(settings(folder, url))
    store.start()
    try:
        eventually(store.idle, within=within, what="the queue to drain")
        return store.statistics()
    finally:
        store.stop(within=1)


def arrivals(folder: Path, url: str) -> list[int]:
    """The numbers of the decisions that the service holds, in the order in which they arrived."""
    store = Store(settings(folder, url))
    number_of = _numbers()
    found: list[int] = []
    seq = 0
    try:
        while True:
            (rows,) = store.query(
                Statement(
                    "SELECT seq, interaction_id FROM consent_log WHERE seq > :seq ORDER BY seq LIMIT :most",
                    {"seq": seq, "most": PAGE},
                ),
                within=30,
            )
            if not rows:
                return found
            found += [number_of(row["interaction_id"]) for row in rows]
            seq = rows[-1]["seq"]
    finally:
        store.stop(within=0)


def _numbers() -> Callable[[int], int]:
    step = decision(1).interaction_id - decision(0).interaction_id
    first = decision(0).interaction_id
    return lambda interaction: (interaction - first) // step


def compare(acknowledged: set[int], arrived: list[int]) -> dict[str, int]:
    """How many acknowledged numbers are missing, arrived twice, or arrived after a greater one of the list."""
    newest = -1
    late = 0
    for number in arrived:
        late += number < newest
        newest = max(newest, number)
    return {
        "lost": len(acknowledged - set(arrived)),
        "twice": len(arrived) - len(set(arrived)),
        "out of order": late,
    }
