"""What stood in a database of schema 0003 stands in 0004, and nothing more: the file of an installation is upgraded."""

from __future__ import annotations

import ast
import re

import apsw

from db_client import migrations

T = 1_780_000_000_000


def upgraded() -> apsw.Connection:
    """Schema 0003 with data of every kind that 0004 changes, brought to 0004."""
    connection = apsw.Connection(":memory:")
    *before, newest = migrations.load()[:4]
    assert newest.version == 4
    for migration in before:
        for sql in migration.statements:
            connection.execute(sql)
    for user, opted_in, visibility in ((1, 1, "server"), (2, 1, "only_me"), (3, 0, "server"), (4, 1, "server")):
        row = (user, opted_in, T, 100 + user, visibility)
        connection.execute("INSERT INTO opt_in_users VALUES (?, 'n', 'N', NULL, ?, ?, ?, ?)", row)
    # Who, guild, channel, end, flags: with the bit that said "alone".
    stays = [(1, 10, 11, T + 5, 16), (1, 20, 21, None, 17), (2, 10, 11, T + 5, 0), (3, 10, 12, T + 5, 31)]
    for number, (user, guild, channel, ended, flags) in enumerate(stays):
        connection.execute(
            "INSERT INTO voice_sessions VALUES (?,?,?,?,?,?,'joined',?,0,?,0,1,2,3,4,5,?,?,1)",
            (f"s{number}", guild, channel, user, T, ended, ended and "left", ended and 0, flags, T),
        )
    connection.execute("INSERT INTO guilds VALUES (10, 'ten', 'Europe/Berlin', 9, NULL, 7)")
    connection.execute("INSERT INTO guild_settings VALUES (30, 'leaderboard', 'off', 1)")
    connection.execute("INSERT INTO unrecorded_channels VALUES (41, 40, ?, NULL, 1)", (T,))
    for channel, kind in ((11, 2), (13, 2), (14, 4)):  # used; used by a stranger only; a category
        connection.execute("INSERT INTO channels VALUES (?, 10, 'name', ?, 14, NULL, 1)", (channel, kind))
    for sql in newest.statements:
        connection.execute(sql)
    return connection


def test_what_was_shown_to_every_server_is_shown_on_those_with_sessions_and_from_the_beginning():
    """Also of somebody who opted out, should they come back; nobody else has a choice, and none has a past hidden."""
    rows = upgraded().execute("SELECT user_id, guild_id, version, shown_from FROM visible_on ORDER BY 1, 2").fetchall()
    assert rows == [(1, 10, 101, 0), (1, 20, 101, 0), (3, 10, 103, 0)]


def test_nothing_says_alone_any_more_and_no_session_is_lost():
    """The sum goes, the flag of running sessions too; all else of a session stays, and so do the totals."""
    connection = upgraded()
    columns = [row[1] for row in connection.execute("PRAGMA table_info(voice_sessions)")]
    assert "alone_ms" not in columns
    states = "SELECT session_id, muted_ms, deafened_ms, video_ms, stream_ms FROM voice_sessions"
    rows = connection.execute(states).fetchall()
    assert rows == [(f"s{number}", 1, 2, 3, 4) for number in range(4)]
    assert connection.execute("SELECT flags FROM voice_sessions WHERE ended_at IS NULL").fetchall() == [(1,)]
    assert connection.execute("SELECT sum(sessions), sum(counted_ms) FROM voice_totals").fetchall() == [(3, 15)]
    connection.execute("DELETE FROM voice_sessions")
    assert connection.execute("SELECT * FROM voice_totals").fetchall() == []


def test_names_of_channels_without_a_session_are_gone():
    """Rooms of strangers and categories; of a channel that stands no category is kept."""
    connection = upgraded()
    assert connection.execute("SELECT channel_id FROM channels").fetchall() == [(11,)]
    assert "parent_id" not in [row[1] for row in connection.execute("PRAGMA table_info(channels)")]


def test_every_guild_of_which_something_is_stored_has_a_row_and_no_departure():
    """With sessions, running ones, settings, or excluded channels; a name that was there is kept."""
    rows = upgraded().execute(
        "SELECT guild_id, name, time_zone, left_at, absence_confirmed_at FROM guilds ORDER BY 1"
    ).fetchall()  # fmt: skip
    assert rows == [(10, "ten", "Europe/Berlin", None, None), *((g, "", None, None, None) for g in (20, 30, 40))]


def test_no_statement_asks_a_table_for_whatever_columns_it_has():
    """After a migration a connection that knows the older schema, as rqlite has some, answers `*` under the names of
    before; a statement that names its columns is right on every connection."""
    folder = migrations.SCHEMA_FOLDER.parent
    for file in (*folder.glob("*_statements.py"), *folder.glob("report_*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not re.match(r"\s*SELECT (\w+\.)?\*", node.value), f"{file.name}: {node.value}"


def with_watermarks(*rows: tuple[int, int]) -> list[tuple[int, int, int]]:
    """What becomes of the watermarks of a database of schema 0004."""
    connection = apsw.Connection(":memory:")
    *before, newest = migrations.load()[:5]
    assert newest.version == 5
    for sql in [sql for migration in before for sql in migration.statements]:
        connection.execute(sql)
    for row in rows:
        connection.execute("INSERT INTO listener_watermarks (shard_id, observed_at) VALUES (?, ?)", row)
    for sql in newest.statements:
        connection.execute(sql)
    stored = connection.execute("SELECT shard_id, shard_count, observed_at FROM listener_watermarks ORDER BY 1")
    return [(int(shard), int(count), int(at)) for shard, count, at in stored]


def test_watermarks_are_kept_under_as_many_shards_as_there_were():
    """So the listener that goes on overwrites its own, and a guild has the mark of the shard it belonged to."""
    assert with_watermarks() == []
    assert with_watermarks((0, T)) == [(0, 1, T)]
    assert with_watermarks((0, T), (1, T + 1), (2, T - 1)) == [(0, 3, T), (1, 3, T + 1), (2, 3, T - 1)]
