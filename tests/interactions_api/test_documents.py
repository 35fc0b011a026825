"""What the documents show is what the bot says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from db_client.statements import Statement
from tests.interactions_api.discord import command, snowflake, user
from tests.interactions_api.documents import NOW, document
from tests.interactions_api.privacy_tables import BEGIN, TABLES, tables
from tests.interactions_api.study_room import study_room
from tests.services import NO_RQLITED, rqlited_binary, start_embedded, start_rqlited

pytestmark = pytest.mark.xdist_group("processes")

DOCS = Path(__file__).parents[2] / "docs"
PAGE, PRIVACY = DOCS / "commands.md", DOCS / "privacy.md"


@pytest.mark.parametrize("start", [start_embedded, start_rqlited])
def test_the_page_of_commands_shows_real_replies(tmp_path: Path, start):
    """The same from each body of the service. With UPDATE_DOCUMENTS=1 the page is written anew instead."""
    if start is start_rqlited and rqlited_binary() is None:
        pytest.skip(NO_RQLITED)
    with study_room(tmp_path, NOW, start) as room:
        made = document(room)
    if os.environ.get("UPDATE_DOCUMENTS"):
        PAGE.write_text(made, "utf-8")
    assert PAGE.read_text("utf-8") == made


def test_the_page_on_privacy_has_every_column_that_is_stored(endpoint):
    """As the migrations make them: each table and column with a purpose, and none that is no more. With
    UPDATE_DOCUMENTS=1 that section is written anew instead.
    """
    endpoint.says(command("opt_out", by=user(snowflake())))  # the first delivery makes the tables
    sql = """
SELECT t.name AS "table", c.name AS "column"
  FROM sqlite_master AS t CROSS JOIN pragma_table_info(t.name) AS c
 WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'
 ORDER BY t.name, c.cid
"""
    [rows] = endpoint.store.query(Statement(sql, {}), within=10.0)
    schema: dict[str, list[str]] = {}
    for row in rows:
        schema.setdefault(row["table"], []).append(row["column"])
    assert {name: set(columns) for name, columns in schema.items()} == {
        name: set(table.columns) for name, table in TABLES.items()
    }
    written = PRIVACY.read_text("utf-8").partition(BEGIN)[0]
    if os.environ.get("UPDATE_DOCUMENTS"):
        PRIVACY.write_text(written + tables(schema), "utf-8")
    assert PRIVACY.read_text("utf-8") == written + tables(schema)
