"""The .env file as a mapping. Pure."""

from __future__ import annotations

import re

_LINE = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=(?P<value>.*)")


class Malformed(ValueError):
    """A line of the .env file is neither `NAME=value`, nor a comment, nor empty."""


def parse(text: str) -> dict[str, str]:
    """The variables of a .env file; raises Malformed with the line's number, never with its content.

    `NAME=value`, `NAME="value"`, `NAME='value'`, with or without `export`; a comment starts a line, or follows a space
    behind a value without quotes. Nothing is expanded.
    """
    variables: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise Malformed(f".env, line {number}: expected NAME=value")
        variables[match["name"]] = _value(match["value"])
    return variables


def _value(text: str) -> str:
    text = text.strip()
    if text[:1] in ("'", '"'):
        quoted, closed, _ = text[1:].partition(text[0])
        return quoted if closed else text
    return re.sub(r"(^|\s+)#.*$", "", text)
