"""A person of whom everything that can be stored is stored, the person's export, and files made of it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any

from db_client import report_statements as statements
from db_client.export import FILES, Person, checksum, zip_of
from db_client.person_file import records_of
from db_client.records import Channel, ConsentDecision, Guild, VoiceSession
from db_client.snowflake import earliest
from tests.reports.service_file import ServiceFile

T = 1_690_000_000_000
NOW = T + 30 * 86_400_000
ME = 175928847299117063
STUDY, GAMES = 197038439483310086, 1090000000123456789
DESK, STAGE, DEN = 1090000000123457791, 1090000000123457813, 201234567890123457
PICTURE = f"https://cdn.discordapp.com/avatars/{ME}/a1b2c3.png"


def snowflake(at: int, rest: int = 131_072 * 3 + 4097) -> int:
    """One of that moment (ms since 1970 UTC); like most, none of what a program leaves that keeps 53 bits."""
    return earliest(at) + rest


def stay_id(number: int) -> str:
    """As the listener makes them."""
    return f"0f3a9c417be2d8650a1b2c3d{number:x}"


def exported(file: ServiceFile, user_id: int = ME) -> Person:
    """As the command collects it, a page of sessions at a time."""
    sessions: list[dict[str, Any]] = []
    after = (0, 0, "")
    while page := file.rows(statements.person_sessions(user_id, after=after, limit=2)):
        sessions += page
        after = (page[-1]["guild_id"], page[-1]["started_at"], page[-1]["session_id"])
    return Person(
        user_id,
        file.rows(statements.person_profile(user_id)),
        file.rows(statements.person_decisions(user_id)),
        file.rows(statements.person_visible_on(user_id)),
        sessions,
        file.rows(statements.person_totals(user_id)),
        file.rows(statements.person_guilds(user_id)),
        file.rows(statements.person_channels(user_id)),
    )


def ada() -> Person:
    """Two servers, two consents, an open session, choices that stand beside one another."""
    file, day = ServiceFile(), 86_400_000
    named = ("ada", "Ada 00123", PICTURE)
    file.store(
        ConsentDecision(snowflake(T), ME, "in", *named, "everywhere", GAMES),
        ConsentDecision(snowflake(T + day), ME, "out"),
        ConsentDecision(snowflake(T + 2 * day), ME, "in", *named, "server", STUDY, show_past=True),
        ConsentDecision(snowflake(T + 3 * day), ME, "in", *named),
        stay(1, STUDY, DESK, T + 1000, T + 3_601_000, muted_ms=10, stream_ms=3),
        stay(2, STUDY, STAGE, T + 3_601_000, T + 9_000_000, afk=True, ended_within_ms=4),
        stay(3, GAMES, DEN, T + 2 * day + 5, None, flags=5),
        Guild(STUDY, "Study room", None, 5),
        Guild(GAMES, "=HYPERLINK(1)", None, 5),
        Channel(DESK, STUDY, "Desk", 2, 5),
        Channel(STAGE, STUDY, "1E5", 13, 5),
    )
    return exported(file)


def stay(number: int, guild: int, channel: int, begin: int, end: int | None, **more: Any) -> VoiceSession:
    """A session of that person, as the listener writes it."""
    rest = {"ended_by": None, "ended_within_ms": None} if end is None else {"ended_by": "left", "ended_within_ms": 0}
    known = {"started_by": "joined", "started_within_ms": 0, "revision": begin, "flags_at": end or begin}
    return VoiceSession(stay_id(number), guild, channel, ME, begin, **{"ended_at": end, **known, **rest, **more})


def content_of(file: bytes) -> Any:
    """What is in its person.json."""
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        return json.loads(archive.read("person.json"))


def sealed(whole: Mapping[str, Any]) -> dict[str, Any]:
    """With the checksum of what is in it now."""
    return {**whole, "sha256": checksum(whole)}


def zipped(person_json: object, names: Iterable[str] = FILES, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of a person.json (bytes, or what becomes JSON) and empty files."""
    text = person_json if isinstance(person_json, bytes) else json.dumps(person_json).encode()
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name in names:
            archive.writestr(name, text if name == "person.json" else b"")
    return content.getvalue()


def in_a_new_service(person: Person) -> Person:
    """The person as exported again from an empty service into which they were imported."""
    empty = ServiceFile()
    empty.store(*records_of(person))
    return exported(empty, person.user_id)


def meaning(person: Person) -> object:
    """What it says, whatever the order of rows: that a choice hides where nothing is shown is said by no row, too."""
    rows = {
        table: sorted(json.dumps(row, sort_keys=True) for row in getattr(person, table))
        for table in ("profile", "decisions", "sessions", "totals", "guilds", "channels")
    }
    shown = {(row["guild_id"], row["shown_from"]) for row in person.visible_on}
    return person.user_id, rows, shown - {(0, None)}


GOOD = zip_of(ada(), NOW)
