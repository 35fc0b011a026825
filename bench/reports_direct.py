"""What each report costs directly on a file of `bench.reports_data`: `python -m bench.reports_direct FILE`."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from zoneinfo import ZoneInfo

import apsw

from bench.reports_data import END, LARGEST_GUILD, TYPICAL_GUILD
from db_client import report_statements as say
from db_client.periods import Period, Window, window_of
from db_client.report_cells import cells_of
from db_client.report_sums import channel_time
from db_client.statements import Statement

ZONE = ZoneInfo("America/New_York")
PERIODS = (Period.TODAY, Period.THIS_MONTH, Period.THIS_YEAR, Period.ALL)


def reports(guild_id: int, user_id: int, channel_id: int, window: Window) -> dict[str, Statement]:
    """One statement of each kind for the busiest person and channel."""
    return {
        "own_channels": say.own_channels(guild_id, user_id, window, seen_to=END),
        "own_sessions": say.own_sessions(guild_id, user_id, window, seen_to=END, limit=10),
        "leaderboard": say.leaderboard(guild_id, user_id, window, seen_to=END, limit=10),
        "leaderboard of channel": say.leaderboard(
            guild_id, user_id, window, seen_to=END, limit=10, channel_id=channel_id
        ),
        "together": say.together(guild_id, user_id, window, seen_to=END, limit=10),
        "own_alone": say.own_alone(guild_id, user_id, window, seen_to=END),
        "shown_channels": say.shown_channels(guild_id, user_id, window, seen_to=END),
        "channel_time": channel_time(guild_id, user_id, cells_of(window, END, ZONE), seen_to=END, limit=25),
    }


def measure(connection: apsw.Connection, statement: Statement, times: int) -> list[float]:
    """Milliseconds of each run, sorted."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        connection.execute(statement.sql, statement.parameters).fetchall()
        taken.append((time.perf_counter() - started) * 1000)
    return sorted(taken)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--plans", action="store_true", help="print the query plans instead")
    arguments = parser.parse_args()
    connection = apsw.Connection(str(arguments.file), flags=apsw.SQLITE_OPEN_READONLY)
    for name, guild_id in (("typical", TYPICAL_GUILD), ("largest", LARGEST_GUILD)):
        user_id = connection.execute(
            "SELECT user_id FROM voice_totals WHERE guild_id = ? GROUP BY 1 ORDER BY sum(counted_ms) DESC LIMIT 1",
            (guild_id,),
        ).get
        channel_id = connection.execute(
            "SELECT channel_id FROM voice_totals WHERE guild_id = ? GROUP BY 1 ORDER BY sum(counted_ms) DESC LIMIT 1",
            (guild_id,),
        ).get
        for period in PERIODS:
            for report, statement in reports(guild_id, user_id, channel_id, window_of(period, END, ZONE)).items():
                if arguments.plans:
                    plan = connection.execute("EXPLAIN QUERY PLAN " + statement.sql, statement.parameters).fetchall()
                    print(report, *(f"  {row[3]}" for row in plan), sep="\n")
                    continue
                taken = measure(connection, statement, arguments.times)
                middle, most = taken[len(taken) // 2], taken[-1]
                print(f"{name:8} {period.value:10} {report:24} p50 {middle:8.1f} ms  most {most:8.1f} ms")
        if arguments.plans:
            break


if __name__ == "__main__":
    main()
