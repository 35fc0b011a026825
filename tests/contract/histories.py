"""Random lives of one person, and what must be stored of them: the model that the statements are held to."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from db_client import migrations
from db_client.record_statements import statements_for
from db_client.records import ConsentDecision, Record, VoiceSession
from db_client.snowflake import earliest
from db_client.statements import Statement as ClientStatement
from sqlite_service.connection import Connection
from sqlite_service.request import Statement
from sqlite_service.response import Failure, Rows

START = 1_780_000_000_000
FOREVER = 2**63 - 1
PERSON, GUILD = 71, 72
GUILDS = (GUILD, 73)

INTERVALS = ClientStatement(
    "SELECT version, from_at, to_at FROM consent_intervals WHERE user_id = :user_id ORDER BY version",
    {"user_id": PERSON},
)
STANDING = ClientStatement(
    "SELECT username, opted_in, since, version FROM opt_in_users WHERE user_id = :user_id",
    {"user_id": PERSON},
)
VISIBLE = ClientStatement(
    "SELECT guild_id, version, shown_from FROM visible_on WHERE user_id = :user_id ORDER BY guild_id, version",
    {"user_id": PERSON},
)
ROWS = ClientStatement("SELECT * FROM voice_sessions ORDER BY user_id, guild_id, started_at, session_id", {})
TOTALS = ClientStatement("SELECT * FROM voice_totals ORDER BY 1, 2, 3, 4", {})
TOTALS_OF_SESSIONS = ClientStatement(
    "SELECT guild_id, block, channel_id, user_id, sum(sessions), sum(counted_ms), sum(afk_ms) FROM session_shares"
    " GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
    {},
)
SESSIONS = ClientStatement(
    "SELECT session_id, started_at, ended_at FROM voice_sessions WHERE user_id = :user_id ORDER BY started_at",
    {"user_id": PERSON},
)


class Memory:
    """The service's own connection on a database in memory, with our schema: fast enough for many examples."""

    def __init__(self) -> None:
        self._connection = Connection(Path(":memory:"), read_only=False)
        for migration in migrations.load():
            for sql in migration.statements:
                self._run(Statement(sql))

    def _run(self, statement: Statement) -> Any:
        outcome = self._connection.run(statement, deadline=float("inf"), rows_of_reads=True)
        assert not isinstance(outcome, Failure), f"{outcome.error} in {statement}"
        return outcome

    def deliver(self, records: Iterable[Record]) -> None:
        """Each record in a transaction of its own; a refused statement fails the test."""
        for record in records:
            self._connection.control("BEGIN")
            for sql, parameters in statements_for(record):
                self._run(Statement(sql, dict(parameters)))
            self._connection.control("COMMIT")

    def rows(self, statement: ClientStatement) -> list[tuple[Any, ...]]:
        """What a read gives."""
        outcome = self._run(Statement(statement.sql, dict(statement.parameters)))
        assert isinstance(outcome, Rows)
        return outcome.values

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.raw.close()


@st.composite
def decisions(draw: st.DrawFn, *, most: int = 7, erase: bool = True) -> list[ConsentDecision]:
    """Decisions of one person in the order of their snowflakes; several may fall into one millisecond."""
    kinds = ["in", "in", "out", "erase"] if erase else ["in", "out"]
    moments = sorted(draw(st.lists(st.integers(0, 60), max_size=most)))
    return [
        ConsentDecision(
            interaction_id=earliest(START + moment) + number,
            user_id=PERSON,
            decision=draw(st.sampled_from(kinds)),
            username=f"name {number}",
            display_name=f"display {number}",
            visibility=draw(st.sampled_from([None, "only_me", "server", "everywhere"])),
            guild_id=draw(st.sampled_from(GUILDS)),
            show_past=draw(st.booleans()),
        )
        for number, moment in enumerate(moments)
    ]


@st.composite
def sessions(draw: st.DrawFn, *, most: int = 5) -> list[VoiceSession]:
    """Sessions as one or two listeners report them: some open, some in several revisions, some overlapping."""
    reports = []
    for number in range(draw(st.integers(0, most))):
        started = draw(st.integers(0, 60))
        length = draw(st.none() | st.integers(0, 30))
        told_open_first = length is None or draw(st.booleans())
        states = draw(st.tuples(*[st.integers(0, 30)] * 4))
        if told_open_first:
            reports.append(_session(number, started, None, (0, 0, 0, 0), revision=1))
        if length is not None:
            ended = started + length
            reports.append(_session(number, started, ended, tuple(min(ms, length) for ms in states), revision=2))
            if draw(st.integers(0, 9)) == 0:  # it goes on after all
                reports.append(_session(number, started, None, (0, 0, 0, 0), revision=3))
    return reports


def _session(number: int, started: int, ended: int | None, states: tuple[int, ...], *, revision: int) -> VoiceSession:
    return VoiceSession(
        session_id=f"s{number}",
        guild_id=GUILD,
        channel_id=80 + number,
        user_id=PERSON,
        started_at=START + started,
        started_by="joined",
        started_within_ms=0,
        revision=revision,
        ended_at=None if ended is None else START + ended,
        ended_by=None if ended is None else "left",
        ended_within_ms=None if ended is None else 0,
        muted_ms=states[0],
        deafened_ms=states[1],
        video_ms=states[2],
        stream_ms=states[3],
        flags_at=START + started,
    )


def visible(history: list[ConsentDecision]) -> dict[int, int | None]:
    """For each guild (0: every one) from when on the time is shown by what was chosen there, None: hidden."""
    chosen: dict[int, int | None] = {}
    for decision in sorted(history, key=lambda decision: decision.interaction_id):
        if decision.decision == "erase":
            chosen.clear()
        if decision.decision != "in" or decision.visibility is None or decision.guild_id is None:
            continue
        from_at = 0 if decision.show_past else decision.at
        for guild, shows in ((decision.guild_id, decision.visibility != "only_me"),
                             (0, decision.visibility == "everywhere")):  # fmt: skip
            before = chosen.get(guild)
            chosen[guild] = (from_at if before is None else min(before, from_at)) if shows else None
    return chosen


def consented(history: list[ConsentDecision]) -> list[tuple[int, int]]:
    """From when to when the newest decision was `in`, by the decisions alone; an erasure forgets all before it."""
    intervals: list[tuple[int, int]] = []
    begun: int | None = None
    for decision in sorted(history, key=lambda decision: decision.interaction_id):
        if decision.decision == "in":
            begun = decision.at if begun is None else begun
        else:
            if begun is not None:
                intervals.append((begun, decision.at))
            begun = None
            if decision.decision == "erase":
                intervals.clear()
    return intervals if begun is None else [*intervals, (begun, FOREVER)]
