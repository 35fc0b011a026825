"""Over signed HTTP: the numbers of every report are those that the stored sessions add up to, ties included."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterable
from itertools import combinations
from typing import Any, NamedTuple

import pytest

from interactions_api.telling import duration
from interactions_api.words import Catalogues
from tests.interactions_api.study_room import HOUR, MINUTE, StudyRoom

pytestmark = pytest.mark.xdist_group("processes")

ENGLISH = Catalogues.load().default


class Played(NamedTuple):
    """A server with people by name, its channels by name, and the sessions as they are stored."""

    guild: int
    people: dict[str, int]
    channels: dict[str, int]
    stored: list[dict[str, Any]]

    def times(self, by: str) -> dict[int, int]:
        """Time by a column, in ms."""
        sums: dict[int, int] = defaultdict(int)
        for row in self.stored:
            sums[row[by]] += row["ended_at"] - row["started_at"]
        return sums


@pytest.fixture(scope="module")
def played(room: StudyRoom) -> Played:
    """Six people, one after the other in two channels; the last two were there for equally long."""
    chance = random.Random(11)
    guild = room.make_guild("Numbers")
    channels = {name: room.channel(name, guild) for name in ("Desk", "Lounge")}
    people = {name: room.person(name) for name in ("Ann", "Bob", "Cid", "Dan", "Eve", "Fay")}
    for name, user in people.items():
        at = 60 * HOUR
        for _ in range(2 if name in ("Eve", "Fay") else 8):
            length = 20 * MINUTE if name in ("Eve", "Fay") else chance.randrange(1, 200) * MINUTE
            at -= length
            room.session(user, chance.choice(list(channels.values())), at + length, at, guild_id=guild)
            at -= chance.randrange(0, 60) * MINUTE
    rows = room.rows("SELECT * FROM voice_sessions WHERE guild_id = :g", g=guild)
    return Played(guild, people, channels, rows)


def shown(ms: int) -> str:
    return duration(ENGLISH, ms)


def test_own_time_and_sessions(room: StudyRoom, played: Played):
    """The total, each channel, and each session with its length."""
    for user in played.people.values():
        own = [row for row in played.stored if row["user_id"] == user]
        said = room.use("voice_time", user, _guild=played.guild, period="last_7_days").content
        total = sum(row["ended_at"] - row["started_at"] for row in own)
        assert f"**{shown(total)}**, sessions: {len(own)}" in said
        for name, channel in played.channels.items():
            here = [row["ended_at"] - row["started_at"] for row in own if row["channel_id"] == channel]
            assert (f"\u2068{name}\u2069: {shown(sum(here))}, sessions: {len(here)}" in said) == bool(here)
        listed = room.use("sessions", user, _guild=played.guild, period="last_7_days").content
        lengths = re.findall(r"\*\*(\d[^*]*)\*\* in", listed)
        newest = sorted(own, key=lambda row: -row["started_at"])
        assert lengths == [shown(row["ended_at"] - row["started_at"]) for row in newest]


def test_the_board_and_its_ties(room: StudyRoom, played: Played):
    """The longest first; who has equal time has an equal place, and the place after them is left out."""
    times = played.times("user_id")
    names = {user: name for name, user in played.people.items()}
    places = {user: 1 + sum(other > time for other in times.values()) for user, time in times.items()}
    expected = sorted(f"`{places[user]}.` \u2068{names[user]}\u2069: {shown(time)}" for user, time in times.items())
    said = room.use("leaderboard", played.people["Eve"], _guild=played.guild, period="last_7_days").content
    lines = [line for line in said.splitlines() if line.startswith("`")]
    assert sorted(lines) == expected
    assert [line.split(".")[0] for line in lines] == sorted(line.split(".")[0] for line in lines)
    assert places[played.people["Eve"]] == places[played.people["Fay"]] == 5
    assert f"Your place: **5** of 6, with {shown(times[played.people['Eve']])}" in said


def test_the_servers_time(room: StudyRoom, played: Played):
    """The whole server and each channel: the time of all, as all of them show it."""
    said = room.use("channel_time", played.people["Ann"], _guild=played.guild, period="last_7_days").content
    for rows, where in [
        (played.stored, "**"),
        *(([row for row in played.stored if row["channel_id"] == c], f"<#{c}>: ") for c in played.channels.values()),
    ]:
        time = sum(row["ended_at"] - row["started_at"] for row in rows)
        assert len([line for line in said.splitlines() if f"{where}{shown(time)}" in line]) == 1


def test_time_together(room: StudyRoom, played: Played):
    """With each other person the sum of what two sessions in one channel share, as both of them see it."""
    for one, other in combinations(played.people, 2):
        shared = _shared(played, played.people[one], played.people[other])
        for asker, asked in ((one, other), (other, one)):
            said = room.use("together", played.people[asker], _guild=played.guild).content
            lines = [line for line in said.splitlines() if f"\u2068{asked}\u2069" in line]
            assert [f"**{shown(shared)}**" in line for line in lines] == ([True] if shared else [])


def _shared(played: Played, one: int, other: int) -> int:
    def of(user: int) -> Iterable[dict[str, Any]]:
        return (row for row in played.stored if row["user_id"] == user)

    return sum(
        max(0, min(a["ended_at"], b["ended_at"]) - max(a["started_at"], b["started_at"]))
        for a in of(one)
        for b in of(other)
        if a["channel_id"] == b["channel_id"]
    )
