"""Answers become rows, and rows values, or it is told that they are none: nobody goes on with half of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

from db_client import rqlite
from db_client.errors import OutcomeUnknown, ServiceUnavailable
from db_client.rows import number, values_of


class Inner(NamedTuple):
    at: int | None


class Outer(NamedTuple):
    seq: int
    name: str
    inner: Inner


@dataclass(frozen=True)
class Place:
    guild_id: int
    afk: bool


def outer(row: Mapping[str, Any]) -> Outer:
    return Outer(row["seq"], row["name"], Inner(row["at"]))


def place(row: Mapping[str, Any]) -> Place:
    return Place(**row)


def test_rows_that_were_asked_for():
    """Each is what it is said to be, null where that may be."""
    assert values_of([{"seq": 1, "name": "a", "at": None}], outer) == [Outer(1, "a", Inner(None))]
    assert values_of([{"guild_id": 2**62, "afk": True}], place) == [Place(2**62, True)]
    assert values_of([{"seq": 3}, {"seq": 4}], number("seq")) == [3, 4]
    assert values_of([], place) == []


@pytest.mark.parametrize(
    ("row", "make"),
    [
        ({}, outer),
        ({"seq": 1, "name": "a"}, outer),
        ({"seq": None, "name": "a", "at": 1}, outer),
        ({"seq": "1", "name": "a", "at": 1}, outer),
        ({"seq": 1.0, "name": "a", "at": 1}, outer),
        ({"seq": True, "name": "a", "at": 1}, outer),
        ({"seq": 1, "name": None, "at": 1}, outer),
        ({"seq": 1, "name": "a", "at": "1"}, outer),
        ({"seq": 1, "name": "a", "at": [1]}, outer),
        ({"guild_id": 1}, place),
        ({"guild_id": 1, "afk": 0}, place),
        ({"guild_id": 1, "afk": False, "more": 1}, place),
        ({"seq": None}, number("seq")),
        ({"other": 1}, number("seq")),
        (None, number("seq")),
    ],
)
def test_rows_that_are_none(row: Any, make: Callable[[Mapping[str, Any]], Any]):
    """Whatever answered may answer otherwise the next time."""
    with pytest.raises(ServiceUnavailable) as caught:
        values_of([row], make)
    assert caught.value.cause == "garbage"


@pytest.mark.parametrize("element", [{}, {"rows": None}, {"rows": {}}, {"rows": [7]}, {"rows": [[1]]}, {"rows": 1}])
def test_an_element_that_holds_no_rows(element: dict[str, Any]):
    """A question's answer has rows, be they none: https://rqlite.io/docs/api/api/#associative-response-form ."""
    assert rqlite.rows_of([{"rows": []}, {"rows": [{"a": 1}]}]) == [[], [{"a": 1}]]
    with pytest.raises(ServiceUnavailable):
        rqlite.rows_of([{"rows": []}, element])


@pytest.mark.parametrize(
    "element",
    [{"columns": 1, "values": [[1]]}, {"columns": ["a"], "values": [[1, 2]]}, {"columns": ["a"], "values": 1}],
)
def test_returned_rows_that_are_none(element: dict[str, Any]):
    """The write stands, perhaps: it is sent again, which is harmless."""
    with pytest.raises(OutcomeUnknown):
        rqlite.returned([element])
