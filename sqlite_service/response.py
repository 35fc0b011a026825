"""What a client is told: outcomes of statements in the JSON that rqlite writes. No I/O.

https://rqlite.io/docs/api/api/
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sqlite_service.request import Flags, Value

_STORAGE: dict[type, str] = {int: "integer", float: "real", str: "text", bytes: "blob", type(None): ""}


@dataclass(slots=True)
class Changes:
    """What a write did, by the write connection's own sticky counters, as in rqlite."""

    last_insert_id: int
    rows_affected: int
    seconds: float = field(default=0.0, compare=False)


@dataclass(slots=True)
class Rows:
    """What a read (or RETURNING) gave; `declared` holds each column's declared type, None for an expression."""

    columns: list[str]
    declared: list[str | None]
    values: list[tuple[Value, ...]]
    seconds: float = field(default=0.0, compare=False)


@dataclass(slots=True)
class Failure:
    """Why one statement did not run, in SQLite's words where they are SQLite's."""

    error: str
    seconds: float = field(default=0.0, compare=False)


Outcome: TypeAlias = "Changes | Rows | Failure"


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcomes of one request in the order of its statements, or the error of the request as a whole."""

    outcomes: list[Outcome]
    error: str = ""
    seconds: float = 0.0


class NotJson(ValueError):
    """A result holds an infinite number, which JSON cannot carry."""


def render(answer: Answer, flags: Flags) -> bytes:
    """The answer as rqlite's JSON; raises NotJson if a value has no place in JSON."""
    elements = [_element(outcome, flags) for outcome in answer.outcomes]
    document: dict[str, Any] = {"results": elements}
    if answer.error:
        document["error"] = answer.error
    if flags.timings:
        for element, outcome in zip(elements, answer.outcomes, strict=True):
            element["time"] = outcome.seconds
        document["time"] = answer.seconds
    try:
        if flags.pretty:
            return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=4).encode()
        return _ENCODER.encode(document).encode()
    except ValueError as problem:
        raise NotJson("a result holds an infinite number, which JSON cannot carry") from problem


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _element(outcome: Outcome, flags: Flags) -> dict[str, Any]:
    if isinstance(outcome, Changes):
        return _changes(outcome, flags)
    if isinstance(outcome, Failure):
        return {"error": outcome.error}
    types = _types(outcome)
    values: list[tuple[Any, ...]] = outcome.values
    if any(bytes in map(type, row) for row in values):
        blob: Callable[[bytes], list[int] | str] = list if flags.blob_array else _base64
        values = [tuple(blob(v) if isinstance(v, bytes) else v for v in row) for row in values]
    if flags.associative:
        return {
            "types": dict(zip(outcome.columns, types, strict=True)),
            "rows": [dict(zip(outcome.columns, row, strict=True)) for row in values],
        }
    element: dict[str, Any] = {"columns": outcome.columns, "types": types}
    if values:
        element["values"] = values
    return element


def _changes(outcome: Changes, flags: Flags) -> dict[str, Any]:
    element: dict[str, Any] = {}
    if outcome.last_insert_id:
        element["last_insert_id"] = outcome.last_insert_id
    if outcome.rows_affected:
        element["rows_affected"] = outcome.rows_affected
    if flags.associative:
        element["rows"] = None
    return element


def _types(rows: Rows) -> list[str]:
    """Each column's declared type in lower case; for an expression the storage type of its first value."""
    first = rows.values[0] if rows.values else (None,) * len(rows.columns)
    return [
        _STORAGE[type(value)] if declared is None else declared.lower()
        for declared, value in zip(rows.declared, first, strict=True)
    ]


def _base64(blob: bytes) -> str:
    return base64.b64encode(blob).decode()
