"""What the commands that use a store share: settings, a store that is ended whatever comes, one sentence."""

# ruff: noqa: T201 - a command line prints

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence

from db_client.errors import DbClientError
from db_client.records import Record
from db_client.settings import StoreSettings
from db_client.store import Fate, Store
from program import exits
from program.environment import Environment, SettingsError

PATIENCE_S = 60.0


def settings_of(variables: Mapping[str, str]) -> StoreSettings | None:
    """The settings in the environment variables; None if something is wrong with them, which is then printed."""
    environment = Environment(variables)
    settings = StoreSettings.read(environment)
    try:
        environment.check()
    except SettingsError as problem:
        print(problem, file=sys.stderr)
        return None
    return settings


def stored(store: Store, records: Sequence[Record]) -> None:
    """Keeps records and waits, a minute at most, until the service has them; raises DbClientError if it has not."""
    fate = store.deliver(store.keep(records), within=PATIENCE_S)
    if fate is not Fate.STORED:
        raise DbClientError(f"the service did not take it ({fate.name.lower()})")


def run(settings: StoreSettings, work: Callable[[Store], str], *, unfinished: str) -> int:
    """Does the work with a started store and prints the sentence that it returns; the exit status.

    If the service or the disk does not let it finish, that is printed, with what is `unfinished`, and the status is
    `exits.AGAIN`. What else `work` raises is raised.
    """
    store = Store(settings)
    store.start()
    try:
        print(work(store))
    except DbClientError as problem:
        print(f"Not finished: {problem}. {unfinished}", file=sys.stderr)
        return exits.AGAIN
    finally:
        store.stop(within=5)
    return exits.ASKED
