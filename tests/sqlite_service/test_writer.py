"""The writer without HTTP: whoever leads, every write is answered once, and nobody waits for ever."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import apsw
import pytest

from sqlite_service import files
from sqlite_service.checkpointer import Checkpointer
from sqlite_service.connection import Connection
from sqlite_service.engine import Engine
from sqlite_service.request import Statement
from sqlite_service.response import Answer, Changes, Rows
from sqlite_service.writer import Closed, DiskFull, NotApplied, Write, Writer
from tests.waiting import eventually

INSERT = "INSERT INTO kept VALUES (?)"


@contextlib.contextmanager
def open_engine(file: Path, **options: float) -> Iterator[Engine]:
    """An engine on a file that is prepared as the program does it."""
    lock = files.prepare(file)
    engine = Engine(file, **options)
    try:
        yield engine
    finally:
        engine.close()
        os.close(lock)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine with the table `kept`."""
    with open_engine(tmp_path / "kept.db") as opened:
        opened.execute([Statement("CREATE TABLE kept (id INTEGER PRIMARY KEY)")])
        yield opened


def kept(engine: Engine) -> list[Any]:
    """The stored ids in order."""
    (rows,) = engine.query([Statement("SELECT id FROM kept ORDER BY id")]).outcomes
    assert isinstance(rows, Rows)
    return [row[0] for row in rows.values]


@pytest.mark.parametrize("change", ["ADD COLUMN more TEXT", "RENAME COLUMN id TO number"])
def test_a_reader_that_knows_an_older_schema_answers_by_the_newer(engine: Engine, change: str) -> None:
    """SQLite prepares with the columns that the connection knows, and notices the change at the first step."""
    engine.execute([Statement(INSERT, (1,))])
    engine.query([Statement("SELECT * FROM kept")])
    engine.execute([Statement(f"ALTER TABLE kept {change}")])
    (rows,) = engine.query([Statement("SELECT * FROM kept")]).outcomes
    assert isinstance(rows, Rows)
    assert [rows.columns, rows.values] == {
        "ADD COLUMN more TEXT": [["id", "more"], [(1, None)]],
        "RENAME COLUMN id TO number": [["number"], [(1,)]],
    }[change]
    assert len(rows.declared) == len(rows.columns)


def test_every_write_gets_its_own_answer(engine: Engine) -> None:
    """Twelve threads write at once: each is told of its own row, and all rows stand."""

    def write(lane: int) -> list[Answer]:
        return [engine.execute([Statement(INSERT, (lane * 1000 + number,))]) for number in range(50)]

    with ThreadPoolExecutor(12) as pool:
        lanes = list(pool.map(write, range(12)))
    for lane, answers in enumerate(lanes):
        assert [answer.outcomes for answer in answers] == [[Changes(lane * 1000 + n, 1)] for n in range(50)]
    assert len(kept(engine)) == 600
    assert engine.status()["counters"]["write_requests"] == 601


def test_an_unforeseen_error_fails_its_group_and_no_other(engine: Engine) -> None:
    """A write that breaks the service's own code is refused, and the next one finds a writer that works."""
    for number in range(3):
        with pytest.raises(NotApplied, match="see the service's log"):
            engine.execute([None])  # type: ignore[list-item]
        engine.execute([Statement(INSERT, (number,))])
    assert kept(engine) == [0, 1, 2]


def test_closing_applies_what_waits(engine: Engine) -> None:
    """Writes that were taken are answered and stored, later ones are told that the service is stopping."""
    under_way = threading.Barrier(9)

    def write(lane: int) -> int:
        under_way.wait()
        for number in range(10_000):
            try:
                engine.execute([Statement(INSERT, (lane * 10_000 + number,))])
            except Closed:
                return number
        return 10_000

    with ThreadPoolExecutor(8) as pool:
        answered: list[Future[int]] = [pool.submit(write, lane) for lane in range(8)]
        under_way.wait()
        eventually(lambda: engine.status()["counters"]["write_requests"] > 50, what="some writes")
        engine.close()
        engine.close()
    stored = [lane * 10_000 + number for lane, one in enumerate(answered) for number in range(one.result())]
    assert kept(engine) == stored


def test_the_wal_has_its_size_from_the_start(engine: Engine) -> None:
    """Writes until the first checkpoint make no file longer, and nothing but what was asked for is stored or told."""
    assert engine.execute([Statement("CREATE INDEX by_id ON kept (id)")]).outcomes == [Changes(0, 0)]
    engine.execute([Statement("DROP INDEX by_id")])
    wal = Path(f"{engine.file}-wal")
    size = wal.stat().st_size
    assert size > 4_000_000
    for number in range(100):
        engine.execute([Statement(INSERT, (number,))])
    assert wal.stat().st_size == size
    (tables,) = engine.query([Statement("SELECT name FROM sqlite_schema")]).outcomes
    assert isinstance(tables, Rows)
    assert tables.values == [("kept",)]
    engine.close()
    assert engine.file.stat().st_size < 100_000
    assert not wal.exists()


class Group:
    """A writer, its connections as they were opened, and a way to have several writes applied as one group."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._go_on = threading.Event()
        self.connections: list[Connection] = []
        self._checkpointer = Checkpointer(file, seconds=60)
        self.writer = Writer(self._opened, self._checkpointer, request_seconds=30)

    def _opened(self) -> Connection:
        connection = Connection(self._file, read_only=False)
        connection.raw.create_scalar_function("wait_for_others", lambda *_: int(self._go_on.wait(30)))
        self.connections.append(connection)
        return connection

    def apply(self, *statements: Statement) -> list[Answer | NotApplied]:
        """What each of the writes was told; they wait while another is applied, and so are the next group."""
        with ThreadPoolExecutor(len(statements) + 1) as pool:
            self._go_on.clear()
            first = pool.submit(self.writer.apply, Write([Statement("SELECT wait_for_others()")], transaction=True))
            eventually(lambda: self.writer._working, what="a write at work")
            told = []
            for count, statement in enumerate(statements, 1):
                told.append(pool.submit(self.writer.apply, Write([statement], transaction=True)))
                eventually(lambda: len(self.writer._waiting) == count, what="a write that waits")  # noqa: B023
            groups = self.writer.groups
            self._go_on.set()
            first.result(30)
            answers = []
            for one in told:
                problem = one.exception(30)
                answers.append(problem if isinstance(problem, NotApplied) else one.result())
        self.groups = self.writer.groups - groups - 1
        return answers

    def close(self) -> None:
        self.writer.close()
        self._checkpointer.close()


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Group]:
    """A writer with the table `kept`, on a prepared file."""
    lock = files.prepare(tmp_path / "kept.db")
    made = Group(tmp_path / "kept.db")
    made.writer.apply(Write([Statement("CREATE TABLE kept (id INTEGER PRIMARY KEY, text TEXT)")], transaction=True))
    yield made
    made.close()
    os.close(lock)


def rows(group: Group) -> list[Any]:
    """The stored ids, read by another connection."""
    reader = Connection(group._file, read_only=True)
    with contextlib.closing(reader.raw):
        return [row[0] for row in reader.raw.execute("SELECT id FROM kept ORDER BY id")]


def test_one_write_too_large_for_the_disk_takes_no_other_with_it(group: Group) -> None:
    """Of writes that wait together the one that does not fit is told so, the others are stored; with room, all are."""
    large = Statement("INSERT INTO kept VALUES (?, hex(zeroblob(200000)))", (2,))
    small = [Statement("INSERT INTO kept VALUES (?, 'small')", (number,)) for number in (1, 3)]
    assert [type(told) for told in group.apply(small[0], large, small[1])] == [Answer, Answer, Answer]
    assert (group.groups, rows(group)) == (1, [1, 2, 3])

    group.connections[0].raw.execute("DELETE FROM kept; VACUUM; PRAGMA max_page_count=10").fetchall()
    first, told, last = group.apply(small[0], large, small[1])
    assert isinstance(told, DiskFull)
    assert "nothing of this request was stored" in str(told)
    assert [first, last] == [Answer([Changes(1, 1)]), Answer([Changes(3, 1)])]
    assert rows(group) == [1, 3]
    assert len(group.connections) == 1

    group.connections[0].raw.execute("PRAGMA max_page_count=100000").fetchall()
    assert isinstance(group.apply(large)[0], Answer)
    assert rows(group) == [1, 2, 3]


def test_an_io_error_under_a_group_is_told_to_each_of_it(group: Group) -> None:
    """Nobody of it is told that the write is stored, or that it is not; the next group has a connection that works."""

    def broken() -> bool:
        raise apsw.IOError("disk I/O error")

    def break_the_disk(*_: object) -> str:
        group.connections[0].raw.set_commit_hook(broken)
        return "broken"

    statements = [Statement("INSERT INTO kept VALUES (?, 'text')", (number,)) for number in (1, 2, 3)]
    group.connections[0].raw.create_scalar_function("break_the_disk", break_the_disk)
    breaking = Statement("INSERT INTO kept VALUES (4, break_the_disk())")
    told = group.apply(breaking, *statements)
    assert [type(one) for one in told] == [NotApplied] * 4
    assert {str(one) for one in told} == {"disk I/O error: whether this request was stored is not known; send it again"}
    assert [type(one) for one in group.apply(*statements)] == [Answer] * 3
    assert (group.groups, rows(group), len(group.connections)) == (1, [1, 2, 3], 2)
