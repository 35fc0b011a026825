"""Checks of JSON bodies, with problems in the shape that Discord reports them.

https://discord.com/developers/docs/reference#error-messages
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Path = tuple[str, ...]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, where it is, and Discord's code for it."""

    path: Path
    code: str
    message: str

    def __str__(self) -> str:
        return f"{'.'.join(self.path) or 'body'}: {self.message} ({self.code})"


class Form:
    """Collects problems. Each check returns the value when it is present and in order, else None."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def wrong(self, path: Path, code: str, message: str) -> None:
        """Notes a problem."""
        self.problems.append(Problem(path, code, message))

    def string(
        self, holder: dict[str, Any], key: str, path: Path, *, least: int = 1, most: int, required: bool = False
    ) -> str | None:
        """A text of `least` to `most` characters."""
        value = self._typed(holder, key, path, str, "Could not interpret value as string.", required)
        if value is None:
            return None
        if not least <= len(value) <= most:
            self.wrong((*path, key), "BASE_TYPE_BAD_LENGTH", f"Must be between {least} and {most} in length.")
            return None
        return str(value)

    def integer(
        self,
        holder: dict[str, Any],
        key: str,
        path: Path,
        *,
        choices: Iterable[int] | None = None,
        required: bool = False,
    ) -> int | None:
        """A whole number (true and false are none), one of `choices` if given."""
        value = self._typed(holder, key, path, int, f'Value "{holder.get(key)}" is not int.', required)
        if value is None:
            return None
        if choices is not None and value not in (allowed := list(choices)):
            self.wrong((*path, key), "BASE_TYPE_CHOICES", f"Value must be one of {allowed}.")
            return None
        return int(value)

    def boolean(self, holder: dict[str, Any], key: str, path: Path) -> bool | None:
        """True or false."""
        value = self._typed(holder, key, path, bool, "Must be either true or false.", required=False)
        return None if value is None else bool(value)

    def items(
        self, holder: dict[str, Any], key: str, path: Path, *, least: int = 0, most: int, required: bool = False
    ) -> list[Any]:
        """A list of `least` to `most` things; [] when absent or wrong."""
        value = self._typed(holder, key, path, list, "Only iterables may be used in a ListType.", required)
        if value is None:
            return []
        if not least <= len(value) <= most:
            self.wrong((*path, key), "BASE_TYPE_BAD_LENGTH", f"Must be between {least} and {most} in length.")
            return []
        return list(value)

    def mapping(self, value: Any, path: Path) -> dict[str, Any] | None:
        """A JSON object."""
        if isinstance(value, dict):
            return value
        self.wrong(path, "MODEL_TYPE_CONVERT", "Only dictionaries may be used in a ModelType.")
        return None

    def snowflake(self, holder: dict[str, Any], key: str, path: Path, *, required: bool = False) -> str | None:
        """A snowflake in decimal, as text."""
        value = self._typed(holder, key, path, str, "Value is not snowflake.", required)
        if value is None:
            return None
        if not (value.isascii() and value.isdigit() and int(value) < 2**63):
            self.wrong((*path, key), "NUMBER_TYPE_COERCE", f'Value "{value}" is not snowflake.')
            return None
        return str(value)

    def _typed(
        self, holder: dict[str, Any], key: str, path: Path, kind: type, message: str, required: bool
    ) -> Any | None:
        value = holder.get(key)
        if value is None:
            if required:
                self.wrong((*path, key), "BASE_TYPE_REQUIRED", "This field is required")
            return None
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            self.wrong((*path, key), f"{kind.__name__.upper()}_TYPE_CONVERT", message)
            return None
        return value


def nested(problems: Iterable[Problem]) -> dict[str, Any]:
    """The `errors` object of an "Invalid Form Body" answer."""
    tree: dict[str, Any] = {}
    for problem in problems:
        node = tree
        for step in problem.path:
            node = node.setdefault(step, {})
        node.setdefault("_errors", []).append({"code": problem.code, "message": problem.message})
    return tree


def invalid_form_body(problems: Iterable[Problem]) -> dict[str, Any]:
    """The body of a 400: code 50035."""
    return {"message": "Invalid Form Body", "code": 50035, "errors": nested(problems)}
