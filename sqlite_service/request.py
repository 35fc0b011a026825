"""What a client asks for: the body's statements and the query string's flags, as rqlite reads them. No I/O.

https://rqlite.io/docs/api/api/
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

Value: TypeAlias = "int | float | str | bytes | None"
Parameters: TypeAlias = "tuple[Value, ...] | dict[str, Value]"

NO_STATEMENTS = "no statements"
INVALID_JSON = "invalid JSON body"
INVALID_REQUEST = "invalid request"

UNSUPPORTED_FLAGS = ("queue", "retries", "raft_index", "qualify_columns", "tables")
"""What changes an answer, or what was stored, and is not done here. DESIGN.md has the whole list."""
DURATION_FLAGS = ("timeout", "db_timeout", "freshness", "linearizable_timeout")

_GO_NAMES: dict[type, str] = {
    bool: "bool",
    str: "string",
    float: "float64",
    dict: "map[string]interface {}",
    list: "[]interface {}",
    type(None): "<nil>",
}
_HEX_LITERAL = re.compile(r"\s*[xX]'((?:[0-9a-fA-F]{2})*)'\s*", re.ASCII)
_DURATION = re.compile(r"([+-]?)((?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+|0)", re.ASCII)
_DURATION_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class BadRequest(ValueError):
    """The request can never be served; the text is the body of a 400."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement with its positional (tuple) or named (dict) parameters."""

    sql: str
    parameters: Parameters = ()


@dataclass(frozen=True, slots=True)
class Flags:
    """The query string. A flag counts when it is there, whatever its value: `?transaction=false` is a transaction."""

    transaction: bool = False
    associative: bool = False
    blob_array: bool = False
    timings: bool = False
    pretty: bool = False
    noleader: bool = False
    db_timeout: float | None = None
    """Seconds for each statement; None leaves the service's own limit."""
    sql: str = ""
    """The text of `?q=`."""
    format: str = "binary"
    """`?fmt=` of a backup."""
    vacuum: bool = False
    compress: bool = False
    key: str = ""
    """Which part of /status is asked for: names with dots between them."""


NO_FLAGS = Flags()


@lru_cache(maxsize=256)
def parse_flags(query: str) -> Flags:
    """The flags of a query string; raises BadRequest for a malformed duration and for what this service leaves out."""
    if not query:
        return NO_FLAGS
    given: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True, errors="replace"):
        given.setdefault(name, value)
    for name in UNSUPPORTED_FLAGS:
        if name in given:
            raise BadRequest(f"unsupported flag: {name}")
    durations = {name: _duration(name, given[name]) for name in DURATION_FLAGS if name in given}
    if "freshness_strict" in given and "freshness" not in given:
        raise BadRequest("freshness_strict requires freshness")
    return Flags(
        transaction="transaction" in given,
        associative="associative" in given,
        blob_array="blob_array" in given,
        timings="timings" in given,
        pretty="pretty" in given,
        noleader="noleader" in given,
        db_timeout=durations.get("db_timeout") or None,
        sql=given.get("q", ""),
        format=given.get("fmt", "binary"),
        vacuum="vacuum" in given,
        compress="compress" in given,
        key=given.get("key", ""),
    )


def _duration(name: str, text: str) -> float:
    """Seconds of a Go duration such as `1m30s`. https://pkg.go.dev/time#ParseDuration"""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise BadRequest(f"{name} is not a valid duration")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(match[2]))
    return -seconds if match[1] == "-" else seconds


def parse_statements(body: bytes) -> list[Statement]:
    """The statements of a JSON body: an array of `"sql"`, `["sql", 1, "a"]` and `["sql", {"name": 1}]`.

    Raises BadRequest with rqlite's own text. Integers stay exact up to 64 bits; larger ones become REAL as in rqlite.
    """
    items = _decoded(body)
    if not isinstance(items, list):
        raise BadRequest(INVALID_REQUEST)
    if not items:
        raise BadRequest(NO_STATEMENTS)
    return [_statement(item) for item in items]


def _decoded(body: bytes) -> Any:
    """The first JSON value of the body; what follows it is ignored, as rqlite does."""
    try:
        text = body.decode().lstrip(" \t\r\n")
    except UnicodeDecodeError:
        raise BadRequest(INVALID_JSON) from None
    if text.startswith("{"):
        raise BadRequest(INVALID_REQUEST)
    try:
        items, _ = _DECODER.raw_decode(text)
    except BadRequest:
        raise
    except (ValueError, RecursionError):
        raise BadRequest(INVALID_JSON) from None
    return _without_surrogates(items) if "\\u" in text else items


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    named = dict(pairs)
    if len(named) != len(pairs):
        raise BadRequest("invalid request: a parameter's name is given twice")
    return named


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_distinct)


def _without_surrogates(value: Any) -> Any:
    """Half of a UTF-16 pair, which JSON can spell and UTF-8 cannot, becomes U+FFFD as in Go."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_without_surrogates(name): _without_surrogates(item) for name, item in value.items()}
    return value


def _statement(item: Any) -> Statement:
    if isinstance(item, str):
        return Statement(item)
    if not isinstance(item, list) or not item or not isinstance(item[0], str):
        raise BadRequest(INVALID_REQUEST)
    sql, *given = item
    if len(given) == 1 and isinstance(given[0], dict):
        return Statement(sql, {name: _value(value) for name, value in given[0].items()})
    if any(isinstance(value, dict) for value in given):
        raise BadRequest("unsupported: named parameters beside others in one statement")
    return Statement(sql, tuple(map(_value, given)))


def _value(value: Any) -> Value:
    """What is bound for one JSON value."""
    if value is None:
        return None
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else _real(value)
    if isinstance(value, float):
        return _real(value)
    if isinstance(value, list):
        return bytes(map(_byte, value))
    raise BadRequest(f"unsupported type {_GO_NAMES[type(value)]}")


def _text(value: str) -> str | bytes:
    """rqlite takes a text that looks like `x'4142'` for a blob."""
    if not value.endswith(("'", " ", "\t", "\r", "\n", "\v", "\f")):
        return value
    match = _HEX_LITERAL.fullmatch(value)
    return value if match is None else bytes.fromhex(match[1])


def _real(number: float) -> float:
    try:
        real = float(number)
    except OverflowError:
        real = math.inf
    if math.isinf(real):
        raise BadRequest("invalid number: beyond what a REAL can hold")
    return real


def _byte(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadRequest(f"unsupported type {_GO_NAMES[type(value)]}")
    if not 0 <= value <= 255:
        raise BadRequest("unsupported type: a byte is a whole number from 0 to 255")
    return value
