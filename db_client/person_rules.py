"""What is true of everything stored about one person, as far as the rows alone can tell (pure).

An export of which it is not true was torn (something was written while it was read), rounded, edited or made up.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from db_client.export import TABLES, Person, Row
from db_client.records import DECISIONS, EVERY_GUILD, Flags
from db_client.report_windows import BLOCK_MS
from db_client.snowflake import DISCORD_EPOCH_MS, created_at, earliest

STARTED_BY = ("joined", "switched", "roll_call", "opted_in", "recorded")
ENDED_BY = ("left", "switched", "roll_call", "opted_out", "guild_left", "not_recorded")
VOICE_CHANNELS = (2, 13)
CLOCKS_DIFFER_MS = 86_400_000
_EXACT = 2**53
_STATES = ("muted_ms", "deafened_ms", "video_ms", "stream_ms")


class Broken(ValueError):
    """Rows that this system does not write; the text says where and why, and nothing of what is in them."""


class _Kind(NamedTuple):
    """What a value must be, in words, and whether it is; the second argument is the latest possible moment."""

    must: str
    holds: Callable[[object, int], bool]


def _whole(value: object, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def _words(*words: object) -> _Kind:
    return _Kind("a known word", lambda value, _: any(type(value) is type(word) and value == word for word in words))


def _text(least: int, most: int) -> _Kind:
    return _Kind(
        f"text of {least} to {most} characters",
        lambda value, _: isinstance(value, str) and least <= len(value) <= most and _UNWRITABLE.search(value) is None,
    )


def _matches(pattern: str, must: str) -> _Kind:
    form = re.compile(pattern, re.ASCII)
    return _Kind(must, lambda value, _: isinstance(value, str) and form.fullmatch(value) is not None)


def _or_null(kind: _Kind) -> _Kind:
    return _Kind(f"{kind.must} or null", lambda value, latest: value is None or kind.holds(value, latest))


_UNWRITABLE = re.compile("[\0\ud800-\udfff]")
_SNOWFLAKE = _Kind("a snowflake", lambda value, latest: _whole(value, 1, earliest(latest + 1) - 1))
_PLACE = _Kind("0 or a snowflake", lambda value, latest: _whole(value, EVERY_GUILD, earliest(latest + 1) - 1))
_MOMENT = _Kind(
    "a moment between 2015 and now, in milliseconds", lambda value, latest: _whole(value, DISCORD_EPOCH_MS, latest)
)
_SPAN = _Kind("a duration in milliseconds", lambda value, latest: _whole(value, 0, latest - DISCORD_EPOCH_MS))
_NUMBER = _Kind("a whole number below 2^53", lambda value, _: _whole(value, 0, _EXACT - 1))
_TRUTH = _Kind("0 or 1", lambda value, _: _whole(value, 0, 1))

COLUMNS: dict[str, dict[str, _Kind]] = {
    "profile": {
        "user_id": _SNOWFLAKE,
        "username": _text(1, 32),
        "display_name": _text(1, 32),
        "avatar_url": _or_null(
            _matches(r"https://cdn\.discordapp\.com/avatars/\d{1,20}/\w{1,64}\.png", "the address of a picture")
        ),
        "opted_in": _TRUTH,
        "since": _MOMENT,
        "version": _SNOWFLAKE,
    },
    "decisions": {"interaction_id": _SNOWFLAKE, "decision": _words(*DECISIONS), "at": _MOMENT},
    "visible_on": {
        "user_id": _SNOWFLAKE,
        "guild_id": _PLACE,
        "version": _SNOWFLAKE,
        "shown_from": _or_null(_Kind("0 or a moment", lambda value, latest: _whole(value, 0, latest))),
    },
    "sessions": {
        "session_id": _matches(r"[0-9a-f]{25,40}(-[1-9]\d{0,18})?", "an id of a session"),
        "guild_id": _SNOWFLAKE,
        "channel_id": _SNOWFLAKE,
        "user_id": _SNOWFLAKE,
        "started_at": _MOMENT,
        "ended_at": _or_null(_MOMENT),
        "started_by": _words(*STARTED_BY),
        "ended_by": _or_null(_words(*ENDED_BY)),
        "started_within_ms": _SPAN,
        "ended_within_ms": _or_null(_SPAN),
        "afk": _TRUTH,
        **dict.fromkeys(_STATES, _SPAN),
        "flags": _Kind("a sum of known flags", lambda value, _: _whole(value, 0, sum(Flags))),
        "flags_at": _MOMENT,
        "revision": _NUMBER,
    },
    "totals": {
        "guild_id": _SNOWFLAKE,
        "block": _NUMBER,
        "channel_id": _SNOWFLAKE,
        "user_id": _SNOWFLAKE,
        "sessions": _NUMBER,
        "counted_ms": _NUMBER,
        "afk_ms": _NUMBER,
    },
    "guilds": {"guild_id": _SNOWFLAKE, "name": _text(0, 100)},
    "channels": {
        "channel_id": _SNOWFLAKE,
        "guild_id": _SNOWFLAKE,
        "name": _text(0, 100),
        "kind": _words(*VOICE_CHANNELS),
    },
}
_KEYS = {
    "profile": ("user_id",),
    "decisions": ("interaction_id",),
    "visible_on": ("guild_id", "version"),
    "sessions": ("session_id",),
    "totals": ("guild_id", "block", "channel_id"),
    "guilds": ("guild_id",),
    "channels": ("channel_id",),
}


class Interval(NamedTuple):
    """From a decision `in` to the next one that is not (None: it still holds), ms since 1970 UTC."""

    from_at: int
    to_at: int | None


def check(person: Person, now: int) -> None:
    """Raises Broken unless the rows can be all that is stored about one person at `now` (ms since 1970 UTC)."""
    latest = now + CLOCKS_DIFFER_MS
    _require(_SNOWFLAKE.holds(person.user_id, latest), "its user_id is not a snowflake")
    for table in TABLES:
        _check_rows(table, getattr(person, table), person.user_id, latest)
    _check_decisions(person)
    _check_profile(person)
    _check_choices(person)
    _check_sessions(person, latest)
    _check_places(person)
    _check_totals(person)


def is_moment(value: object, now: int) -> bool:
    """True for ms since 1970 UTC from 2015, where Discord's ids begin, until now, or a day later: clocks differ."""
    return _MOMENT.holds(value, now + CLOCKS_DIFFER_MS)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Broken(otherwise)


def _check_rows(table: str, rows: Sequence[Row], user_id: int, latest: int) -> None:
    columns = COLUMNS[table]
    for number, row in enumerate(rows, 1):
        where = f"row {number} of its {table}"
        _require(row.keys() == columns.keys(), f"{where} has other columns")
        for name, kind in columns.items():
            if not kind.holds(row[name], latest):
                raise Broken(f"{name} in {where} is not {kind.must}")
        _require(row.get("user_id", user_id) == user_id, f"{where} is about another person")
    keys = {tuple(row[name] for name in _KEYS[table]) for row in rows}
    _require(len(keys) == len(rows), f"two rows of its {table} have one key")


def _check_decisions(person: Person) -> None:
    ids = [row["interaction_id"] for row in person.decisions]
    _require(ids == sorted(ids), "its decisions are out of order")
    for number, row in enumerate(person.decisions, 1):
        where = f"row {number} of its decisions"
        _require(row["at"] == created_at(row["interaction_id"]), f"{where} has another moment than its interaction")
        _require(number == 1 or row["decision"] != "erase", f"{where} erases what is still there")


def intervals_of(decisions: Iterable[Row]) -> list[Interval]:
    """The times in which the person's newest decision was `in`; the decisions come oldest first."""
    intervals: list[Interval] = []
    opened: int | None = None
    for row in decisions:
        if row["decision"] == "in":
            opened = row["at"] if opened is None else opened
        elif opened is not None:
            intervals.append(Interval(opened, row["at"]))
            opened = None
    return intervals if opened is None else [*intervals, Interval(opened, None)]


def _check_profile(person: Person) -> None:
    was_in = any(row["decision"] == "in" for row in person.decisions)
    _require(len(person.profile) == int(was_in), "its profile and its decisions disagree")
    for row in person.profile:
        newest = person.decisions[-1]
        state = [decision["decision"] == "in" for decision in person.decisions]
        first = next((n for n in range(len(state), 0, -1) if state[n - 1] != state[-1]), 0)
        expected = (int(state[-1]), person.decisions[first]["at"], newest["interaction_id"])
        _require((row["opted_in"], row["since"], row["version"]) == expected, "its profile and its decisions disagree")


def _check_choices(person: Person) -> None:
    decisions = {row["interaction_id"]: row["decision"] for row in person.decisions}
    agreed = min((version for version, decision in decisions.items() if decision == "in"), default=None)
    choices: dict[int, dict[int, int | None]] = defaultdict(dict)
    for number, row in enumerate(person.visible_on, 1):
        where, version = f"row {number} of its visible_on", row["version"]
        _require(agreed is not None and version >= agreed and version in decisions, f"{where} belongs to no decision")
        moments = (None, 0, created_at(version)) if decisions[version] == "in" else (0,)
        _require(row["shown_from"] in moments, f"{where} begins at another moment than its decision")
        choices[version][row["guild_id"]] = row["shown_from"]
    hidden: dict[int, int] = {}
    for version, choice in choices.items():
        servers = {shown_from for guild_id, shown_from in choice.items() if guild_id != EVERY_GUILD}
        one = len(servers) == 1 and choice.setdefault(EVERY_GUILD, None) in (None, *servers)
        _require(one, "rows of its visible_on are no choice that can be made")
        for guild_id, shown_from in choice.items():
            if shown_from is None:
                hidden[guild_id] = max(version, hidden.get(guild_id, 0))
    stands = all(row["version"] >= hidden.get(row["guild_id"], 0) for row in person.visible_on)
    _require(stands, "a row of its visible_on was overruled by a later choice")


def _check_places(person: Person) -> None:
    guild_of: dict[int, int] = {}
    for row in person.sessions:
        one = guild_of.setdefault(row["channel_id"], row["guild_id"]) == row["guild_id"]
        _require(one, "a channel in it is on two servers")
    servers = set(guild_of.values())
    _require(all(row["guild_id"] in servers for row in person.guilds), "a server in it has no session")
    known = all(guild_of.get(row["channel_id"]) == row["guild_id"] for row in person.channels)
    _require(known, "a channel in it has no session")


def _check_sessions(person: Person, latest: int) -> None:
    intervals = intervals_of(person.decisions)
    begins = [span.from_at for span in intervals]
    seats: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for number, row in enumerate(person.sessions, 1):
        where = f"row {number} of its sessions"
        begin, end = row["started_at"], row["ended_at"]
        ends = {row[name] is None for name in ("ended_at", "ended_by", "ended_within_ms")}
        _require(len(ends) == 1, f"{where} is half ended")
        _require(end is None or end >= begin, f"{where} ends before it starts")
        length = (latest if end is None else end) - begin
        _require(all(row[state] <= length for state in _STATES), f"{where} is shorter than a state in it")
        before = bisect_right(begins, begin)
        to_at = intervals[before - 1].to_at if before else begin
        covered = to_at is None or (end is not None and end <= to_at > begin)
        _require(covered, f"{where} lies outside of the consent in its decisions")
        seats[row["guild_id"]].append((begin, latest + 1 if end is None else end))
    for stays in seats.values():
        apart = all(before[1] <= after[0] for before, after in pairwise(sorted(stays)))
        _require(apart, "two sessions in it are on one server at the same time")


def _check_totals(person: Person) -> None:
    stored = {(row["guild_id"], row["block"], row["channel_id"]): _sums(row) for row in person.totals}
    _require(stored == totals_of(person.sessions), "its totals are not the sums of its sessions")


def _sums(row: Row) -> tuple[int, int, int]:
    return row["sessions"], row["counted_ms"], row["afk_ms"]


def totals_of(sessions: Iterable[Row]) -> dict[tuple[int, int, int], tuple[int, int, int]]:
    """sessions, counted_ms, afk_ms by guild, block and channel, as the triggers of voice_totals keep them."""
    totals: dict[tuple[int, int, int], tuple[int, int, int]] = {}
    for row in sessions:
        begin, end = row["started_at"], row["ended_at"]
        if end is None:
            continue
        for block in range(begin // BLOCK_MS, max(begin, end - 1) // BLOCK_MS + 1):
            share = min(end, (block + 1) * BLOCK_MS) - max(begin, block * BLOCK_MS)
            key = (row["guild_id"], block, row["channel_id"])
            number, counted, afk = totals.get(key, (0, 0, 0))
            totals[key] = (
                number + (begin // BLOCK_MS == block),
                counted + (0 if row["afk"] else share),
                afk + (share if row["afk"] else 0),
            )
    return totals
