"""An in-memory file with the real schema, on which statements run as the service would run them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import apsw

from db_client.record_statements import statements_for
from db_client.records import Record
from db_client.statements import Statement

SCHEMA = Path(__file__).parents[2] / "db_client" / "schema"

GUILD = 10
DECIDED_AT = 1_500_000_000_000


@dataclasses.dataclass(frozen=True)
class Stay:
    """A stored voice session, with everything that a test does not speak of filled in."""

    user_id: int
    channel_id: int
    started_at: int
    ended_at: int | None
    afk: int = 0
    guild_id: int = GUILD
    muted_ms: int = 0
    deafened_ms: int = 0
    flags: int = 0
    flags_at: int = 0

    @property
    def session_id(self) -> str:
        return f"{self.guild_id}.{self.user_id}.{self.started_at}"


class ServiceFile:
    """What stands behind the SQLite service, without HTTP."""

    def __init__(self) -> None:
        self.connection = apsw.Connection(":memory:")
        for script in sorted(SCHEMA.glob("*.sql")):
            self.connection.execute(script.read_text("utf-8"))

    def rows(self, statement: Statement) -> list[dict[str, Any]]:
        """The rows of one statement, as dicts."""
        cursor = self.connection.execute(statement.sql, statement.parameters)
        names: list[str] = []
        rows = []
        for row in cursor:
            names = names or [column[0] for column in cursor.get_description()]
            rows.append(dict(zip(names, row, strict=True)))
        return rows

    def store(self, *records: Record) -> None:
        """The records, each in a transaction of its own, as delivery does it."""
        for record in records:
            with self.connection:
                for statement in statements_for(record):
                    self.connection.execute(statement.sql, statement.parameters)

    def seat(self, *stays: Stay) -> None:
        """Sessions put straight into the table."""
        self.connection.executemany(
            "INSERT INTO voice_sessions (session_id, guild_id, channel_id, user_id, started_at, ended_at, started_by,"
            " ended_by, started_within_ms, ended_within_ms, afk, muted_ms, deafened_ms, video_ms, stream_ms,"
            " flags, flags_at, revision)"
            " VALUES (?,?,?,?,?,?,'joined',?,0,?,?,?,?,0,0,?,?,1)",
            [
                (
                    s.session_id, s.guild_id, s.channel_id, s.user_id, s.started_at, s.ended_at,
                    None if s.ended_at is None else "left", None if s.ended_at is None else 0,
                    s.afk, s.muted_ms, s.deafened_ms, s.flags, s.flags_at,
                )
                for s in stays
            ],
        )  # fmt: skip

    def people(
        self,
        visible: Iterable[int] | Mapping[int, int],
        hidden: Iterable[int] = (),
        left: Iterable[int] = (),
    ) -> None:
        """Who opted in and lets the server see (from when on), who keeps it, and who let the server see but left."""
        since = visible if isinstance(visible, Mapping) else dict.fromkeys(visible, 0)
        for ids, opted_in in ((since, 1), (hidden, 1), (left, 0)):
            self.connection.executemany(
                "INSERT INTO opt_in_users VALUES (?, ?, ?, NULL, ?, ?, 1)",
                [(i, f"user{i}", f"Person {i}", opted_in, DECIDED_AT) for i in ids],
            )
        self.connection.executemany(
            "INSERT INTO visible_on (user_id, guild_id, version, shown_from) VALUES (?, ?, 1, ?)",
            [(i, g, at) for i, at in {**since, **dict.fromkeys(left, 0)}.items() for g in (GUILD, GUILD + 1)],
        )

    def totals(self) -> list[tuple[Any, ...]]:
        """All rows of voice_totals."""
        return self.connection.execute("SELECT * FROM voice_totals ORDER BY 1, 2, 3, 4").fetchall()

    def totals_of_sessions(self) -> list[tuple[Any, ...]]:
        """What voice_totals must hold, made anew from the sessions."""
        return self.connection.execute(
            "SELECT guild_id, block, channel_id, user_id, sum(sessions), sum(counted_ms), sum(afk_ms)"
            " FROM session_shares GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
        ).fetchall()
