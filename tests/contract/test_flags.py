"""Flags that change an answer, on every body: what is answered with 200 has been done."""

from __future__ import annotations

import gzip
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from db_client import migrations
from db_client.record_statements import statements_for
from db_client.records import ConsentDecision
from db_client.snowflake import earliest
from tests.services import RunningService

FILLED = [
    "CREATE TABLE filled (id INTEGER PRIMARY KEY, text TEXT)",
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
    " INSERT INTO filled SELECT i, 'deleted-text' || i FROM n",
    "DELETE FROM filled WHERE id > 10",
]


def post(body: RunningService, path: str, *statements: Any) -> list[dict[str, Any]]:
    """The results of one request, none of them an error."""
    answer = requests.post(body.url + path, data=json.dumps(statements).encode(), timeout=30)
    assert answer.status_code == 200, answer.text
    assert '"error"' not in answer.text, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


@pytest.fixture(scope="module")
def filled(body: RunningService) -> RunningService:
    """A body with a table most of whose rows were deleted."""
    post(body, "/db/execute?transaction", *FILLED)
    return body


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
def test_a_vacuumed_backup_is_the_rows_alone(filled: RunningService, tmp_path: Path, compressed: bool) -> None:
    """`vacuum`: one file in no journal mode that needs another, without free pages; `compress`: the same by gzip."""
    flags = "vacuum&compress" if compressed else "vacuum"
    answer = requests.get(f"{filled.url}/db/backup?{flags}", timeout=30)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/octet-stream")
    content = gzip.decompress(answer.content) if compressed else answer.content
    assert b"deleted-text2000" not in content
    copy = tmp_path / "copy.db"
    copy.write_bytes(content)
    with closing(sqlite3.connect(f"file:{copy}?mode=ro", uri=True)) as file:
        for pragma, expected in (("journal_mode", "delete"), ("freelist_count", 0), ("integrity_check", "ok")):
            assert file.execute(f"PRAGMA {pragma}").fetchall() == [(expected,)]
        assert file.execute("SELECT count(*) FROM filled").fetchall() == [(10,)]
    assert [path.name for path in tmp_path.iterdir()] == ["copy.db"]


@pytest.mark.parametrize(("path", "sql"), [("execute", "DELETE FROM filled WHERE id = 0"), ("query", "SELECT 1 AS n")])
def test_timings_are_of_each_statement_too(filled: RunningService, path: str, sql: str) -> None:
    """`timings`: seconds of each result beside those of the request."""
    answer = requests.post(f"{filled.url}/db/{path}?timings", data=json.dumps([sql, sql]), timeout=30).json()
    assert all(0 < result["time"] < 30 for result in answer["results"])
    assert sum(result["time"] for result in answer["results"]) <= answer["time"]


def test_reads_of_one_transaction_go_on_behind_an_error(filled: RunningService) -> None:
    """`transaction` on /db/query: all reads see one state, and each has its own answer."""
    body = json.dumps(["SELECT count(*) AS n FROM filled", "SELECT no_such_column", "SELECT 1 AS n"])
    for _ in range(2):
        answer = requests.post(f"{filled.url}/db/query?transaction", data=body, timeout=30).json()
        first, second, third = answer["results"]
        assert (first["values"], third["values"]) == ([[10]], [[1]])
        assert "no such column" in second["error"]


def test_returning_gives_its_rows(body: RunningService) -> None:
    """The answer to our own writes, by /db/execute: what stands after a decision is told with it."""
    for migration in migrations.load():
        post(body, "/db/execute?transaction", *migration.statements)
    decision = ConsentDecision(
        interaction_id=earliest(1_780_000_000_000), user_id=900_000_000_000_000_777, decision="in", username="ann"
    )
    statements = [[sql, parameters] for sql, parameters in statements_for(decision)]
    told = [result for result in post(body, "/db/execute?transaction", *statements) if "columns" in result]
    rows = [dict(zip(result["columns"], row, strict=True)) for result in told for row in result.get("values", [])]
    assert [row for row in rows if row.get("opted_in") == 1 and row.get("version") == decision.interaction_id]
