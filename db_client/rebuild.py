"""Makes the totals of all guilds anew from their sessions: `python -m db_client.rebuild`, while everything runs.

Needed only if the totals were changed by hand or a defect: the schema's triggers keep them. Guild after guild, each in
one transaction through the queue file, so it can be stopped and repeated at any time.
"""

# ruff: noqa: T201 - a command line prints

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from db_client.errors import DbClientError
from db_client.records import TotalsRebuild
from db_client.settings import StoreSettings
from db_client.store import Fate, Store
from db_client.upkeep_statements import guilds_with_totals
from program.environment import Environment, SettingsError

PATIENCE_S = 60.0


def rebuild(store: Store) -> int:
    """Rebuilds guild after guild; how many. Raises DbClientError if a guild's answer does not come within a minute."""
    # The first write makes the tables of a service that has none yet.
    _deliver(store, TotalsRebuild(0))
    [rows] = store.query(guilds_with_totals(), within=PATIENCE_S)
    for row in rows:
        _deliver(store, TotalsRebuild(row["guild_id"]))
    return len(rows)


def _deliver(store: Store, record: TotalsRebuild) -> None:
    fate = store.deliver(store.keep([record]), within=PATIENCE_S)
    if fate is not Fate.STORED:
        raise DbClientError(f"the service did not take it ({fate.name.lower()})")


def main(variables: Mapping[str, str] = os.environ) -> int:
    """The command line; the exit status."""
    environment = Environment(variables)
    settings = StoreSettings.read(environment)
    try:
        environment.check()
    except SettingsError as problem:
        print(problem, file=sys.stderr)
        return 2
    store = Store(settings)
    store.start()
    try:
        print(f"Totals made anew for {rebuild(store)} servers.")
    except DbClientError as problem:
        print(f"Not finished: {problem}. What is done stays done; run it again later.", file=sys.stderr)
        return 1
    finally:
        store.stop(within=5)
    return 0


if __name__ == "__main__":
    sys.exit(main())
