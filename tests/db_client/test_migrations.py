"""Migrations: split well, run once, by any number of processes at the same time, on every body of the service."""

from __future__ import annotations

import subprocess
import sys

import pytest

from db_client import migrations
from db_client.service import Service
from db_client.statements import Statement
from db_client.store import Fate
from db_client.transport import Transport
from tests.db_client.made import NOON, decision, store
from tests.services import NO_RQLITED, rqlited_binary, start_embedded, start_rqlited

TABLES = Statement("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name", {})
MIGRATE = """
import sys
from db_client.service import Service
from db_client.transport import Transport
service = Service(Transport(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
print(service.migrate(1))
"""


def test_a_script_is_split_where_statements_end():
    """Semicolons in strings, comments and triggers end nothing; comments between statements are dropped."""
    script = """
    -- first; a comment
    CREATE TABLE t (x TEXT DEFAULT ';'); /* two; */
    CREATE TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM t; SELECT 1; END;
    INSERT INTO t VALUES ('--not a comment;')
    """
    assert migrations.split(script) == [
        "CREATE TABLE t (x TEXT DEFAULT ';')",
        "CREATE TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM t; SELECT 1; END",
        "INSERT INTO t VALUES ('--not a comment;')",
    ]
    assert migrations.split("-- nothing\n") == []


def test_two_migrations_of_one_number_are_an_error(tmp_path):
    """So are files that are not named as migrations are."""
    (tmp_path / "0001_a.sql").write_text("SELECT 1;")
    (tmp_path / "0001_b.sql").write_text("SELECT 1;")
    with pytest.raises(ValueError, match="same number"):
        migrations.load(tmp_path)
    (tmp_path / "second.sql").write_text("")
    with pytest.raises(ValueError, match=r"NNNN_name\.sql"):
        migrations.load(tmp_path)


@pytest.mark.parametrize("start", [start_embedded, start_rqlited])
def test_six_processes_migrate_at_once(tmp_path, start):
    """Each migration is applied by exactly one of them, and none fails."""
    if start is start_rqlited and rqlited_binary() is None:
        pytest.skip(NO_RQLITED)
    with start(tmp_path / "service") as service:
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", MIGRATE, service.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(6)
        ]
        assert [process.stdout.readline() for process in processes if process.stdout] == ["ready\n"] * 6
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        applied = [int(process.communicate()[0]) for process in processes]
        assert sum(applied) == len(migrations.load())
        asked = Service(Transport(service.url))
        (rows,) = asked.query([migrations.APPLIED], 10)
        assert [row["version"] for row in rows] == [one.version for one in migrations.load()]
        (tables,) = asked.query([TABLES], 10)
        assert {"opt_in_users", "consent_log", "voice_sessions"} <= {row["name"] for row in tables}


def test_a_service_that_lost_its_tables_gets_them_again(tmp_path):
    """When the service starts anew from an empty file while we run, delivery makes the tables and buries nothing."""
    with start_embedded(tmp_path / "service") as service, store(tmp_path, service.url) as made:
        made.start()
        assert made.deliver(made.keep([decision(1)]), within=10) is Fate.STORED
        service.kill()
        for path in (tmp_path / "service").glob("bigbrother.db*"):
            path.unlink()
        service.restart()
        made.keep([decision(2)])
        assert made.stop(within=20)
        assert made.statistics().dead == 0


def test_a_failing_migration_is_told_and_leaves_nothing(tmp_path):
    """A migration that is wrong raises, and neither its number nor a part of it stands."""
    wrong = [migrations.Migration(1, "wrong", ("CREATE TABLE half (x)", "CREATE TABLE half (x)"))]
    with start_embedded(tmp_path / "service") as running:
        service = Service(Transport(running.url))

        def execute(statements):
            from db_client import rqlite

            return service._ask(rqlite.EXECUTE, rqlite.encode(statements), len(statements), 10)

        with pytest.raises(Exception, match="already exists"):
            migrations.migrate(execute, lambda asked: service.query(asked, 10), now=NOON, migrations=wrong)
        assert service.query([migrations.APPLIED, TABLES], 10) == [[], [{"name": "schema_migrations"}]]
