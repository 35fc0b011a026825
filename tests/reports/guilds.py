"""Random guilds at a random moment: people who show their time, from some day on or never; some still sit."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from db_client.periods import DAY_MS, HOUR_MS, Window, local_date, midnight
from db_client.report_windows import BLOCK_MS
from tests.reports.service_file import ServiceFile, Stay

MINUTE = 60_000
ZONES = ("UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Havana")
CHANNELS = (101, 102, 103)
AFK_CHANNEL = 103
STRANGER = 99
"""Somebody who never opted in."""
NEVER = 2**62


@dataclass(frozen=True)
class RandomGuild:
    """Its sessions, from when on each person shows their time (NEVER: not), and the moment at which it is asked.

    `seen_to`: up to when it was seen.
    """

    zone: ZoneInfo
    now: int
    stays: tuple[Stay, ...]
    shown_from: dict[int, int]
    seen_to: int

    def file(self, stays: tuple[Stay, ...] | None = None) -> ServiceFile:
        """A service file with it, or with other sessions of the same people."""
        file = ServiceFile()
        shown = {user: at for user, at in self.shown_from.items() if at != NEVER}
        file.people(shown, [user for user in self.shown_from if user not in shown])
        file.seat(*(self.stays if stays is None else stays))
        return file

    def hidden(self, stay: Stay, viewer: int) -> Window:
        """The part of a stay that the viewer may not see; empty if there is none."""
        until = max(stay.started_at, self.seen_to) if stay.ended_at is None else stay.ended_at
        if stay.user_id == viewer:
            return Window(stay.started_at, stay.started_at)
        return Window(stay.started_at, max(stay.started_at, min(until, self.shown_from[stay.user_id])))


def random_guild(seed: int) -> RandomGuild:
    """One of them: few or many people, together or not, around the edges of hours, days, years, blocks and clocks."""
    choose = random.Random(seed)
    zone = ZoneInfo(choose.choice(ZONES))
    # Up to a year behind a change of clocks, a new year, and a block's edge.
    month, day = choose.choice([3, 11, 12, 1, 4, 7]), choose.choice([1, 2, 8, 29][: choose.randint(1, 4)])
    at = datetime(2026, month, day, choose.randrange(24), choose.choice([0, 0, 30, 59]), tzinfo=zone)
    now = int(at.timestamp()) * 1000 + choose.choice([0, 1, 5 * MINUTE, -1])
    people = choose.choice([2, 3, 4, 5, 6, 8])
    year = midnight(local_date(now, zone).replace(month=1, day=1), zone)
    today = midnight(local_date(now, zone), zone)
    block = (now - choose.choice([0, 1, 2]) * BLOCK_MS) // BLOCK_MS * BLOCK_MS
    edges = [today, today, now, now, today - DAY_MS, today - 29 * DAY_MS, year, block, now - 100 * DAY_MS]
    edges = [edge // MINUTE * MINUTE for edge in edges]
    meetings = []
    for _ in range(choose.randint(1, 6)):
        near = choose.choice(edges) + choose.choice([0, 0, 1, -1]) * choose.randrange(0, DAY_MS, 10 * MINUTE)
        meetings.append((near, choose.choice(CHANNELS)))
    stays: list[Stay] = []
    shown_from: dict[int, int] = {}
    for user in range(1, people + 1):
        lately = edges[2] - choose.randrange(0, DAY_MS, MINUTE)
        shown_from[user] = choose.choice([0, NEVER, NEVER, NEVER, choose.choice(edges), lately])
        for near, channel in sorted(meetings):
            if choose.random() < 0.3:
                continue
            begins = near + choose.randrange(-HOUR_MS, HOUR_MS, 7 * MINUTE)
            length = choose.choice([20 * MINUTE, HOUR_MS, 3 * HOUR_MS, 3 * HOUR_MS, 30 * HOUR_MS, 0])
            if choose.random() < 0.02:
                length = 40 * DAY_MS
            before = max((s.ended_at or now for s in stays if s.user_id == user), default=0)
            begins = max(begins, before)
            ends = min(begins + length, now)
            if begins < now:
                where = channel if choose.random() < 0.8 else choose.choice(CHANNELS)
                stays.append(Stay(user, where, begins, ends, int(where == AFK_CHANNEL)))
        last = max((n for n, s in enumerate(stays) if s.user_id == user), default=None)
        if last is not None and stays[last].ended_at is not None and choose.random() < 0.3:
            stays[last] = replace(stays[last], ended_at=None)
    unique = {(s.user_id, s.started_at): s for s in stays}
    seen_to = choose.choice([now, now, choose.choice(edges), now - choose.randrange(0, DAY_MS, 7 * MINUTE)])
    return RandomGuild(zone, now, tuple(unique.values()), shown_from, min(now, seen_to))
