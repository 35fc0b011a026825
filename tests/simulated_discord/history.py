"""The record of everything that happened, in order, with the simulated Discord's own clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

Entry = dict[str, Any]


class History:
    """Entries `{"n", "at", "kind", ...}`; `n` counts from 1, `at` is in ms."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self.entries: list[Entry] = []

    def add(self, kind: str, **fields: Any) -> Entry:
        """Writes one entry, stamped now."""
        entry = {"n": len(self.entries) + 1, "at": self._clock(), "kind": kind, **fields}
        self.entries.append(entry)
        return entry

    def after(self, n: int) -> list[Entry]:
        """The entries that came after entry `n`."""
        return self.entries[max(n, 0) :]


def stays(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """Who was where from when to when, in order of arrival; `ended_at` is None for who is still there.

    Mutes and the like do not end a stay; whether the bot was there, or was told, makes no difference.
    """
    found: list[dict[str, Any]] = []
    current: dict[tuple[int, int], dict[str, Any]] = {}
    for entry in entries:
        if entry["kind"] != "voice":
            continue
        key = (entry["guild_id"], entry["user_id"])
        stay = current.get(key)
        if stay is not None and stay["channel_id"] == entry["channel_id"]:
            continue
        if stay is not None:
            stay["ended_at"] = entry["at"]
            del current[key]
        if entry["channel_id"] is not None:
            current[key] = {
                "user_id": entry["user_id"],
                "guild_id": entry["guild_id"],
                "channel_id": entry["channel_id"],
                "started_at": entry["at"],
                "ended_at": None,
            }
            found.append(current[key])
    return found


def watches(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """When a listener was connected: from READY or RESUMED until the connection ended."""
    found: list[dict[str, Any]] = []
    current: dict[int, dict[str, Any]] = {}
    for entry in entries:
        if entry["kind"] != "session":
            continue
        if entry["what"] in ("ready", "resumed"):
            current[entry["connection"]] = {
                "shard": entry["shard"],
                "session_id": entry["session_id"],
                "started_at": entry["at"],
                "ended_at": None,
            }
            found.append(current[entry["connection"]])
        elif entry["what"] == "disconnected" and entry["connection"] in current:
            current.pop(entry["connection"])["ended_at"] = entry["at"]
    return found
