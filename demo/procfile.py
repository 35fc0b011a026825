"""The Procfile as a value: which programs there are, and the command of each. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE = re.compile(r"(?P<name>[A-Za-z0-9_-]+):\s*(?P<command>.+)")


class Malformed(ValueError):
    """A line of the Procfile is neither `name: command`, nor a comment, nor empty."""


@dataclass(frozen=True)
class Entry:
    """One line of the Procfile: a program's name and the shell command that runs it."""

    name: str
    command: str


def parse(text: str) -> list[Entry]:
    """The programs in the order of the file; raises Malformed with the line's number.

    The format is Foreman's: https://ddollar.github.io/foreman/#PROCFILE
    """
    entries: list[Entry] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise Malformed(f"Procfile, line {number}: expected 'name: command', found {line.strip()!r}")
        if match["name"] in {entry.name for entry in entries}:
            raise Malformed(f"Procfile, line {number}: a second program named {match['name']!r}")
        entries.append(Entry(match["name"], match["command"]))
    return entries
