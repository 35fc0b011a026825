"""Removes what is due: sessions past their guild's retention, and what the bot left behind thirty days ago.

A clock that is years ahead would make everything due. So it is believed up to a day after the newest moment that
Discord is known to have given: to an interaction, or to the listener's sight of the gateway.

Any number of processes may call `remove_due` now and then. The lease lets one of them work at a time, and every batch
asks for it again where it is written.
"""

from __future__ import annotations

from collections.abc import Callable

from db_client.errors import ServiceUnavailable
from db_client.records import Lease, Removal
from db_client.rows import number, values_of
from db_client.store import Fate, Store
from db_client.upkeep_statements import lease, newest_moment, removal_due

LEASE_MS = 60_000
PATIENCE_S = 10.0
BELIEVED_MS = 24 * 60 * 60 * 1000


def remove_due(
    store: Store,
    holder: str,
    clock: Callable[[], int],
    *,
    heard: Callable[[], int] = lambda: 0,
    stop: Callable[[], bool] = lambda: False,
) -> int:
    """Removes until nothing is due, `stop()` is true, or another process has the lease; how many batches that took.

    `holder` names this process and no other; `clock` gives ms since 1970 UTC, `heard` the newest such moment that
    Discord has told this process, 0 if none. Raises ServiceUnavailable: try again
    later, what is done stays done.
    """
    batches = 0
    while not stop():
        ((newest,),) = store.query(newest_moment(), within=PATIENCE_S)
        now = min(clock(), max(heard(), newest["at"] or 0) + BELIEVED_MS)
        _deliver(store, Lease("removal", holder, now, now + LEASE_MS))
        holders, due = store.query(lease("removal"), removal_due(now), within=PATIENCE_S)
        guild_ids = values_of(due, number("guild_id"))
        if not guild_ids or [row.get("holder") for row in holders] != [holder]:
            break
        for guild_id in guild_ids:
            _deliver(store, Removal(guild_id, now, holder))
            batches += 1
    return batches


def _deliver(store: Store, record: Lease | Removal) -> None:
    if store.deliver(store.keep([record]), within=PATIENCE_S) is not Fate.STORED:
        raise ServiceUnavailable("not stored", "the service did not take it in time")
