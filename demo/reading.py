"""What the demo reads from the SQLite service. Pure: statements, and rows as values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from db_client.reading_statements import guild_mark
from db_client.statements import Statement
from demo.check import Stored

EVERYTHING = Statement(
    "SELECT user_id, guild_id, channel_id, started_at, ended_at, started_by, ended_by, started_within_ms,"
    " ended_within_ms FROM voice_sessions ORDER BY started_at, user_id",
    {},
)

_NAMED = f"""
SELECT s.session_id AS session_id, s.user_id AS user_id, s.channel_id AS channel_id, s.started_at AS started_at,
       s.ended_at AS ended_at, s.started_by AS started_by, s.ended_by AS ended_by, u.display_name AS person,
       coalesce(g.name, s.guild_id) AS guild, coalesce(c.name, s.channel_id) AS channel,
       {guild_mark("s.guild_id")} AS mark
  FROM voice_sessions AS s
  JOIN opt_in_users AS u ON u.user_id = s.user_id
  LEFT JOIN guilds AS g ON g.guild_id = s.guild_id
  LEFT JOIN channels AS c ON c.channel_id = s.channel_id
"""  # noqa: S608

OPEN = Statement(f"{_NAMED} WHERE s.ended_at IS NULL ORDER BY guild, channel, s.started_at LIMIT 500", {})


def these(session_ids: Iterable[str]) -> Statement:
    """The sessions with those ids, as OPEN gives them."""
    return Statement(
        f"{_NAMED} WHERE s.session_id IN (SELECT value FROM json_each(:ids))",  # noqa: S608
        {"ids": json.dumps(list(session_ids))},
    )


@dataclass(frozen=True)
class Session:
    """A stored voice session with the names of the person, the guild and the channel, and the guild's mark."""

    session_id: str
    user_id: int
    channel_id: int
    started_at: int
    ended_at: int | None
    started_by: str
    ended_by: str | None
    person: str
    guild: str
    channel: str
    mark: int


def sessions(rows: Sequence[Mapping[str, Any]]) -> list[Session]:
    """The rows of OPEN or `these` as values."""
    return [Session(**{**row, "guild": str(row["guild"]), "channel": str(row["channel"])}) for row in rows]


def stored(rows: Sequence[Mapping[str, Any]]) -> list[Stored]:
    """The rows of EVERYTHING as values."""
    return [Stored(**row) for row in rows]
