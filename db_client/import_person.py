"""Puts a person's export into a service that does not know the person: `python -m db_client.import_person FILE`.

All of the file is checked before anything is written. Everything goes through the queue file, so it may be stopped and
repeated: what stands already changes nothing.
"""

# ruff: noqa: T201 - a command line prints

from __future__ import annotations

import json
import os
import stat
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from db_client.command import PATIENCE_S, run, settings_of, stored
from db_client.errors import StatementRefused
from db_client.export import Person, Row
from db_client.person_file import NotAnExport, person_of, records_of
from db_client.records import ConsentDecision, Record, VoiceSession
from db_client.report_statements import person_counts, person_decisions, person_rivals
from db_client.rqlite import lacks_schema
from db_client.statements import Statement
from db_client.store import Store
from program import exits

BATCH = 500
LARGEST_FILE = 512 * 2**20
"""Discord takes no larger one: https://support.discord.com/hc/en-us/articles/25444343291031"""


class KnownAlready(Exception):
    """The service holds something that the export would change; the text says what. Nothing was written."""


def import_person(store: Store, person: Person) -> int:
    """Brings the person's rows into the service; how many sessions of theirs it holds then.

    Raises KnownAlready (nothing was changed), or DbClientError (some of it stands: repeat it).
    """
    records = records_of(person)
    exported = {decision["interaction_id"] for decision in person.decisions}
    if not {row["interaction_id"] for row in _rows(store, person_decisions(person.user_id))} <= exported:
        raise KnownAlready("the service already knows this person, by other decisions")
    for first in range(0, len(records), BATCH):
        if _rows(store, _rivals(person.user_id, records[first : first + BATCH])):
            raise KnownAlready("the service holds a decision or session of its ids that is another person's")
    for first in range(0, len(records), BATCH):
        stored(store, records[first : first + BATCH])
    [counts] = _rows(store, person_counts(person.user_id))
    return int(counts["sessions"])


def _rivals(user_id: int, records: Sequence[Record]) -> Statement:
    interactions = [record.interaction_id for record in records if isinstance(record, ConsentDecision)]
    stays = {record.session_id.partition("-")[0] for record in records if isinstance(record, VoiceSession)}
    return person_rivals(user_id, json.dumps(interactions), json.dumps(sorted(stays)))


def _rows(store: Store, statement: Statement) -> Sequence[Row]:
    """The rows; none of a service that has no tables yet: the first write makes them."""
    try:
        [rows] = store.query(statement, within=PATIENCE_S)
    except StatementRefused as problem:
        if not lacks_schema(problem):
            raise
        return ()
    return rows


def main(arguments: Sequence[str] = tuple(sys.argv[1:]), variables: Mapping[str, str] = os.environ) -> int:
    """The command line; the exit status."""
    if len(arguments) != 1 or (arguments[0].startswith("-") and arguments[0] != "-"):
        print("usage: python -m db_client.import_person FILE   (a zip that /my_data sent)", file=sys.stderr)
        return exits.SETTINGS
    settings = settings_of(variables)
    if settings is None:
        return exits.SETTINGS
    try:
        person = person_of(_content(arguments[0]), time.time_ns() // 1_000_000)
        return run(
            settings,
            lambda store: _imported(store, person),
            unfinished="What was imported stays; run it again later.",
        )
    except NotAnExport as problem:
        print(f"Nothing was imported: {problem}.", file=sys.stderr)
        return exits.SETTINGS
    except KnownAlready as problem:
        print(f"Nothing was imported: {problem}.", file=sys.stderr)
        return 1


def _content(name: str) -> bytes:
    """The file's bytes; raises NotAnExport."""
    if name == "-":
        raise NotAnExport("it is read from a file, not from the standard input")
    try:
        about = Path(name).stat()
        if not stat.S_ISREG(about.st_mode):
            raise NotAnExport(f"{name!r} is not a file")
        if about.st_size > LARGEST_FILE:
            raise NotAnExport(f"{name!r} is larger than {LARGEST_FILE} bytes")
        return Path(name).read_bytes()
    except (OSError, ValueError) as problem:
        if isinstance(problem, NotAnExport):
            raise
        why = (problem.strerror if isinstance(problem, OSError) else None) or type(problem).__name__
        raise NotAnExport(f"{name!r} cannot be read ({why})") from None


def _imported(store: Store, person: Person) -> str:
    held = import_person(store, person)
    return (
        f"Imported {len(person.decisions)} decisions and {len(person.sessions)} sessions of the user {person.user_id};"
        f" the service now holds {held} sessions of theirs."
    )


if __name__ == "__main__":
    sys.exit(main())
