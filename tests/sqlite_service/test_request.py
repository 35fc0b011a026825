"""What a body and a query string mean; and nothing a client sends breaks the parser."""

from __future__ import annotations

import contextlib
import json
import math
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqlite_service.request import BadRequest, Flags, Statement, parse_flags, parse_statements

# 10,000 in the full run: FUZZ_CASES=10000 pytest tests/sqlite_service/test_request.py
CASES = int(os.environ.get("FUZZ_CASES", "300"))

REFUSALS = [
    (b"", "invalid JSON body"),
    (b"  ", "invalid JSON body"),
    (b"\xff", "invalid JSON body"),
    (b'["\xff"]', "invalid JSON body"),
    (b"nul", "invalid JSON body"),
    (b"{bad", "invalid request"),
    (b"null", "invalid request"),
    (b'"SELECT 1"', "invalid request"),
    (b"[]", "no statements"),
    (b"[[]]", "invalid request"),
    (b"[null]", "invalid request"),
    (b"[{}]", "invalid request"),
    (b'[["SELECT ?", NaN]]', "invalid JSON body"),
    (b'[["SELECT ?", Infinity]]', "invalid JSON body"),
    (b'[["SELECT ?", 1e999]]', "invalid number"),
    (b'[["SELECT ?", ' + b"9" * 400 + b"]]", "invalid number"),
    (b'[["SELECT ?", ' + b"9" * 5000 + b"]]", "invalid JSON body"),
    (b'[["SELECT ?", [256]]]', "unsupported type"),
    (b'[["SELECT ?", [-1]]]', "unsupported type"),
    (b'[["SELECT ?", [true]]]', "unsupported type bool"),
    (b'[["SELECT ?", [1.5]]]', "unsupported type float64"),
    (b'[["SELECT ?", ["a"]]]', "unsupported type string"),
    (b'[["SELECT ?", [[1]]]]', "unsupported type []interface {}"),
    (b'[["SELECT :a", {"a": {"b": 1}}]]', "unsupported type map[string]interface {}"),
    (b'[["SELECT :a", {"a": 1, "a": 2}]]', "invalid request: a parameter's name is given twice"),
    (b'[["SELECT :a, ?", {"a": 1}, 2]]', "unsupported: named parameters"),
    (b"[" * 100_000, "invalid JSON body"),
    (b'[["SELECT ?",' + b"[" * 50_000 + b"]" * 50_000 + b"]]", "invalid JSON body"),
]


@pytest.mark.parametrize(("body", "text"), REFUSALS, ids=[f"{i}-{text[:20]}" for i, (_, text) in enumerate(REFUSALS)])
def test_what_is_refused(body: bytes, text: str) -> None:
    """A body that can never be served is refused with rqlite's text, deep nesting too."""
    with pytest.raises(BadRequest) as refusal:
        parse_statements(body)
    assert str(refusal.value).startswith(text)


@pytest.mark.parametrize(
    ("body", "statement"),
    [
        ('["SELECT 1"]', Statement("SELECT 1")),
        ('["SELECT 1"] and more', Statement("SELECT 1")),
        ('[["SELECT ?", 9223372036854775807]]', Statement("SELECT ?", (2**63 - 1,))),
        ('[["SELECT ?", -9223372036854775808]]', Statement("SELECT ?", (-(2**63),))),
        ('[["SELECT ?", 9223372036854775808]]', Statement("SELECT ?", (float(2**63),))),
        ('[["SELECT ?", true]]', Statement("SELECT ?", (1,))),
        ('[["SELECT ?", [0, 255]]]', Statement("SELECT ?", (b"\x00\xff",))),
        ("""[["SELECT ?", " X'4142' "]]""", Statement("SELECT ?", (b"AB",))),
        ("""[["SELECT ?", "x'414'"]]""", Statement("SELECT ?", ("x'414'",))),
        ('[["SELECT :a", {"a": null}]]', Statement("SELECT :a", {"a": None})),
        (r'[["SELECT ?", "\ud83d\ude00"]]', Statement("SELECT ?", ("\U0001f600",))),
        (r'[["SELECT ?", "a\ud83d"]]', Statement("SELECT ?", ("a\ufffd",))),
    ],
)
def test_what_is_bound(body: str, statement: Statement) -> None:
    """Each JSON value becomes what rqlite binds; 64-bit integers are exact."""
    assert parse_statements(body.encode()) == [statement]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=25,
)


@settings(max_examples=CASES, deadline=None)
@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    """Bytes of any kind give statements whose values SQLite can take, or BadRequest; nothing else is raised."""
    try:
        statements = parse_statements(body)
    except BadRequest:
        return
    assert statements
    for statement in statements:
        parameters = statement.parameters
        for value in parameters.values() if isinstance(parameters, dict) else parameters:
            assert value is None or isinstance(value, (str, bytes, int, float))
            assert not isinstance(value, int) or -(2**63) <= value < 2**63
            assert not isinstance(value, float) or math.isfinite(value)
            assert not isinstance(value, str) or value.encode().decode() == value


@settings(max_examples=CASES, deadline=None)
@given(st.lists(st.tuples(st.text(), st.lists(st.none() | st.integers(-(2**63), 2**63 - 1) | st.text()))))
def test_what_was_meant_is_what_is_read(statements: list[tuple[str, list[int | str | None]]]) -> None:
    """Statements as a client writes them come out as they went in."""
    body = json.dumps([[sql, *values] for sql, values in statements]).encode()
    if not statements:
        with pytest.raises(BadRequest, match="no statements"):
            parse_statements(body)
        return
    read = parse_statements(body)
    expected = [(sql, tuple(values)) for sql, values in statements]
    literal = [value for _, values in expected for value in values if isinstance(value, str) and value.endswith("'")]
    if not literal:
        assert [(statement.sql, statement.parameters) for statement in read] == expected


@settings(max_examples=CASES, deadline=None)
@given(st.text(max_size=60))
def test_any_query_string_is_read_or_refused(query: str) -> None:
    """A query string of any kind gives flags or BadRequest."""
    with contextlib.suppress(BadRequest):
        assert isinstance(parse_flags(query), Flags)


def test_flags_count_by_being_there() -> None:
    """A flag's value does not matter, as in rqlite; unknown flags are ignored."""
    assert parse_flags("transaction=false&level=none&noparse") == Flags(transaction=True)
    assert parse_flags("db_timeout=1m30s").db_timeout == 90
    assert parse_flags("db_timeout=250ms&timeout=4s").db_timeout == 0.25


@pytest.mark.parametrize("query", ["timeout=5", "db_timeout=", "db_timeout=s", "freshness=1y", "freshness_strict"])
def test_malformed_flags_are_refused(query: str) -> None:
    """A duration needs its unit."""
    with pytest.raises(BadRequest):
        parse_flags(query)


@pytest.mark.parametrize("flag", ["queue", "queue&wait", "retries=3", "raft_index", "qualify_columns", "tables=kept"])
def test_what_the_service_leaves_out_is_refused(flag: str) -> None:
    """Flags of rqlite that lose or repeat writes, or change an answer in a way that is not done here, get a 400."""
    with pytest.raises(BadRequest, match="unsupported flag"):
        parse_flags(flag)
