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

from db_client.command import PATIENCE_S, run, settings_of, stored
from db_client.export import NotAnExport, Person, person_of, records_of
from db_client.records import Lease
from db_client.report_statements import person_decisions
from db_client.store import Store

BATCH = 500


class KnownAlready(Exception):
    """The service holds a decision of the person that the export does not: it would not be the same afterwards."""


def import_person(store: Store, person: Person, now: int) -> int:
    """Brings the person's rows into the service; how many records that were. `now`: ms since 1970 UTC.

    Raises KnownAlready (nothing was changed), NotAnExport, or DbClientError (some of it stands: repeat it).
    """
    records = records_of(person)
    exported = {decision["interaction_id"] for decision in person.decisions}
    # The first write makes the tables of a service that has none yet.
    stored(store, [Lease("import", str(now), now, now)])
    [rows] = store.query(person_decisions(person.user_id), within=PATIENCE_S)
    if not {row["interaction_id"] for row in rows} <= exported:
        raise KnownAlready
    for first in range(0, len(records), BATCH):
        stored(store, records[first : first + BATCH])
    return len(records)


def main(arguments: Sequence[str] = tuple(sys.argv[1:]), variables: Mapping[str, str] = os.environ) -> int:
    """The command line; the exit status."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("usage: python -m db_client.import_person FILE   (a zip that /my_data sent)", file=sys.stderr)
        return 2
    settings = settings_of(variables)
    if settings is None:
        return 2
    try:
        person = person_of(Path(arguments[0]).read_bytes())
    except (NotAnExport, OSError) as problem:
        print(f"Nothing was imported: {problem}", file=sys.stderr)
        return 2
    try:
        return run(
            settings,
            lambda store: _imported(store, person),
            unfinished="What was imported stays; run it again later.",
        )
    except KnownAlready:
        print("Nothing was imported: the service already knows this person, by other decisions.", file=sys.stderr)
        return 1
    except NotAnExport as problem:
        print(f"Nothing was imported: {problem}", file=sys.stderr)
        return 2


def _imported(store: Store, person: Person) -> str:
    import_person(store, person, time.time_ns() // 1_000_000)
    return f"Imported {len(person.decisions)} decisions and {len(person.sessions)} sessions."


if __name__ == "__main__":
    sys.exit(main())
