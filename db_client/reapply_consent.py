"""Brings a service that was restored from a backup to today's consent: `python -m db_client.reapply_consent`.

Each queue file remembers the newest decisions that were made through it. All are sent again: what the service knows
changes nothing, what it has forgotten is done once more, so whoever opted out or was erased since the backup is out or
gone again. To be run once for each queue file through which people decide (one for each replica of interactions_api).
"""

# ruff: noqa: T201 - a command line prints

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from db_client.errors import DbClientError
from db_client.settings import StoreSettings
from db_client.store import Fate, Store
from program.environment import Environment, SettingsError

BATCH = 100
PATIENCE_S = 60.0


def reapply(store: Store) -> int:
    """Sends the remembered decisions again, oldest first; how many. Raises DbClientError if the service is away."""
    decisions = store.remembered_decisions()
    for first in range(0, len(decisions), BATCH):
        fate = store.deliver(store.keep(decisions[first : first + BATCH]), within=PATIENCE_S)
        if fate is not Fate.STORED:
            raise DbClientError(f"the service did not take it ({fate.name.lower()})")
    return len(decisions)


def main(variables: Mapping[str, str] = os.environ) -> int:
    """The command line; the exit status."""
    environment = Environment(variables)
    settings = StoreSettings.read(environment)
    try:
        environment.check()
    except SettingsError as problem:
        print(problem, file=sys.stderr)
        return 2
    if not settings.queue_file.exists():
        print(f"There is no queue file at {settings.queue_file}: set QUEUE_FILE.", file=sys.stderr)
        return 2
    store = Store(settings)
    store.start()
    try:
        print(f"{reapply(store)} decisions stand again.")
    except DbClientError as problem:
        print(f"Not finished: {problem}. What is kept will be delivered; run it again later.", file=sys.stderr)
        return 1
    finally:
        store.stop(within=5)
    return 0


if __name__ == "__main__":
    sys.exit(main())
