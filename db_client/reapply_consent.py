"""Brings a service that was restored from a backup to today's consent: `python -m db_client.reapply_consent`.

Each queue file remembers the newest decisions that were made through it. All are sent again: what the service knows
changes nothing, what it has forgotten is done once more, so whoever opted out or was erased since the backup is out or
gone again, and what managers decided (settings, channels that are not recorded) stands again. To be run once for each
queue file through which people decide (one for each replica of interactions_api that there ever was).
"""

# ruff: noqa: T201 - a command line prints

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from db_client.command import run, settings_of, stored
from db_client.errors import DbClientError
from db_client.records import Newer
from db_client.store import Store
from program import exits

BATCH = 100


def reapply(store: Store) -> int:
    """Sends the remembered decisions again, oldest first; how many. Raises DbClientError if it cannot be done now."""
    try:
        decisions = store.remembered_decisions()
    except Newer as problem:
        raise DbClientError(str(problem)) from problem
    for first in range(0, len(decisions), BATCH):
        stored(store, decisions[first : first + BATCH])
    return len(decisions)


def main(variables: Mapping[str, str] = os.environ) -> int:
    """The command line; the exit status."""
    settings = settings_of(variables)
    if settings is None:
        return exits.SETTINGS
    if not settings.queue_file.exists():
        print(f"There is no queue file at {settings.queue_file}: set QUEUE_FILE.", file=sys.stderr)
        return exits.SETTINGS
    return run(
        settings,
        lambda store: f"{reapply(store)} decisions stand again.",
        unfinished="What is kept will be delivered; run it again later.",
    )


if __name__ == "__main__":
    sys.exit(main())
