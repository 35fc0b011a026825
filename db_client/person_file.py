"""From the bytes of an export back to the person's rows, and to the records that make them (pure).

Every format that was ever sent is read, and nothing else. Format 2 has a checksum of its content. Format 1 had none,
its ids were numbers, and it knew time alone, and one choice for all servers of who sees it.
"""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from db_client.export import FILES, FORMAT, SNOWFLAKES, TABLES, Person, Row, checksum
from db_client.person_rules import Broken, check, is_moment
from db_client.records import EVERY_GUILD, Channel, ConsentDecision, Flags, Guild, Record, Visibility, VoiceSession

FORMAT_1 = "bigbrotherbot person 1"
LARGEST_JSON = 256 * 2**20
"""Some 500,000 sessions."""

_SNOWFLAKE = re.compile("0|[1-9][0-9]{0,18}", re.ASCII)


class NotAnExport(ValueError):
    """The file is not a zip that `/my_data` sent; the text says why, and nothing of what is in it."""


def person_of(content: bytes, now: int) -> Person:
    """The person whose zip this is, at `now` (ms since 1970 UTC); raises NotAnExport."""
    whole = _parsed(_person_json(content))
    try:
        if whole.get("format") == FORMAT:
            return _read_2(whole, now)
        if whole.get("format") == FORMAT_1:
            return _read_1(whole, now)
    except Broken as problem:
        raise NotAnExport(str(problem)) from None
    raise NotAnExport(f"its format is neither {FORMAT!r} nor {FORMAT_1!r}")


def _person_json(content: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            if sorted(entry.filename for entry in entries) != sorted(FILES):
                raise NotAnExport(f"it is not a zip of {', '.join(FILES)}")
            [entry] = [entry for entry in entries if entry.filename == FILES[0]]
            if entry.flag_bits & 1:
                raise NotAnExport("it is encrypted")
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise NotAnExport("it is compressed in another way than by deflate")
            if entry.file_size > LARGEST_JSON:
                raise NotAnExport(f"{FILES[0]} is larger than {LARGEST_JSON} bytes")
            return archive.read(entry)
    except NotAnExport:
        raise
    except _ZIP_PROBLEMS as problem:
        raise NotAnExport(f"it is not a whole zip ({type(problem).__name__})") from None


_ZIP_PROBLEMS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        whole = json.loads(
            text.decode("utf-8-sig"),
            object_pairs_hook=_object,
            parse_float=_refuse("a number with a fraction or an exponent"),
            parse_constant=_refuse("a value that JSON does not know"),
        )
    except NotAnExport:
        raise
    except (ValueError, RecursionError) as problem:
        raise NotAnExport(f"{FILES[0]} is not JSON ({type(problem).__name__})") from None
    if not isinstance(whole, dict):
        raise NotAnExport(f"{FILES[0]} is not an object")
    return whole


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise NotAnExport("a name stands twice in one object")
    return made


def _refuse(what: str) -> Callable[[str], Any]:
    def refused(_: str) -> Any:
        raise NotAnExport(f"it holds {what}")

    return refused


def _read_2(whole: dict[str, Any], now: int) -> Person:
    _check_shape(whole, now, "format", "made_at", "user_id", "sha256", *TABLES)
    if whole["sha256"] != checksum(whole):
        raise NotAnExport("its checksum is not that of its content: it was changed after it was made")
    person = Person(_inside(whole["user_id"]), **{name: [_row(row) for row in whole[name]] for name in TABLES})
    check(person, now)
    return person


def _row(row: Row) -> Row:
    return {name: _inside(value) if name in SNOWFLAKES else value for name, value in row.items()}


def _inside(value: object) -> int:
    if not isinstance(value, str) or _SNOWFLAKE.fullmatch(value) is None:
        raise NotAnExport("an id in it is not the text of a snowflake")
    return int(value)


def _check_shape(whole: dict[str, Any], now: int, *names: str) -> None:
    if whole.keys() != set(names):
        raise NotAnExport(f"{FILES[0]} has other fields than its format")
    if not is_moment(whole["made_at"], now):
        raise NotAnExport("its made_at is not a moment between 2015 and now, in milliseconds")
    for name in set(names).intersection(TABLES):
        rows = whole[name]
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise NotAnExport(f"its {name} are not rows")


# --- the records that make the rows -----------------------------------------------------------------------------------


def records_of(person: Person) -> list[Record]:
    """The records that make the same rows in a service that does not know the person.

    Decisions come first, oldest first: the service keeps only sessions that they cover. Names come last: it keeps only
    those of channels in which a session stands.
    """
    records: list[Record] = [record for row in person.decisions for record in _decisions(person, row)]
    records += [
        VoiceSession(**{name: row[name] for name in VoiceSession._fields if name != "afk"}, afk=bool(row["afk"]))
        for row in person.sessions
    ]
    records += [Guild(row["guild_id"], row["name"], None, 0) for row in person.guilds]
    records += [Channel(row["channel_id"], row["guild_id"], row["name"], row["kind"], 0) for row in person.channels]
    return records


def _decisions(person: Person, row: Row) -> Iterable[ConsentDecision]:
    """The decision, once for each server about which something was chosen with it."""
    interaction_id, user_id, decision = row["interaction_id"], person.user_id, row["decision"]
    if decision != "in":
        return [ConsentDecision(interaction_id, user_id, decision)]
    [profile] = person.profile
    made = ConsentDecision(
        interaction_id, user_id, "in", profile["username"], profile["display_name"], profile["avatar_url"]
    )
    chosen = _chosen_with(person, interaction_id)
    everywhere = chosen.get(EVERY_GUILD)
    choices = [
        replace(made, visibility=_visibility(shown_from, everywhere), guild_id=guild_id, show_past=shown_from == 0)
        for guild_id, shown_from in chosen.items()
        if guild_id != EVERY_GUILD
    ]
    return choices or [made]


def _chosen_with(person: Person, interaction_id: int) -> dict[int, int | None]:
    """`shown_from` by server of what was chosen with the decision, or with one that is not `in` and follows it."""
    later = [row["interaction_id"] for row in person.decisions if row["decision"] == "in"]
    until = min((other for other in later if other > interaction_id), default=2**63)
    return {row["guild_id"]: row["shown_from"] for row in person.visible_on if interaction_id <= row["version"] < until}


def _visibility(shown_from: int | None, everywhere: int | None) -> Visibility:
    if shown_from is None:
        return "only_me"
    return "server" if everywhere is None else "everywhere"


# --- format 1 ---------------------------------------------------------------------------------------------------------


def _read_1(whole: dict[str, Any], now: int) -> Person:
    before = tuple(name for name in TABLES if name != "visible_on")
    _check_shape(whole, now, "format", "made_at", "user_id", *before)
    rows = [whole, *(row for name in before for row in whole[name])]
    if _were_rounded({row[name] for row in rows for name in SNOWFLAKES & row.keys() if type(row[name]) is int}):
        raise NotAnExport("its ids were rounded by a program that keeps fewer digits of a number")
    for row in whole["sessions"]:
        alone_ms, flags = row.pop("alone_ms", None), row.get("flags")
        if type(alone_ms) is not int or alone_ms < 0 or type(flags) is not int or not 0 <= flags <= 31:
            raise NotAnExport("a session in it is not as format 1 has them")
        row["flags"] = flags & sum(Flags)
    visibilities = [row.pop("visibility", None) for row in whole["profile"]]
    if not all(visibility in ("only_me", "server") for visibility in visibilities):
        raise NotAnExport("its visibility is no known word")
    person = Person(whole["user_id"], **{name: whole[name] for name in before}, visible_on=[])
    check(person, now)
    shown = [
        {"user_id": person.user_id, "guild_id": guild_id, "version": row["version"], "shown_from": 0}
        for row in person.profile
        for guild_id in sorted({session["guild_id"] for session in person.sessions})
        if visibilities == ["server"]
    ]
    return replace(person, visible_on=shown)


def _were_rounded(ids: Iterable[int]) -> bool:
    """True if each id that needs more than 53 bits looks like what programs leave of one: chance makes one in 80 so."""
    large = [value for value in ids if 2**53 <= value < 2**63]
    return bool(large) and all(value in _left_of(value) for value in large)


def _left_of(value: int) -> set[int]:
    """What programs write for a number that keep of it 53 bits, 17 digits, the fewest that tell it apart, or 15."""
    nearest = float(value)
    return {int(nearest), *(int(Decimal(text)) for text in (f"{nearest:.16e}", repr(nearest), f"{nearest:.14e}"))}
