"""The writer without HTTP: whoever leads, every write is answered once, and nobody waits for ever."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sqlite_service.engine import Engine
from sqlite_service.request import Statement
from sqlite_service.response import Answer, Changes, Rows
from sqlite_service.writer import Closed, NotApplied
from tests.waiting import eventually

INSERT = "INSERT INTO kept VALUES (?)"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine with the table `kept`."""
    opened = Engine(tmp_path / "kept.db")
    opened.execute([Statement("CREATE TABLE kept (id INTEGER PRIMARY KEY)")])
    yield opened
    opened.close()


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


def test_closing_applies_what_waits(tmp_path: Path) -> None:
    """Writes that were taken are answered and stored, later ones are told that the service is stopping."""
    engine = Engine(tmp_path / "kept.db")
    engine.execute([Statement("CREATE TABLE kept (id INTEGER PRIMARY KEY)")])
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
    again = Engine(tmp_path / "kept.db")
    assert kept(again) == [lane * 10_000 + n for lane, one in enumerate(answered) for n in range(one.result())]
    again.close()
