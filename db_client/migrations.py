"""Numbered changes of the service's tables, run by any process at any time, over the same API as everything else.

Each is one transaction that begins by writing its own number, so of several processes that run it at once exactly one
does; the others are told that the number is taken, and go on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from db_client.errors import StatementRefused
from db_client.rows import number, values_of
from db_client.statements import Statement

SCHEMA_FOLDER = Path(__file__).parent / "schema"
_NAME = re.compile(r"(\d{4})_(\w+)\.sql")

CREATE_TABLE = Statement(
    "CREATE TABLE IF NOT EXISTS schema_migrations"
    " (version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at INTEGER NOT NULL)",
    {},
)
APPLIED = Statement("SELECT version FROM schema_migrations ORDER BY version", {})
CLAIM = "INSERT INTO schema_migrations (version, name, applied_at) VALUES (:version, :name, :applied_at)"

Ask = Callable[[Sequence[Statement]], list[Any]]


class Migration(NamedTuple):
    """One file of the schema folder."""

    version: int
    name: str
    statements: tuple[str, ...]


def load(folder: Path = SCHEMA_FOLDER) -> list[Migration]:
    """The migrations of a folder, `NNNN_name.sql`, by number; raises ValueError for two of one number."""
    migrations = []
    for path in sorted(folder.glob("*.sql")):
        if not (name := _NAME.fullmatch(path.name)):
            raise ValueError(f"{path.name}: a migration is named NNNN_name.sql")
        migrations.append(Migration(int(name[1]), name[2], tuple(split(path.read_text("utf-8")))))
    if len({migration.version for migration in migrations}) < len(migrations):
        raise ValueError("two migrations have the same number")
    return migrations


def split(script: str) -> list[str]:
    """The statements of a script, each without its semicolon; comments before one and after the last are dropped.

    >>> split("-- a; b\\nCREATE TABLE t (x); INSERT INTO t VALUES (';');")
    ['CREATE TABLE t (x)', "INSERT INTO t VALUES (';')"]
    """
    statements = []
    begun = ""
    for part in re.split(r"(?<=;)", script):
        begun += part
        if apsw.complete(begun):
            statements.append(_uncommented(begun).rstrip().removesuffix(";"))
            begun = ""
    if rest := _uncommented(begun):
        statements.append(rest.rstrip())
    return [statement for statement in statements if statement]


def _uncommented(text: str) -> str:
    return re.sub(r"\A(\s+|--[^\n]*(\n|\Z)|/\*.*?\*/)+", "", text, flags=re.DOTALL)


def migrate(execute: Ask, query: Ask, *, now: int, migrations: Sequence[Migration] | None = None) -> int:
    """Applies what the service does not have yet, in order; how many this call applied. `now`: ms since 1970 UTC.

    `execute` and `query` send statements and give their results; whatever they raise is passed on, and calling this
    again later is right.
    """
    execute([CREATE_TABLE])
    (rows,) = query([APPLIED])
    have = set(values_of(rows, number("version")))
    applied = 0
    for migration in load() if migrations is None else migrations:
        if migration.version in have:
            continue
        claim = Statement(CLAIM, {"version": migration.version, "name": migration.name, "applied_at": now})
        try:
            execute([claim, *(Statement(text, {}) for text in migration.statements)])
            applied += 1
        except StatementRefused as refusal:
            if refusal.index != 0 or "UNIQUE constraint failed" not in str(refusal):
                raise
    return applied
