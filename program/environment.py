"""Settings from environment variables: every problem found is reported, by name, before anything starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

T = TypeVar("T")


class SettingsError(Exception):
    """Some settings are missing or malformed; `problems` holds one sentence for each, secrets left out."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class Environment:
    """Reads variables one by one, remembers what is wrong, and raises it all at once in `check`.

    An empty variable counts as unset: that is what `NAME=` in a `.env` file means to the person who left it so.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self.problems: list[str] = []

    def text(self, name: str, default: str | None = None, *, hint: str = "") -> str:
        """The variable's text, or the default; without either a problem is noted, with the hint, and '' returned."""
        value = self._variables.get(name, "").strip()
        if value:
            return value
        if default is None:
            self.problems.append(f"{name} is not set. {hint}".rstrip())
            return ""
        return default

    def parsed(self, name: str, parse: Callable[[str], T], default: T, *, hint: str) -> T:
        """The variable through `parse`, which raises ValueError for what it cannot take; unset gives the default."""
        value = self.text(name, "")
        if not value:
            return default
        try:
            return parse(value)
        except ValueError:
            self.problems.append(f"{name} is malformed: {hint}")
            return default

    def integer(self, name: str, default: int, *, least: int = 0, most: int = 2**63 - 1) -> int:
        """A whole number from `least` to `most`."""

        def parse(text: str) -> int:
            number = int(text)
            if not least <= number <= most:
                raise ValueError(text)
            return number

        return self.parsed(name, parse, default, hint=f"it takes a whole number from {least} to {most}.")

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        """One of a few words, in any case."""

        def parse(text: str) -> str:
            if text.lower() not in choices:
                raise ValueError(text)
            return text.lower()

        return self.parsed(name, parse, default, hint=f"it takes one of {', '.join(choices)}.")

    def check(self) -> None:
        """Raises SettingsError if anything read so far was missing or malformed."""
        if self.problems:
            raise SettingsError(self.problems)
