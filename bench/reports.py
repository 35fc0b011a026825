"""Each report over signed HTTP, at a million and at ten million sessions, beside the same SQL directly on the file."""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from bench.figures import Figure, Row, at_most, percentile, quantity
from bench.interactions import KEY
from bench.load import post, send_all
from bench.programs import Fleet, gunicorn
from bench.reports_data import END, LARGEST_GUILD, TYPICAL_GUILD, fill
from db_client.snowflake import earliest
from db_client.statements import Statement
from interactions_api.commands import BY_NAME
from interactions_api.commands.definition import CHANNEL, USER
from interactions_api.interaction import Command, parse
from interactions_api.plan import Plan, Rows
from interactions_api.words import Catalogues
from tests.services import start_embedded

SIZES = (1_000_000, 10_000_000)
GUILDS = {"typical": TYPICAL_GUILD, "largest": LARGEST_GUILD}
LIMITS_MS = {"typical": 250.0, "largest": 1000.0}
PERIODS = ("today", "this_month", "this_year", "all")
ASKED = 10
"""How often a round asks for each period."""
GROWTH = 1.3

_ids = itertools.count(1)
WORDS = Catalogues.load().default


@dataclass(frozen=True)
class Timed(Figure):
    """A figure with a goal in its own unit."""

    limit: float = float("inf")

    @property
    def missed(self) -> bool:
        """True if our median is not below the limit."""
        return self.ours >= self.limit

    def cells(self) -> tuple[str, ...]:
        """The figure as one row of the table."""
        goal = "" if self.limit == float("inf") else f"< {quantity(self.limit)} ms"
        return (*super().cells()[:5], goal, ("MISSED" if self.missed else "met") if goal else "")


@dataclass(frozen=True)
class Report:
    """A command as the busiest person of a guild uses it, in each period if it has periods."""

    name: str
    command: str
    guild_id: int
    user_id: int
    options: dict[str, tuple[int, object]]
    periods: Sequence[str]

    def interactions(self) -> Iterator[dict[str, Any]]:
        """One for each period."""
        for period in self.periods or [None]:
            given = {**self.options, **({"period": (3, period)} if period else {})}
            yield _interaction(self.command, self.guild_id, self.user_id, given)


def figures(folder: Path, *, scale: float, rounds: int) -> Iterator[Row]:
    """Median and 99th percentile of each report in each guild, and how much a typical guild's grows with the rest."""
    of_size: dict[int, dict[tuple[str, str], list[tuple[list[float], list[float]]]]] = {}
    for size in (int(size * scale) for size in SIZES):
        of_size[size] = taken = {}
        file = _file(folder, size, keep=scale >= 1)
        with start_embedded(folder / str(size), SQLITE_FILE=str(file)) as service, Fleet(folder) as fleet:
            variables = {
                "DISCORD_PUBLIC_KEY": KEY.verify_key.encode().hex(),
                "SQLITE_SERVICE_URL": service.url,
                "QUEUE_FILE": str(folder / f"queue-{size}.db"),
            }
            url = gunicorn(fleet, f"reports-{size}", "interactions_api.app:create_app", variables)
            connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
            for guild, guild_id in GUILDS.items():
                for report in _reports(connection, guild_id):
                    _over_http(url, report, 1), _directly(connection, report, 1)  # warm
                    taken[guild, report.name] = [
                        (_over_http(url, report, ASKED), _directly(connection, report, ASKED)) for _ in range(rounds)
                    ]
            connection.close()
        for (guild, name), pairs in taken.items():
            for what, share in (("p50", 0.5), ("p99", 0.99)):
                in_ms = [(1e3 * percentile(ours, share), 1e3 * percentile(floor, share)) for ours, floor in pairs]
                limit = LIMITS_MS[guild] if what == "p99" and size == int(SIZES[-1] * scale) else float("inf")
                yield Timed(f"{name}, {guild} of {size:,}, {what}", "ms", in_ms, limit=limit)
    small, large = of_size.values()
    for (guild, name), pairs in large.items():
        if guild == "typical":
            before = small[guild, name]
            grown = [
                (1e3 * percentile(now[0], 0.5), 1e3 * percentile(then[0], 0.5))
                for now, then in zip(pairs, before, strict=True)
            ]
            yield Figure(f"{name}, typical: everyone else's data tenfold / not", "ms", grown, at_most(GROWTH))


def _file(folder: Path, sessions: int, *, keep: bool) -> Path:
    """A prepared file of that size; a full-sized one is kept below `data/` for the next time."""
    place = folder.parent / "reports" if keep else folder
    place.mkdir(exist_ok=True)
    file = place / f"{sessions}.db"
    if not file.exists():
        making = file.with_suffix(".making")
        making.unlink(missing_ok=True)
        print(f"making {sessions:,} sessions ...", file=sys.stderr, flush=True)
        fill(making, sessions, min(5_000, max(20, sessions // 200)), seed=1)
        making.rename(file)
    return file


def _reports(connection: apsw.Connection, guild_id: int) -> list[Report]:
    """What is asked in a guild, by its busiest person, about its busiest channel."""
    user, channel = (
        connection.execute(
            f"SELECT {column} FROM voice_totals WHERE guild_id = ? GROUP BY 1 ORDER BY sum(counted_ms) DESC LIMIT 1",
            (guild_id,),
        ).get
        for column in ("user_id", "channel_id")
    )
    # The one with the most time of those who show it, from some day on.
    other = connection.execute(
        "SELECT t.user_id FROM voice_totals AS t JOIN visible_on AS v USING (user_id, guild_id)"
        " WHERE t.guild_id = ? AND v.shown_from > 0 GROUP BY 1 ORDER BY sum(t.counted_ms) DESC LIMIT 1",
        (guild_id,),
    ).get
    return [
        Report("voice_time", "voice_time", guild_id, user, {}, PERIODS),
        Report("voice_time of another", "voice_time", guild_id, user, {"member": (6, str(other))}, PERIODS),
        Report("sessions", "sessions", guild_id, user, {}, PERIODS),
        Report("leaderboard", "leaderboard", guild_id, user, {}, PERIODS),
        Report("leaderboard of a channel", "leaderboard", guild_id, user, {"channel": (7, str(channel))}, PERIODS),
        Report("together", "together", guild_id, user, {}, ()),
        Report("channel_time", "channel_time", guild_id, user, {}, PERIODS),
    ]


def _over_http(url: str, report: Report, times: int) -> list[float]:
    """Seconds of each answer. One that came too late for a report says so, and counts with the time that it took."""
    requests = [_signed(url, interaction) for _ in range(times) for interaction in report.interactions()]
    load = send_all(url, requests, 1)
    if set(load.statuses) != {200} or "content" not in json.loads(load.last_body).get("data", {}):
        raise RuntimeError(f"/{report.command} was not answered: {load.statuses}, the last: {load.last_body[:300]!r}")
    return load.latencies


def _directly(connection: apsw.Connection, report: Report, times: int) -> list[float]:
    """Seconds that the SQL of each answer takes without HTTP, in this process."""
    seconds = []
    for _ in range(times):
        for interaction in report.interactions():
            command = parse(json.dumps(interaction).encode())
            assert isinstance(command, Command)
            plan = BY_NAME[report.command].handle(command, WORDS)
            taken = 0.0
            while isinstance(plan, Plan):
                started = time.perf_counter()
                answers = [_rows(connection, question) for question in plan.questions]
                taken += time.perf_counter() - started
                plan = plan.stored(answers)  # type: ignore[assignment]
            seconds.append(taken)
    return seconds


def _rows(connection: apsw.Connection, question: Statement) -> Rows:
    cursor = connection.execute(question.sql, question.parameters)
    names: list[str] = []
    rows = []
    for row in cursor:
        names = names or [column[0] for column in cursor.get_description()]
        rows.append(dict(zip(names, row, strict=True)))
    return rows


def _signed(url: str, interaction: dict[str, Any]) -> bytes:
    body = json.dumps(interaction).encode()
    timestamp = str(int(time.time()))
    signature = KEY.sign(timestamp.encode() + body).signature.hex()
    return post(url, body, {"X-Signature-Ed25519": signature, "X-Signature-Timestamp": timestamp})


def _interaction(command: str, guild_id: int, user_id: int, options: dict[str, tuple[int, object]]) -> dict[str, Any]:
    """A command used at the end of the last day of the data: its id says when, and the periods follow from that."""
    return {
        "id": str(earliest(END - 60_000) + next(_ids)),
        "application_id": "1180000000000000009",
        "type": 2,
        "token": "a" * 200,
        "version": 1,
        "guild_id": str(guild_id),
        "channel_id": "1",
        "context": 0,
        "locale": "en-US",
        "member": {"user": {"id": str(user_id), "username": "name", "global_name": "Name"}, "permissions": "0"},
        "data": {
            "id": "9",
            "type": 1,
            "name": command,
            "options": [{"name": name, "type": kind, "value": value} for name, (kind, value) in options.items()],
            "resolved": {
                "members": {str(value): {} for _, (kind, value) in options.items() if kind == USER},
                "channels": {
                    str(value): {"name": "A channel"} for _, (kind, value) in options.items() if kind == CHANNEL
                },
            },
        },
    }
