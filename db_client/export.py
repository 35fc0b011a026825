"""Everything stored about a person as one zip of JSON and CSV, and back to records (pure).

`person.json` is the whole and is what is read back; the two CSV files hold the same sessions and decisions for a
spreadsheet. `python -m db_client.import_person FILE` puts such a zip into a service that does not know the person.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from typing import Any, TypeAlias

from db_client.records import Channel, ConsentDecision, Guild, Record, VoiceSession

Row: TypeAlias = Mapping[str, Any]

FORMAT = "bigbrotherbot person 1"
LARGEST_JSON = 512 * 2**20
_DECISION_COLUMNS = ("interaction_id", "decision", "at", "decided")


class NotAnExport(ValueError):
    """The file is not a zip that this module wrote; the text says why."""


@dataclass(frozen=True, slots=True)
class Person:
    """The rows about one person, as `report_statements.person_*` give them."""

    user_id: int
    profile: Sequence[Row]
    decisions: Sequence[Row]
    sessions: Sequence[Row]
    totals: Sequence[Row]
    guilds: Sequence[Row]
    channels: Sequence[Row]


def zip_of(person: Person, made_at: int) -> bytes:
    """The zip; the same person and moment (ms since 1970 UTC) give the same bytes."""
    whole = {"format": FORMAT, "made_at": made_at, **{f.name: getattr(person, f.name) for f in fields(person)}}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (
            ("person.json", json.dumps(whole, ensure_ascii=False, indent=1)),
            ("sessions.csv", _csv(_session_columns(person), _session_lines(person))),
            ("decisions.csv", _csv(_DECISION_COLUMNS, ({**d, "decided": _moment(d["at"])} for d in person.decisions))),
        ):
            entry = zipfile.ZipInfo(name, _zip_time(made_at))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, text)
    return content.getvalue()


def person_of(content: bytes) -> Person:
    """The person whose zip this is; raises NotAnExport."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if archive.getinfo("person.json").file_size > LARGEST_JSON:
                raise NotAnExport("person.json is too large")
            whole = json.loads(archive.read("person.json"))
        if whole["format"] != FORMAT:
            raise NotAnExport(f"its format is not {FORMAT!r}")
        return Person(**{f.name: whole[f.name] for f in fields(Person)})
    except NotAnExport:
        raise
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, RuntimeError, EOFError) as problem:
        raise NotAnExport(f"it is not a zip with a person.json of this program ({type(problem).__name__})") from problem


def records_of(person: Person) -> list[Record]:
    """The records that make the same rows in a service that does not know the person; raises NotAnExport.

    Decisions come first, oldest first: the service keeps only sessions that they cover.
    """
    try:
        profile = person.profile[0] if person.profile else None
        records: list[Record] = [_decision(person.user_id, decision, profile) for decision in person.decisions]
        records += [Guild(row["guild_id"], row["name"], None, 0) for row in person.guilds]
        records += [Channel(row["channel_id"], row["guild_id"], row["name"], row["kind"], 0) for row in person.channels]
        records += [
            VoiceSession(**{name: row[name] for name in VoiceSession._fields if name != "afk"}, afk=bool(row["afk"]))
            for row in person.sessions
        ]
    except (KeyError, TypeError) as problem:
        raise NotAnExport(f"a row in it is not as this program writes it ({type(problem).__name__})") from problem
    if any(record.person not in (None, person.user_id) for record in records):
        raise NotAnExport("it holds rows of another person")
    return records


def _decision(user_id: int, decision: Row, profile: Row | None) -> ConsentDecision:
    if decision["decision"] != "in" or profile is None:
        return ConsentDecision(decision["interaction_id"], user_id, decision["decision"])
    return ConsentDecision(
        decision["interaction_id"],
        user_id,
        "in",
        profile["username"],
        profile["display_name"],
        profile["avatar_url"],
    )


def _session_columns(person: Person) -> tuple[str, ...]:
    stored = tuple(person.sessions[0]) if person.sessions else VoiceSession._fields
    return ("server", "channel", "started", "ended", *stored)


def _session_lines(person: Person) -> Iterable[Row]:
    servers = {row["guild_id"]: row["name"] for row in person.guilds}
    channels = {row["channel_id"]: row["name"] for row in person.channels}
    for session in person.sessions:
        yield {
            "server": servers.get(session["guild_id"]),
            "channel": channels.get(session["channel_id"]),
            "started": _moment(session["started_at"]),
            "ended": _moment(session["ended_at"]),
            **session,
        }


def _csv(columns: Sequence[str], rows: Iterable[Row]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([_cell(row[column]) for column in columns] for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    """Names are chosen by strangers: a spreadsheet must not take one for a formula."""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value


def _moment(at: int | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at / 1000, timezone.utc).isoformat(timespec="milliseconds")


def _zip_time(at: int) -> tuple[int, int, int, int, int, int]:
    moment = datetime.fromtimestamp(max(at, 315_532_800_000) / 1000, timezone.utc)
    return (moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second)
