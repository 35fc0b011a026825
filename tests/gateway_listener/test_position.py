"""A place in the consent log is told from the same place in another log: a number alone is not."""

from __future__ import annotations

import itertools

import pytest

from db_client import reading_statements
from db_client.records import ConsentDecision
from db_client.snowflake import earliest
from gateway_listener.position import REMEMBERED_ROWS, Position, Row
from tests.gateway_listener.harness import NOON
from tests.gateway_listener.tables import Service

ids = itertools.count(earliest(NOON))


def rows(*places: int) -> tuple[Row, ...]:
    return tuple(Row(place, 100 + place) for place in places)


def followed(service: Service, position: Position) -> tuple[bool, Position]:
    """Whether the position is in the service's log, and the one at its end, by the statements of a reading."""
    standing = service.read(reading_statements.consent_between(position.first, position.seq))
    known = [Row(row["seq"], row["interaction_id"]) for row in standing]
    newest = service.read(reading_statements.newest_seq())[0]["seq"]
    read = service.read(reading_statements.consent_after(position.seq))
    moved = position.moved(known, [Row(row["seq"], row["interaction_id"]) for row in read])
    return position.is_in(known, newest), moved


def decide(service: Service, user: int, decision: str) -> None:
    service.write(ConsentDecision(next(ids), user, decision, "u", "U"))  # type: ignore[arg-type]


@pytest.mark.parametrize("kept", range(1, 12))
@pytest.mark.parametrize("grown", range(12))
def test_a_log_that_was_restored_is_another_one_whatever_grew_since(kept: int, grown: int) -> None:
    """Of eleven rows so many were in the backup, and so many came afterwards: the same number of rows, or more."""
    service = Service()
    for user in range(11):
        decide(service, user, "in")
    _, position = followed(service, Position())
    service.rows("DELETE FROM consent_log WHERE seq > :kept", kept=kept)
    service.rows("UPDATE sqlite_sequence SET seq = :kept WHERE name = 'consent_log'", kept=kept)
    for user in range(grown):
        decide(service, user, "out")
    same, _ = followed(service, position)
    assert same is (kept == 11)


def test_erasures_do_not_make_it_another_log() -> None:
    """Someone opts in and erases everything a hundred times: nobody's log is read whole for that."""
    service = Service()
    for user in range(3):
        decide(service, user, "in")
    same, position = followed(service, Position())
    for _ in range(100):
        decide(service, 9, "in")
        same, position = followed(service, position)
        assert same
        decide(service, 9, "erase")
        same, position = followed(service, position)
        assert same
        assert len(position.rows) <= REMEMBERED_ROWS
    decide(service, 0, "erase")
    assert followed(service, position)[0]


def test_the_rows_that_were_read_last_are_remembered() -> None:
    """Those that stand, and nothing changes if nothing was read."""
    position = Position(rows(1, 2, 3))
    assert position.moved(rows(1, 3), rows(4)).rows == rows(1, 3, 4)
    assert position.moved(rows(1), ()) == position
    assert position.moved(rows(1, 2, 3), rows(*range(4, 99))).rows == rows(*range(99 - REMEMBERED_ROWS, 99))


def test_a_position_comes_back_from_its_note() -> None:
    """Nothing read yet is a position, too; one that an older version noted is in no log, so that is read whole."""
    for position in (Position(), Position(rows(1)), Position(rows(3, 7, 9))):
        assert Position.from_text(position.to_text()) == position
    old = Position.from_text("9")
    assert old.seq == 9
    assert not old.is_in(rows(9), 9)
    for text in ("x", "9:x", ":4"):
        with pytest.raises(ValueError, match="invalid literal"):
            Position.from_text(text)
