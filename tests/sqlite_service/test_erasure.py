"""What was deleted is in no byte of any file of the service: searched for in all of them."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from db_client import migrations
from db_client.record_statements import statements_for
from db_client.records import ConsentDecision, Record, VoiceSession
from db_client.snowflake import earliest
from sqlite_service import unused_bytes
from sqlite_service.app import create_app
from sqlite_service.checkpointer import Checkpointer
from sqlite_service.connection import Connection
from sqlite_service.data_api import Lifecycle
from sqlite_service.engine import Engine
from sqlite_service.request import Statement
from sqlite_service.response import Failure
from sqlite_service.settings import Settings
from tests.services import NO_RQLITED, RunningService, rqlited_binary, start_embedded, start_rqlited
from tests.sqlite_service.test_writer import open_engine
from tests.waiting import eventually

SCHEMA = (
    "CREATE TABLE t (id TEXT PRIMARY KEY, person INTEGER, name TEXT, at INTEGER) WITHOUT ROWID",
    "CREATE INDEX t_by_person ON t (person, at)",
    "CREATE INDEX t_by_name ON t (name)",
    "CREATE INDEX t_by_time ON t (at, id)",
    "CREATE TABLE u (id INTEGER PRIMARY KEY, name TEXT, picture TEXT)",
    "CREATE INDEX u_by_name ON u (name)",
)
ERASED = b"erased-"

Post: TypeAlias = Callable[[bytes], str]
"""Sends statements as one transaction; the answer."""


def found(folder: Path, *needles: bytes) -> dict[str, int]:
    """In which files of the folder, log aside, bytes are found, and how often.

    Read by another process: one that closes a file loses SQLite's locks on it, and here the engine may be in this one.
    """
    counts = {}
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "service.log":
            content = subprocess.run(["cat", path], capture_output=True, check=False).stdout
            if number := sum(content.count(needle) for needle in needles):
                counts[path.name] = number
    return counts


def rows(people: int, each: int, seed: int) -> Iterator[list[Statement]]:
    """Rows of many people in random order, in batches; the names of the first half begin with ERASED."""
    chance = random.Random(seed)
    order = [person for person in range(people) for _ in range(each)]
    chance.shuffle(order)
    for begin in range(0, len(order), 100):
        batch = []
        for number, person in enumerate(order[begin : begin + 100], begin):
            word = "erased" if person < people // 2 else "kept"
            name = f"{word}-{person}-{number}-{chance.getrandbits(40)}"
            long = name * (300 if number % 97 == 0 else chance.randrange(1, 20))
            at = chance.getrandbits(40)
            batch.append(Statement("INSERT INTO t VALUES (?, ?, ?, ?)", (f"{name}-id", person, long, at)))
            batch.append(Statement("INSERT INTO u VALUES (?, ?, ?)", (chance.getrandbits(60), name, f"{long}/picture")))
        yield batch


def deletions(people: int, seed: int) -> list[list[Statement]]:
    """Every row of the first half of the people, person by person in random order."""
    persons = list(range(people // 2))
    random.Random(seed).shuffle(persons)
    return [
        [
            Statement("DELETE FROM t WHERE person = ?", (person,)),
            Statement("DELETE FROM u WHERE name LIKE ?", (f"erased-{person}-%",)),
        ]
        for person in persons
    ]


def apply(engine: Engine, statements: list[Statement]) -> None:
    answer = engine.execute(statements)
    assert not answer.error
    assert not [outcome for outcome in answer.outcomes if isinstance(outcome, Failure)]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine that cleans soon."""
    with open_engine(tmp_path / "kept.db", clean_seconds=0.2) as opened:
        apply(opened, [Statement(sql) for sql in SCHEMA])
        yield opened


@pytest.mark.parametrize("seed", [1, 2])
def test_no_byte_of_thousands_of_deleted_rows_is_left(engine: Engine, seed: int) -> None:
    """Rows of several b-trees, put and deleted in random order, some long: running, in copies, stopped."""
    folder = engine.file.parent
    for batch in rows(80, 100, seed):
        apply(engine, batch)
    assert found(folder, ERASED)
    apply(engine, [Statement("ANALYZE")])
    for statements in deletions(80, seed):
        apply(engine, statements)
    eventually(lambda: not found(folder, ERASED), within=60, what="the end of what was deleted")
    for vacuum in (False, True):
        with engine.backup(vacuum=vacuum) as copy:
            content = copy.read()
        assert ERASED not in content
        assert content.count(b"kept-") > 8_000
    engine.close()
    assert "checkpoints" not in {thread.name for thread in threading.enumerate()}
    assert {path.name for path in folder.iterdir()} == {"kept.db", "kept.db.lock"}
    assert not found(folder, ERASED)
    with contextlib.closing(sqlite3.connect(engine.file)) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert file.execute("SELECT count(*), (SELECT count(*) FROM u) FROM t").fetchall() == [(4_000, 4_000)]


def test_an_older_reader_puts_it_off_and_holds_nobody_up(engine: Engine) -> None:
    """While a program reads an older state, its rows stay for it and writes go on; soon after its end they are gone."""
    folder = engine.file.parent
    for batch in rows(10, 20, 3):
        apply(engine, batch)
    reading = (
        "import sqlite3, sys; file = sqlite3.connect(sys.argv[1]); file.execute('BEGIN');"
        "count = 'SELECT count(*) FROM t WHERE person < 5'; print(*file.execute(count).fetchone(), flush=True);"
        "input(); print(*file.execute(count).fetchone(), flush=True)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", reading, str(engine.file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdin
        assert reader.stdout
        assert reader.stdout.readline() == "100\n"
        for statements in deletions(10, 3):
            apply(engine, statements)
        written, until = 0, time.monotonic() + 1.5  # several times the cleaning is tried, and gives way
        while time.monotonic() < until:
            apply(engine, [Statement("INSERT INTO u VALUES (?, 'kept', 'kept')", (written,))])
            written += 1
        assert written > 20
        assert found(folder, ERASED)
        reader.stdin.write("\n")
        reader.stdin.flush()
        assert reader.stdout.readline() == "100\n"
    eventually(lambda: not found(folder, ERASED), within=60, what="the end of what was deleted")


def test_readers_who_come_and_go_do_not_put_it_off(engine: Engine) -> None:
    """While there is never a moment without a reader and a writer, what was deleted goes all the same."""
    folder = engine.file.parent
    for batch in rows(10, 20, 5):
        apply(engine, batch)
    slow = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) SELECT sum(i) FROM n"
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            engine.query([Statement("SELECT count(*) FROM t"), Statement(slow)], transaction=True)

    def write() -> None:
        for number in itertools.count():
            if done.is_set():
                return
            apply(engine, [Statement("INSERT INTO u VALUES (?, 'kept', 'kept')", (number,))])

    with ThreadPoolExecutor(4) as pool:
        busy = [pool.submit(work) for work in (read, read, read, write)]
        try:
            for statements in deletions(10, 5):
                apply(engine, statements)
            eventually(lambda: not found(folder, ERASED), within=60, what="the end of what was deleted")
        finally:
            done.set()
        for one in busy:
            one.result()


@pytest.mark.parametrize("auto_vacuum", ["NONE", "FULL", "INCREMENTAL"])
def test_a_file_from_elsewhere_is_cleaned_at_its_first_start(tmp_path: Path, auto_vacuum: str) -> None:
    """Free pages, free blocks and gaps that a program without secure_delete left; every row stays as it was."""
    path = tmp_path / "old.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute(f"PRAGMA auto_vacuum={auto_vacuum}")
        for pragma in ("secure_delete=OFF", "journal_mode=WAL"):
            file.execute(f"PRAGMA {pragma}").fetchall()
        for sql in SCHEMA:
            file.execute(sql)
        for batch in itertools.chain(rows(40, 50, 4), deletions(40, 4)[:-1]):
            file.execute("BEGIN")
            for statement in batch:
                file.execute(statement.sql, statement.parameters)
            file.execute("COMMIT")
        before = list(file.iterdump())
    (left,) = {b"erased-%d-" % person for person in range(20) if f"'erased-{person}-" in "".join(before)}
    gone = [b"erased-%d-" % person for person in range(20) if b"erased-%d-" % person != left]
    assert found(tmp_path, *gone)
    with open_engine(path):
        assert not found(tmp_path, *gone)
        assert found(tmp_path, left)
    with contextlib.closing(sqlite3.connect(path)) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert list(file.iterdump()) == before


@given(page=st.binary(min_size=512, max_size=512), kind=st.sampled_from([2, 5, 10, 13, 0, 1]))
def test_nothing_is_overwritten_in_a_page_without_sense(page: bytes, kind: int) -> None:
    """Whatever a page holds, what is called unused lies in it, in order and behind its header."""
    parts = list(unused_bytes.unused(bytes([kind]) + page[1:], usable=512))
    assert kind in (2, 5, 10, 13) or not parts
    edges = [edge for part in parts for edge in part]
    assert edges == sorted(edges)
    assert all(8 <= edge <= 512 for edge in edges)


# --- the service as it is run, and our own statements ---------------------------------------------------------------

PEOPLE = range(900_000_000_000_000_001, 900_000_000_000_000_041)
T0 = 1_780_000_000_000
GONE = (b"gone-name", b"Gone Display", b"gone-avatar", b"gone-session")


def lives() -> list[Record]:
    """Forty people with a profile and fifty sessions each; half of them are erased in the end."""
    records: list[Record] = []
    for number, person in enumerate(PEOPLE):
        word = "gone" if number % 2 else "here"
        records.append(
            ConsentDecision(
                interaction_id=earliest(T0) + number,
                user_id=person,
                decision="in",
                username=f"{word}-name-{number}",
                display_name=f"{word.title()} Display {number}",
                avatar_url=f"https://cdn.example/{word}-avatar-{number}.png",
            )
        )
    for stay in range(50):
        for number, person in enumerate(PEOPLE):
            word = "gone" if number % 2 else "here"
            begun = T0 + 60_000 * (1 + stay)
            records.append(
                VoiceSession(
                    session_id=f"{word}-session-{(number * 7919 + stay * 104729) % 99991}",
                    guild_id=5,
                    channel_id=6 + stay % 3,
                    user_id=person,
                    started_at=begun,
                    started_by="joined",
                    started_within_ms=0,
                    revision=1,
                    ended_at=begun + 30_000,
                    ended_by="left",
                    ended_within_ms=0,
                    flags_at=begun,
                )
            )
    return records


def erasures() -> list[Record]:
    """The erasure of every second person."""
    return [
        ConsentDecision(interaction_id=earliest(T0 + 10**9) + person % 1000, user_id=person, decision="erase")
        for person in PEOPLE[1::2]
    ]


def deliver(post: Post, records: list[Record]) -> None:
    """As the programs do it: some records in each transaction."""
    for begin in range(0, len(records), 25):
        written = (statements_for(record) for record in records[begin : begin + 25])
        answer = post(json.dumps([list(statement) for statements in written for statement in statements]).encode())
        assert '"results"' in answer
        assert "error" not in answer


def set_up(post: Post) -> None:
    for migration in migrations.load():
        answer = post(json.dumps(list(migration.statements)).encode())
        assert '"results"' in answer
        assert "error" not in answer


def over_http(service: RunningService) -> Post:
    return lambda body: requests.post(f"{service.url}/db/execute?transaction", data=body, timeout=30).text


def beyond_rows(file: Path, copy: bytes) -> dict[int, int]:
    """Of the erased, how often the id is found in the file beyond what a copy of the bare rows has."""
    content = subprocess.run(["cat", file], capture_output=True, check=True).stdout  # as in `found`
    counts = {}
    for person in PEOPLE[1::2]:
        id_bytes = person.to_bytes(8, "big")
        if more := content.count(id_bytes) - copy.count(id_bytes):
            counts[person] = more
    return counts


def test_an_erased_person_is_in_no_file_while_the_service_runs(tmp_path: Path) -> None:
    """Soon after the delivery: file, WAL, and every kind of backup; then of the stopped one too."""
    data = tmp_path / "data"
    with open_engine(data / "b.db", clean_seconds=0.2) as engine:
        service = create_app(engine, Settings(), Lifecycle()).test_client()

        def post(body: bytes) -> str:
            return service.post("/db/execute?transaction", data=body).text

        set_up(post)
        deliver(post, lives())
        assert found(data, *GONE)
        deliver(post, erasures())
        eventually(lambda: not found(data, *GONE), within=60, what="the end of the erased people's data")
        for form in ("", "?fmt=delete", "?vacuum", "?vacuum&fmt=delete", "?compress", "?compress&vacuum"):
            answer = service.get(f"/db/backup{form}").data
            content = gzip.decompress(answer) if "compress" in form else answer
            assert content.startswith(b"SQLite format 3")
            assert not [needle for needle in GONE if needle in content]
            assert content.count(b"here-session") >= 1_000
            if form == "?vacuum":
                assert not beyond_rows(data / "b.db", content)
    assert not found(data, *GONE)
    assert sorted(path.name for path in data.iterdir()) == ["b.db", "b.db.lock"]


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_an_erased_person_is_in_no_file_after_the_next_start(tmp_path: Path, end: signal.Signals) -> None:
    """Ended right after the delivery, gently or not; and a copy is gone that a killed run was making for a backup."""
    data = tmp_path / "data"
    with start_embedded(tmp_path, SQLITE_FILE=str(data / "b.db")) as service:
        set_up(over_http(service))
        deliver(over_http(service), lives())
        deliver(over_http(service), erasures())
        if end == signal.SIGTERM:
            assert service.stop() == 0
            assert not found(data, *GONE)
        else:
            service.kill()
            assert found(data, *GONE)
        (data / ".b.db-backup-x1y2z3").write_bytes(GONE[0])
        service.restart()
        eventually(lambda: not found(data, *GONE), within=60, what="the end of the erased people's data")
        with contextlib.closing(sqlite3.connect(f"file:{data / 'b.db'}?mode=ro", uri=True)) as file:
            assert file.execute("SELECT count(*) FROM voice_sessions").fetchall() == [(1_000,)]


@pytest.mark.skipif(rqlited_binary() is None, reason=NO_RQLITED)
def test_rqlites_backup_is_without_the_erased_if_asked_for_that(tmp_path: Path) -> None:
    """`?vacuum` is a copy of the rows alone."""
    with start_rqlited(tmp_path) as service:
        set_up(over_http(service))
        deliver(over_http(service), lives())
        deliver(over_http(service), erasures())
        copy = requests.get(f"{service.url}/db/backup?vacuum", timeout=30).content
    assert copy.count(b"here-session") >= 1_000
    assert not [needle for needle in GONE if needle in copy]


def test_no_page_is_overwritten_that_another_program_has_changed_since(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A sqlite3 shell commits and checkpoints between our checkpoint and our overwriting: that is put off."""
    file = tmp_path / "bigbrother.db"
    overwritten: list[set[int]] = []
    monkeypatch.setattr(unused_bytes, "overwrite", lambda descriptor, numbers: overwritten.append(set(numbers)))
    with (
        contextlib.closing(Meanwhile(file, read_only=False)) as ours,
        contextlib.closing(Checkpointer(file, seconds=0)) as it,
    ):
        ours.control("PRAGMA journal_mode=WAL")
        it.attach(ours)
        ours.control("CREATE TABLE t (n INTEGER)")
        ours.shell = "INSERT INTO t VALUES (1); PRAGMA wal_checkpoint(PASSIVE)"
        it.checkpoint(ours)
        assert overwritten == []
        assert it.due()
        ours.shell = ""
        it.checkpoint(ours)
        assert len(overwritten) == 1
        assert list(ours.raw.execute("SELECT n FROM t")) == [(1,)]


class Meanwhile(Connection):
    """A connection that lets another process run its script before a transaction begins."""

    shell = ""

    def control(self, sql: str) -> None:
        if sql == "BEGIN IMMEDIATE" and self.shell:
            script = f"import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript({self.shell!r})"
            subprocess.run([sys.executable, "-c", script, str(self.raw.filename)], check=True)
        super().control(sql)

    def close(self) -> None:
        self.raw.close()
