"""The writer without HTTP: whoever leads, every write is answered once, and nobody waits for ever."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sqlite_service import files
from sqlite_service.engine import Engine
from sqlite_service.request import Statement
from sqlite_service.response import Answer, Changes, Rows
from sqlite_service.writer import Closed, NotApplied
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
