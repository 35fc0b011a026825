"""The service in memory: the real statements on a real SQLite."""

from __future__ import annotations

import functools
import itertools
import sqlite3
from pathlib import Path
from typing import Any

import db_client
from db_client.record_statements import statements_for
from db_client.records import Record
from db_client.snowflake import earliest
from db_client.statements import Statement

SCHEMA = Path(db_client.__file__).parent / "schema"


@functools.cache
def _empty_tables() -> sqlite3.Connection:
    """Made once: thousands of examples begin with a copy."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for script in sorted(SCHEMA.glob("*.sql")):
        connection.executescript(script.read_text())
    return connection


class Service:
    """The tables of the service, written and read by the statements of `db_client` only."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.row_factory = sqlite3.Row
        _empty_tables().backup(self.connection)
        self._interactions = itertools.count()

    def interaction(self, at: int) -> int:
        """The snowflake of an interaction at that moment, newer than all before it."""
        return earliest(at) + next(self._interactions)

    def write(self, record: Record) -> None:
        for statement in statements_for(record):
            self.connection.execute(statement.sql, statement.parameters)

    def read(self, statement: Statement) -> list[dict[str, Any]]:
        return [dict(row) for row in self.connection.execute(statement.sql, statement.parameters)]

    def rows(self, sql: str, **parameters: object) -> list[dict[str, Any]]:
        return [dict(row) for row in self.connection.execute(sql, parameters)]
