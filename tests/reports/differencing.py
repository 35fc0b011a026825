"""The differencing attack on one state of the database: `python -m tests.reports.differencing --pairs 100000`.

Whoever may ask several questions may subtract their answers. So of random guilds every number that a viewer can get at
one moment is taken, and random pairs (and small combinations) of them: never may what is left depend on the hidden time
of one person or two.

Who a number depends on is found out from the answers alone, by what is called a perturbation: one person's hidden
time is thinned out, and all is asked again. Into each quarter of an hour of a hidden stay a gap of a random length is
put, shorter than what of the stay lies in it. No cell is cut finer than that, so the person is still present wherever
they were, and nothing that only asks who was where can change; but every sum of their time is another. The numbers
that changed are those that hold some of it, by how much, exactly; as the gaps are random, a difference of numbers holds
some of it if, and only if, the changes do not cancel. What the viewer sees by name is not thinned out, so it counts for
nobody. No knowledge of how the SQL makes groups is used.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace

from db_client import report_statements as say
from db_client.periods import Period, bars_of, window_of
from db_client.report_cells import cells_of
from db_client.report_sums import channel_time
from db_client.statements import Statement
from tests.reports.guilds import CHANNELS, STRANGER, RandomGuild, random_guild
from tests.reports.service_file import GUILD, ServiceFile, Stay

QUARTER = 15 * 60_000
Number = tuple[object, ...]
"""What a number is: the question, and where in its answer it stands."""


def questions(guild: RandomGuild, viewer: int, choose: random.Random) -> dict[Number, Statement]:
    """All questions about sums, and some of the others: own reports, the board, another member, time together."""
    windows = {period: window_of(period, guild.now, guild.zone) for period in Period}
    asked: dict[Number, Statement] = {}
    others: dict[Number, Statement] = {}
    for period, window in windows.items():
        name = period.value
        asked["channel_time", name] = channel_time(
            GUILD, viewer, cells_of(window, guild.now, guild.zone), seen_to=guild.seen_to, limit=10
        )
        others["own", name] = say.own_channels(GUILD, viewer, window, seen_to=guild.seen_to)
        others["alone", name] = say.own_alone(GUILD, viewer, window, seen_to=guild.seen_to)
        others["together", name] = say.together(GUILD, viewer, window, seen_to=guild.seen_to, limit=20)
        for channel in (None, *CHANNELS):
            board = say.leaderboard(GUILD, viewer, window, seen_to=guild.seen_to, limit=20, channel_id=channel)
            others["leaderboard", name, channel] = board
        for member in guild.shown_from:
            if member != viewer:
                others["member", name, member] = say.shown_channels(GUILD, member, window, seen_to=guild.seen_to)
                others["bars", name, member] = say.shown_bars(
                    GUILD, member, bars_of(window, guild.zone), seen_to=guild.seen_to
                )
    chosen = choose.sample(list(others), 12)
    return asked | {name: others[name] for name in chosen}


def numbers(file: ServiceFile, asked: dict[Number, Statement]) -> dict[Number, int]:
    """Every number in the answers, and of the sums also what stands in no channel, and all hours together."""
    found: dict[Number, int] = {}
    for name, statement in asked.items():
        rows = file.rows(statement)
        for row in rows:
            keys = tuple(row.get(key) for key in ("own", "user_id", "channel_id", "favourite_id", "hour", "bar"))
            found |= {(*name, *keys, column): ms for column, ms in row.items() if column.endswith("_ms")}
        if name[0] == "channel_time":
            server, *rest = rows
            channels = [row for row in rest if row["hour"] is None]
            for column in ("counted_ms", "afk_ms"):
                found[(*name, "others", column)] = server[column] - sum(row[column] for row in channels)
            found[(*name, "hours")] = sum(row["counted_ms"] for row in rest if row["hour"] is not None)
    return found


def thinned(guild: RandomGuild, person: int, viewer: int, choose: random.Random) -> tuple[Stay, ...]:
    """The guild's stays, with random gaps in what the viewer does not see of that person."""
    stays: list[Stay] = []
    for stay in guild.stays:
        hidden = guild.hidden(stay, viewer)
        rest = stay
        for slot in range(hidden.from_at // QUARTER * QUARTER, hidden.to_at, QUARTER):
            begin, end = max(slot, hidden.from_at), min(slot + QUARTER, hidden.to_at)
            if stay.user_id == person and end - begin >= 8:
                gap = begin + (end - begin) // 4, begin + (end - begin) // 4 + choose.randint(1, (end - begin) // 2)
                stays.append(replace(rest, ended_at=gap[0]))
                rest = replace(rest, started_at=gap[1])
        stays.append(rest)
    return tuple(stays)


def contributions(guild: RandomGuild, viewer: int, choose: random.Random) -> dict[Number, dict[int, int]]:
    """For each number, by how much each person's hidden time changes it."""
    asked = questions(guild, viewer, choose)
    file = guild.file()
    whole = numbers(file, asked)
    changes: dict[Number, dict[int, int]] = {number: {} for number in whole}
    for person in guild.shown_from:
        if person == viewer:
            continue
        file.connection.execute("DELETE FROM voice_sessions")
        file.seat(*thinned(guild, person, viewer, choose))
        thin = numbers(file, asked)
        if thin.keys() != whole.keys():
            raise AssertionError(f"who was where is the same, but other numbers are told: {thin.keys() ^ whole.keys()}")
        for number, ms in whole.items():
            changes[number][person] = ms - thin[number]
    return changes


def attacks(
    changes: dict[Number, dict[int, int]], pairs: int, choose: random.Random
) -> Iterator[tuple[set[int], list[tuple[int, Number]]]]:
    """Random differences, every fourth a combination of three numbers: on whom each depends, and what it is."""
    telling = [number for number, by in changes.items() if any(by.values())]
    drawn = telling or list(changes)
    for n in range(pairs):
        terms = [(1, choose.choice(drawn)), (-1, choose.choice(drawn if n % 2 else list(changes)))]
        if n % 4 == 0:
            terms.append((choose.choice([-2, -1, 1, 2]), choose.choice(drawn)))
        people = {
            person for person in changes[terms[0][1]] if sum(factor * changes[what][person] for factor, what in terms)
        }
        yield people, terms


def attack(seeds: Iterable[int], pairs_each: int) -> tuple[int, int]:
    """How many differences were formed, and how many of them hold hidden time; AssertionError for one of too few."""
    formed = telling = 0
    for seed in seeds:
        choose = random.Random(seed)
        guild = random_guild(seed)
        for viewer in (STRANGER, choose.choice(list(guild.shown_from))):
            changes = contributions(guild, viewer, choose)
            for people, terms in attacks(changes, pairs_each // 2, choose):
                formed += 1
                telling += bool(people)
                if len(people) in (1, 2):
                    raise AssertionError(f"guild {seed}, asked by {viewer}: {terms} tells of {people}")
    return formed, telling


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--each", type=int, default=500, help="pairs of each guild")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    guilds = -(-arguments.pairs // arguments.each)
    formed, telling = attack(range(arguments.seed, arguments.seed + guilds), arguments.each)
    sys.stdout.write(f"{formed} differences over {guilds} guilds, {telling} hold hidden time: none of one or two.\n")


if __name__ == "__main__":
    main()
