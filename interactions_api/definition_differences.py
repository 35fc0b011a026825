"""What publishing would change: our definitions beside those Discord has. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

Definition = dict[str, Any]

CHAT_INPUT = 1
ENTRY_POINT = 4
GLOBAL_ONLY = ("contexts", "integration_types")


def for_guild(definitions: Sequence[Definition]) -> list[Definition]:
    """The definitions as a guild's own commands, which know no contexts."""
    return [
        {field: value for field, value in definition.items() if field not in GLOBAL_ONLY} for definition in definitions
    ]


def entry_points(theirs: Sequence[Definition]) -> list[Definition]:
    """Commands that Discord made itself (for Activities) and does not let a bulk overwrite leave out."""
    return [command for command in theirs if command.get("type") == ENTRY_POINT]


def differences(ours: Sequence[Definition], theirs: Sequence[Definition]) -> list[str]:
    """One line a difference, none if publishing would change nothing: `+` comes, `-` goes, `~` changes."""
    wanted = {_key(command): command for command in ours}
    there = {_key(command): command for command in theirs}
    lines = [f"+ /{command['name']}" for key, command in wanted.items() if key not in there]
    lines += [f"- /{command['name']}" for key, command in there.items() if key not in wanted]
    for key in wanted.keys() & there.keys():
        lines += [f"~ /{wanted[key]['name']} {line}" for line in _changes(wanted[key], there[key], "")]
    return sorted(lines)


def _key(command: Definition) -> tuple[int, str]:
    return command.get("type", CHAT_INPUT), command["name"]


def _changes(ours: Any, theirs: Any, where: str) -> Iterator[str]:
    """Field by field. What we do not say is Discord's affair (ids, versions); what is empty may be missing."""
    if isinstance(ours, dict) and isinstance(theirs, dict) and not where.endswith("_localizations"):
        for field, value in ours.items():
            yield from _changes(value, theirs.get(field), f"{where}.{field}" if where else field)
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, (mine, yours) in enumerate(zip(ours, theirs, strict=True)):
            yield from _changes(mine, yours, f"{where}[{number}]")
    elif (ours or None) != (theirs or None):
        yield f"{where}: {_shown(theirs)} -> {_shown(ours)}"


def _shown(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)
