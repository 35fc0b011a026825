"""Makes the totals of all guilds anew from their sessions: `python -m db_client.rebuild`, while everything runs.

Needed only if the totals were changed by hand or a defect: the schema's triggers keep them. Guild after guild, each in
one transaction through the queue file, so it can be stopped and repeated at any time.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from db_client.command import PATIENCE_S, run, settings_of, stored
from db_client.records import TotalsRebuild
from db_client.rows import number, values_of
from db_client.store import Store
from db_client.upkeep_statements import guilds_with_totals
from program import exits


def rebuild(store: Store) -> int:
    """Rebuilds guild after guild; how many. Raises DbClientError if a guild's answer does not come within a minute."""
    # The first write makes the tables of a service that has none yet.
    stored(store, [TotalsRebuild(0)])
    [rows] = store.query(guilds_with_totals(), within=PATIENCE_S)
    for guild_id in values_of(rows, number("guild_id")):
        stored(store, [TotalsRebuild(guild_id)])
    return len(rows)


def main(variables: Mapping[str, str] = os.environ) -> int:
    """The command line; the exit status."""
    settings = settings_of(variables)
    if settings is None:
        return exits.SETTINGS
    return run(
        settings,
        lambda store: f"Totals made anew for {rebuild(store)} servers.",
        unfinished="What is done stays done; run it again later.",
    )


if __name__ == "__main__":
    sys.exit(main())
