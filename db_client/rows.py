"""Rows of an answer as values: what has not the shape that was asked for is told before anybody takes it for one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, TypeVar, get_args, get_type_hints

from db_client.errors import ServiceUnavailable

T = TypeVar("T")


def values_of(rows: Iterable[Mapping[str, Any]], make: Callable[[Mapping[str, Any]], T]) -> list[T]:
    """What `make` gives for each row: a named tuple or a dataclass, whose fields are of the types that it names.

    Raises ServiceUnavailable if a row is none: a column is missing, a number is a text or null. Whatever answered, it
    may answer otherwise the next time.
    """
    try:
        values = [make(row) for row in rows]
        for value in values:
            _check(value)
    except (LookupError, TypeError, ValueError, AttributeError) as problem:
        raise ServiceUnavailable("garbage", "the rows are not those that were asked for") from problem
    return values


def number(name: str) -> Callable[[Mapping[str, Any]], int]:
    """Makes the column of that name of a row, which must be a whole number."""

    def of(row: Mapping[str, Any]) -> int:
        value = row[name]
        if type(value) is not int:
            raise TypeError(name)
        return value

    return of


def _check(value: Any) -> None:
    for name, types in _fields(type(value)):  # type: ignore[arg-type]  # a class is hashable
        field = getattr(value, name)
        if type(field) not in types:
            raise TypeError(name)
        if isinstance(field, tuple):
            _check(field)


@cache
def _fields(kind: type) -> tuple[tuple[str, frozenset[type]], ...]:
    """The fields of a named tuple or a dataclass, and of which types each may be."""
    names = getattr(kind, "_fields", None) or getattr(kind, "__dataclass_fields__", {})
    hints = get_type_hints(kind)
    return tuple((name, frozenset(get_args(hints[name]) or (hints[name],))) for name in names)
