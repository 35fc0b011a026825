"""Everything stored about a person as one zip of JSON and CSV (pure); docs/my_data.md describes it.

`person.json` is the whole and is what `person_file` reads back; the two CSV files hold the same sessions and decisions
for a spreadsheet.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from typing import Any, TypeAlias

from db_client.records import VoiceSession
from db_client.spreadsheet import moment, table

Row: TypeAlias = Mapping[str, Any]

FORMAT = "bigbrotherbot person 2"
FILES = ("person.json", "sessions.csv", "decisions.csv")
SNOWFLAKES = frozenset({"user_id", "guild_id", "channel_id", "interaction_id", "version"})
"""Columns whose values are text outside of this system: many programs keep only 15 to 17 digits of a number."""


@dataclass(frozen=True, slots=True)
class Person:
    """The rows about one person, as `report_statements.person_*` give them."""

    user_id: int
    profile: Sequence[Row]
    decisions: Sequence[Row]
    visible_on: Sequence[Row]
    sessions: Sequence[Row]
    totals: Sequence[Row]
    guilds: Sequence[Row]
    channels: Sequence[Row]


TABLES = tuple(field.name for field in fields(Person) if field.name != "user_id")


def zip_of(person: Person, made_at: int) -> bytes:
    """The zip; the same person and moment (ms since 1970 UTC) give the same bytes.

    Half a surrogate pair, which UTF-8 cannot hold, is written as JSON spells it.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in zip(FILES, (_json(person, made_at), _sessions(person), _decisions(person)), strict=True):
            entry = zipfile.ZipInfo(name, _zip_time(made_at))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, text.encode("utf-8", "backslashreplace"))
    return content.getvalue()


def checksum(whole: Mapping[str, object]) -> str:
    """What stands in person.json under `sha256`: of all the rest, however it is spaced and ordered."""
    rest = {name: value for name, value in whole.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _json(person: Person, made_at: int) -> str:
    whole = {
        "format": FORMAT,
        "made_at": made_at,
        "user_id": str(person.user_id),
        **{name: [_outside(row) for row in getattr(person, name)] for name in TABLES},
    }
    return json.dumps({**whole, "sha256": checksum(whole)}, ensure_ascii=False, indent=1)


def _outside(row: Row) -> dict[str, object]:
    return {name: str(value) if name in SNOWFLAKES and value is not None else value for name, value in row.items()}


def _sessions(person: Person) -> str:
    stored = tuple(person.sessions[0]) if person.sessions else VoiceSession._fields
    return table(
        ("server", "channel", "started (UTC)", "ended (UTC)", "duration (seconds)", *stored), _session_lines(person)
    )


def _session_lines(person: Person) -> Iterable[Row]:
    servers = {row["guild_id"]: row["name"] for row in person.guilds}
    channels = {row["channel_id"]: row["name"] for row in person.channels}
    for session in person.sessions:
        begin, end = session["started_at"], session["ended_at"]
        yield {
            "server": servers.get(session["guild_id"]),
            "channel": channels.get(session["channel_id"]),
            "started (UTC)": moment(begin),
            "ended (UTC)": moment(end),
            "duration (seconds)": None if end is None else (end - begin) // 1000,
            **_outside(session),
        }


def _decisions(person: Person) -> str:
    lines = ({"decided (UTC)": moment(decision["at"]), **_outside(decision)} for decision in person.decisions)
    return table(("decided (UTC)", "decision", "at", "interaction_id"), lines)


def _zip_time(at: int) -> tuple[int, int, int, int, int, int]:
    made = datetime.fromtimestamp(max(at, 315_532_800_000) / 1000, timezone.utc)
    return (made.year, made.month, made.day, made.hour, made.minute, made.second)
