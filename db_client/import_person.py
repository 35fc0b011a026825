"""Puts a person's export into a service that does not know the person: `python -m db_client.import_person FILE`.

Everything goes through the queue file, so it may be stopped and repeated: what stands already changes nothing.
"""

# ruff: noqa: T201 - a command line prints

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from db_client.errors import DbClientError
from db_client.export import NotAnExport, Person, person_of, records_of
from db_client.records import Lease, Record
from db_client.report_statements import person_decisions
from db_client.settings import StoreSettings
from db_client.store import Fate, Store
from program.environment import Environment, SettingsError

BATCH = 500
PATIENCE_S = 60.0


class KnownAlready(Exception):
    """The service holds a decision of the person that the export does not: it would not be the same afterwards."""


def import_person(store: Store, person: Person, now: int) -> int:
    """Brings the person's rows into the service; how many records that were. `now`: ms since 1970 UTC.

    Raises KnownAlready (nothing was changed), NotAnExport, or DbClientError (some of it stands: repeat it).
    """
    records = records_of(person)
    exported = {decision["interaction_id"] for decision in person.decisions}
    # The first write makes the tables of a service that has none yet.
    _deliver(store, [Lease("import", str(now), now, now)])
    [rows] = store.query(person_decisions(person.user_id), within=PATIENCE_S)
    if not {row["interaction_id"] for row in rows} <= exported:
        raise KnownAlready
    for first in range(0, len(records), BATCH):
        _deliver(store, records[first : first + BATCH])
    return len(records)


def _deliver(store: Store, records: Sequence[Record]) -> None:
    fate = store.deliver(store.keep(records), within=PATIENCE_S)
    if fate is not Fate.STORED:
        raise DbClientError(f"the service did not take it ({fate.name.lower()})")


def main(arguments: Sequence[str] = tuple(sys.argv[1:]), variables: Mapping[str, str] = os.environ) -> int:
    """The command line; the exit status."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("usage: python -m db_client.import_person FILE   (a zip that /my_data sent)", file=sys.stderr)
        return 2
    environment = Environment(variables)
    settings = StoreSettings.read(environment)
    try:
        environment.check()
        person = person_of(Path(arguments[0]).read_bytes())
    except (SettingsError, NotAnExport, OSError) as problem:
        print(f"Nothing was imported: {problem}", file=sys.stderr)
        return 2
    store = Store(settings)
    store.start()
    try:
        import_person(store, person, time.time_ns() // 1_000_000)
    except KnownAlready:
        print("Nothing was imported: the service already knows this person, by other decisions.", file=sys.stderr)
        return 1
    except NotAnExport as problem:
        print(f"Nothing was imported: {problem}.", file=sys.stderr)
        return 2
    except DbClientError as problem:
        print(f"Not finished: {problem}. What was imported stays; run it again later.", file=sys.stderr)
        return 1
    finally:
        store.stop(within=5)
    print(f"Imported {len(person.decisions)} decisions and {len(person.sessions)} sessions.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
