"""Discord's nested error bodies as lines that name the field, the rule and the command. Pure.

https://discord.com/developers/docs/reference#error-messages
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any


def explained(body: Any, definitions: Sequence[dict[str, Any]]) -> list[str]:
    """One line for each failing field of a refused list of definitions; at least one line whatever the body is."""
    if not isinstance(body, dict):
        return ["Discord's answer holds no explanation"]
    errors = body.get("errors")
    lines = list(_lines(errors, definitions, "")) if isinstance(errors, dict) else []
    return lines or [f"{body.get('message', 'no message')} (code {body.get('code', 'unknown')})"]


def _lines(errors: dict[str, Any], definitions: Any, where: str) -> Iterator[str]:
    for key, inner in errors.items():
        if key == "_errors" and isinstance(inner, list):
            for error in inner:
                yield f"{where or 'the request'}: {error.get('message')} ({error.get('code')})"
        elif isinstance(inner, dict):
            part = _part(definitions, key)
            yield from _lines(inner, part, _place(where, key, part))


def _part(definitions: Any, key: str) -> Any:
    if isinstance(definitions, list) and key.isdecimal() and int(key) < len(definitions):
        return definitions[int(key)]
    return definitions.get(key) if isinstance(definitions, dict) else None


def _place(where: str, key: str, part: Any) -> str:
    """`opt_in.options.visibility.description`: numbers become the names of what stands there."""
    name = part.get("name", key) if isinstance(part, dict) and key.isdecimal() else key
    return f"{where}.{name}" if where else str(name)
