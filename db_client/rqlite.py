"""rqlite's HTTP data API as pure functions: statements to a request's body, an answer to rows or to the right error.

https://rqlite.io/docs/api/api/ ; an answer of status 200 can still be a failure, see `results_of`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from db_client.errors import OutcomeUnknown, Refused, ServiceUnavailable, StatementRefused
from db_client.statements import Statement
from program import fast_json

# All of a request's statements stand or none. `timeout` bounds only a follower's forwarding to its leader; it stays
# below half of our own deadline because a forward that fails is sent twice.
EXECUTE = "/db/execute?transaction&timeout=4s"
QUERY = "/db/query?associative&timeout=4s"

Rows: TypeAlias = list[dict[str, Any]]
"""Rows as dicts by column."""

_HEX_LITERAL = re.compile(r"\s*[xX]'[0-9a-fA-F]*'\s*")

_PERMANENT = ("disallowed pragma", "FOREIGN KEY constraint failed")
_TRANSIENT = {
    "execute timeout": "statement_timeout",
    "query timeout": "statement_timeout",
    "interrupted": "statement_timeout",
    "database is locked": "locked",
    "database table is locked": "locked",
    "database or disk is full": "disk_full",
    "disk I/O error": "disk_error",
    "out of memory": "out_of_memory",
    "attempt to write a readonly database": "readonly",
}
_MISSING_SCHEMA = re.compile(r"no such (table|column|view)|has no column named")


class Unsendable(ValueError):
    """A parameter cannot cross the wire as it is (not a finite number, or an integer beyond 64 bits)."""


def encode(statements: Iterable[Statement]) -> str:
    """The statements as the JSON array that /db/execute and /db/query take; raises Unsendable."""
    return f"[{','.join(map(encode_statement, statements))}]"


def encode_statement(statement: Statement) -> str:
    """One statement as JSON. Text comes back as the same text, whatever it looks like; raises Unsendable."""
    sql = statement.sql
    parameters: dict[str, int | float | str | None] = {}
    for name, value in statement.parameters.items():
        if isinstance(value, str):
            value = _without_lone_surrogates(value)
            if "'" in value and _HEX_LITERAL.fullmatch(value):
                # rqlite binds text that looks like x'4142' as the blob AB; a character in front keeps it text.
                sql = re.sub(rf":{name}\b", f"substr(:{name}, 2)", sql)
                value = f".{value}"
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise Unsendable(f"{name} is beyond 64 bits")
        elif isinstance(value, float) and not math.isfinite(value):
            raise Unsendable(f"{name} is not a finite number")
        parameters[name] = value
    return f"[{_encoded_text(sql)},{fast_json.write(parameters)}]"


@lru_cache(maxsize=256)
def _encoded_text(sql: str) -> str:
    return json.dumps(sql)


def _without_lone_surrogates(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def results_of(status: int, body: bytes, *, sent: int, from_service: bool = True) -> list[dict[str, Any]]:
    """The result elements of an answer that is a success in every respect, one for each of the `sent` statements.

    Raises ServiceUnavailable if nothing was applied and it may be later, OutcomeUnknown if it may have been applied,
    Refused or StatementRefused if it never will be. `from_service` is False for an answer that does not carry
    rqlite's own header: then a 400 says nothing about the request.
    """
    if status != 200:
        raise _failed_status(status, body, from_service)
    try:
        answer = fast_json.read(body)
        results = answer["results"]
        elements: list[dict[str, Any]] = [dict(element) for element in results]
    except (ValueError, TypeError, KeyError, AttributeError) as problem:
        raise OutcomeUnknown("garbage", "the answer is not one of rqlite's") from problem
    if error := answer.get("error"):
        raise _failed_request(str(error))
    for index, element in enumerate(elements):
        if error := element.get("error"):
            raise _failed_statement(index, str(error))
    if len(elements) != sent:
        raise OutcomeUnknown("garbage", f"{len(elements)} results for {sent} statements")
    return elements


def _failed_status(status: int, body: bytes, from_service: bool) -> Exception:
    if status == 413 or (status == 400 and from_service):
        return Refused(f"status {status}: {body[:200].decode('utf-8', 'replace').strip()}")
    if status >= 500 and status not in (502, 503, 504, 507):
        return OutcomeUnknown(f"status_{status}")
    # 401 while a secret rotates; 3xx, 404 and 405 when SQLITE_SERVICE_URL points at something else: nothing is wrong
    # with the entries, so they wait until somebody has repaired it.
    return ServiceUnavailable(f"status_{status}")


def _failed_request(error: str) -> Exception:
    if error.startswith(_PERMANENT):
        return Refused(error)
    return OutcomeUnknown("request_error", error)


def _failed_statement(index: int, error: str) -> Exception:
    for text, cause in _TRANSIENT.items():
        if error.startswith(text):
            return ServiceUnavailable(cause, error)
    return StatementRefused(index, error)


def lacks_schema(refusal: StatementRefused) -> bool:
    """True if a table or column is missing: the service is new or restored, and migrations may be what it needs."""
    return bool(_MISSING_SCHEMA.search(str(refusal)))


def rows_of(results: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The rows of each statement of an associative query; raises ServiceUnavailable if an element holds none.

    https://rqlite.io/docs/api/api/#associative-response-form : no rows are an empty list.
    """
    rows = [result.get("rows") for result in results]
    if not all(isinstance(found, list) and all(isinstance(row, dict) for row in found) for found in rows):
        raise ServiceUnavailable("garbage", "the answer is not that of a query")
    return rows  # type: ignore[return-value]


def returned(results: Iterable[dict[str, Any]]) -> Rows | None:
    """The rows of the RETURNING clauses among the results of writes; None if there was no such clause.

    Raises OutcomeUnknown for columns and values that do not belong together.
    """
    rows: Rows | None = None
    try:
        for result in results:
            if (columns := result.get("columns")) is not None:
                rows = rows or []
                rows.extend(dict(zip(columns, values, strict=True)) for values in result.get("values") or [])
    except (TypeError, ValueError) as problem:
        raise OutcomeUnknown("garbage", "the answer is not one of rqlite's") from problem
    return rows
