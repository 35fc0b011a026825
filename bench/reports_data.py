"""A seeded service file of any size for `bench/reports`: `python -m bench.reports_data FILE --sessions 1000000`.

One guild holds a tenth of all sessions, one holds 10,000 a month (the same ones at every size), the others share the
rest. Sessions are written in the order of their starts, as a listener would have; nobody sits twice. Indexes, triggers
and rollups are made afterwards, from the real schema files, so ten million sessions take minutes.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import apsw

from db_client.migrations import CREATE_TABLE
from db_client.record_statements import statements_for
from db_client.records import TotalsRebuild
from db_client.snowflake import earliest

DAY = 86_400_000
DAYS = 730
END = 1_795_305_600_000  # 2026-11-22T00:00:00Z; the data's last day
LARGEST_GUILD, TYPICAL_GUILD = earliest(END - 3000 * DAY), earliest(END - 2900 * DAY)
TYPICAL_SESSIONS, TYPICAL_PEOPLE = 10_000 * 24, 800
SCHEMA = Path(__file__).parents[1] / "db_client" / "schema"


@dataclass
class GuildPlan:
    """How much happens in one guild, and until when each of its people sits."""

    guild_id: int
    sessions: int
    people: list[int]
    channels: list[int]
    seed: int

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.free_from = dict.fromkeys(self.people, 0)
        self.count = 0

    def day(self, first: int, number: int) -> Iterator[tuple[object, ...]]:
        """The sessions that begin on the day at `first`, `number` of them, never two at once for a person."""
        choose = self.random
        for _ in range(number):
            # Few people are there often and many seldom.
            user = self.people[int(len(self.people) * choose.random() ** 3)]
            # Nearly always one of the person's own three.
            favourite = (
                (user >> 22) * 7 + choose.randrange(3) * 11 if choose.random() < 0.9 else choose.randrange(10**6)
            )
            channel = self.channels[favourite % len(self.channels)]
            # Evenings are busiest.
            begins = first + int(DAY * (1 - choose.random() ** 2))
            begins = max(begins, self.free_from[user])
            length = int(choose.lognormvariate(14.5, 1.3)) % (3 * DAY)
            self.free_from[user] = begins + length + 1000
            self.count += 1
            afk = int(channel == self.channels[-1])
            yield (
                f"{self.guild_id:x}.{self.count:x}", self.guild_id, channel, user, begins, begins + length,
                "joined", "left", 0, 0, afk, length // 4, length // 16, 0, 0, 0, begins + length, 2,
            )  # fmt: skip


def plans(sessions: int, guilds: int, seed: int) -> list[GuildPlan]:
    """Who is where how often; the typical guild is the same at every size."""
    choose = random.Random(seed)
    ids = iter(range(earliest(END - 2000 * DAY), 2**62, 4_194_304))

    def plan(guild_id: int, count: int, people: int, channels: int) -> GuildPlan:
        return GuildPlan(
            guild_id, count, [next(ids) for _ in range(people)], [next(ids) for _ in range(channels)], guild_id
        )

    typical = min(TYPICAL_SESSIONS, sessions // 2)
    made = [plan(TYPICAL_GUILD, typical, TYPICAL_PEOPLE, 20)]
    made.append(plan(LARGEST_GUILD, sessions // 10, max(200, sessions // 500), 120))
    rest = sessions - typical - sessions // 10
    weights = [choose.paretovariate(1.5) for _ in range(guilds - 2)]
    total = sum(weights)
    for weight in weights:
        count = max(1, int(rest * weight / total))
        made.append(plan(next(ids), count, max(3, count // 60), 4 + min(40, count // 500)))
    return made


def rows(guilds: list[GuildPlan]) -> Iterator[tuple[object, ...]]:
    """All sessions, day by day."""
    for number in range(DAYS):
        first = END - (DAYS - number) * DAY
        for guild in guilds:
            share = guild.sessions * (number + 1) // DAYS - guild.sessions * number // DAYS
            yield from guild.day(first, share)


def choices(user: int, guild_id: int) -> list[tuple[int, int, int, int | None]]:
    """Of six people two keep it to themselves, two show all of it to the guild, two show it from some day on."""
    number = user // 4_194_304
    if number % 3 == 0:
        return []
    shown_from = 0 if number % 2 else END - number * 7919 % DAYS * DAY
    return [(user, guild_id, user, shown_from), (user, 0, user, None)]


def fill(file: Path, sessions: int, guilds: int, seed: int) -> None:
    """Makes the file, with the real schema, and prints how long each step took."""
    started = time.monotonic()
    connection = apsw.Connection(str(file))
    for pragma in ("journal_mode = off", "synchronous = off", "cache_size = -2000000", "temp_store = memory"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    connection.execute(CREATE_TABLE.sql)
    for number, script in enumerate(sorted(SCHEMA.glob("*.sql")), 1):
        connection.execute(script.read_text())
        connection.execute("INSERT INTO schema_migrations VALUES (?, ?, ?)", (number, script.stem[5:], END))
    later = connection.execute(
        "SELECT type, name, sql FROM sqlite_schema WHERE tbl_name = 'voice_sessions' AND type IN ('index', 'trigger')"
        " AND sql IS NOT NULL"
    ).fetchall()
    connection.execute("BEGIN")
    for kind, name, _ in later:
        connection.execute(f"DROP {kind} {name}")
    made = plans(sessions, guilds, seed)
    for guild in made:
        connection.execute("INSERT INTO guilds (guild_id, name, revision) VALUES (?, 'A guild', 1)", (guild.guild_id,))
        connection.executemany(
            "INSERT INTO channels (channel_id, guild_id, name, kind, revision) VALUES (?, ?, 'A channel', 2, 1)",
            ((channel, guild.guild_id) for channel in guild.channels),
        )
        connection.executemany(
            "INSERT INTO opt_in_users VALUES (?, 'name', 'Name', NULL, 1, ?, ?)",
            ((user, END - 731 * DAY, user) for user in guild.people),
        )
        connection.executemany(
            "INSERT INTO visible_on (user_id, guild_id, version, shown_from) VALUES (?, ?, ?, ?)",
            (row for user in guild.people for row in choices(user, guild.guild_id)),
        )
        connection.executemany(
            "INSERT INTO consent_log (interaction_id, user_id, decision, at) VALUES (?, ?, 'in', ?)",
            ((user, user, END - 731 * DAY) for user in guild.people),
        )
    connection.executemany("INSERT INTO voice_sessions VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", rows(made))
    print(f"sessions {time.monotonic() - started:.0f} s")
    for _, name, sql in sorted(later):
        connection.execute(sql)
        print(f"{name} {time.monotonic() - started:.0f} s")
    for guild in made:
        for statement in statements_for(TotalsRebuild(guild.guild_id)):
            connection.execute(statement.sql, statement.parameters)
    connection.execute("COMMIT")
    print(f"done {time.monotonic() - started:.0f} s, {file.stat().st_size / 2**30:.2f} GiB")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("file", type=Path)
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--guilds", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    fill(arguments.file, arguments.sessions, arguments.guilds, arguments.seed)


if __name__ == "__main__":
    main()
