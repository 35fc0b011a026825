"""What is removed when the bot has left a server: all of it, thirty days later, on Discord's word, and nothing else."""

from __future__ import annotations

import itertools

import pytest

from db_client import reading_statements, upkeep_statements
from db_client.records import (
    Channel,
    ChannelRecording,
    ConsentDecision,
    Guild,
    GuildPresence,
    GuildSetting,
    GuildSight,
    Installation,
    Lease,
    Record,
    Removal,
    VoiceSession,
)
from db_client.snowflake import earliest
from tests.gateway_listener.tables import Service

DAY = 86_400_000
T = 1_790_000_000_000
LEFT_AT = T - 30 * DAY
GUILD, OTHER = 10 << 22, 11 << 22
ADA, DESK, SOFA = 1, 101, 102


def session(guild: int, at: int, *, channel: int = DESK, ended: bool = True) -> VoiceSession:
    end = (at + 1000, "left", 0) if ended else (None, None, None)
    return VoiceSession(f"{guild:x}x{at:x}", guild, channel, ADA, at, "joined", 0, 1, *end)


def of_guild(guild: int) -> list[Record]:
    """One of everything that the service can have about a server."""
    return [
        ConsentDecision(earliest(LEFT_AT - 9 * DAY) + guild, ADA, "in", "a", "A", None, "server", guild),
        Guild(guild, "Study room", None, 1),
        session(guild, LEFT_AT - 2 * DAY, channel=guild + 1),
        session(guild, LEFT_AT - DAY, channel=guild + 1),
        session(guild, LEFT_AT, channel=guild + 1, ended=False),
        Channel(guild + 1, guild, "Desk", 2, 1),
        GuildSetting(earliest(T) + guild, guild, "leaderboard", "off"),
        ChannelRecording(earliest(T) + guild, guild, guild + 2, False, "Quiet"),
        GuildSight(guild, 1, seen=False, unseen_since=LEFT_AT),
    ]


def written(*records: Record) -> Service:
    service = Service()
    for record in (Lease("removal", "me", T, T + DAY), *records):
        service.write(record)
    return service


def due(service: Service, at: int = T) -> list[int]:
    return [row["guild_id"] for row in service.read(upkeep_statements.removal_due(at))]


def removed(service: Service, at: int = T) -> int:
    """Batches of two until nothing is due; how many that took."""
    for batches in itertools.count():
        if not (guilds := due(service, at)):
            return batches
        for guild in guilds:
            service.write(Removal(guild, at, "me", most=2))
    raise AssertionError


def held(service: Service, guild: int) -> dict[str, int]:
    """How many rows each table that knows servers has of this one."""
    tables = [row["name"] for row in service.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {
        table: service.rows(f"SELECT count(*) AS n FROM {table} WHERE guild_id = :guild", guild=guild)[0]["n"]
        for table in tables
        if any(column["name"] == "guild_id" for column in service.rows(f"PRAGMA table_info({table})"))
    }


def test_everything_of_the_server_goes_batch_by_batch_and_nothing_of_another() -> None:
    """Whatever table has a `guild_id`: sessions (open ones too), totals, names, settings, choices of who may see."""
    service = written(*of_guild(GUILD), *of_guild(OTHER), GuildPresence(GUILD, 1, LEFT_AT, T))
    before = held(service, GUILD)
    assert all(before.values()), before
    assert before == held(service, OTHER)
    assert removed(service) > 1
    assert not any(held(service, GUILD).values())
    assert held(service, OTHER) == before


@pytest.mark.parametrize(
    "presence",
    [
        GuildPresence(GUILD, 1, None),
        GuildPresence(GUILD, 1, LEFT_AT),
        GuildPresence(GUILD, 1, LEFT_AT + 1, T),
        GuildPresence(GUILD, 1, LEFT_AT - 9 * DAY, LEFT_AT + 20 * DAY),
        GuildPresence(GUILD, 1, LEFT_AT - 9 * DAY, T - DAY - 1),
        GuildPresence(GUILD, 1, LEFT_AT - 9 * DAY, LEFT_AT - 9 * DAY),
    ],
    ids=["there", "not confirmed", "left lately", "confirmed before the time", "confirmed long ago", "at once"],
)
def test_nothing_goes_without_discords_fresh_word_after_the_thirty_days(presence: GuildPresence) -> None:
    """And a batch that waited in a queue removes nothing either."""
    service = written(*of_guild(GUILD), presence)
    before = held(service, GUILD)
    assert due(service) == []
    service.write(Removal(GUILD, T, "me"))
    assert held(service, GUILD) == before


def test_a_clock_that_is_far_ahead_removes_nothing() -> None:
    """The endpoint's: by it thirty days have passed, but Discord's word is as old."""
    service = written(*of_guild(GUILD), GuildPresence(GUILD, 1, T), Lease("removal", "me", T + DAY, T + 99 * DAY))
    assert due(service, T + 40 * DAY) == []
    service.write(GuildPresence(GUILD, 2, T, T))
    assert due(service, T + 40 * DAY) == []


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_newest_word_stands_in_whatever_order_they_arrive(order: tuple[int, ...]) -> None:
    """The bot left, that was confirmed, and it came back: everything stays."""
    words = [GuildPresence(GUILD, 1, LEFT_AT), GuildPresence(GUILD, 2, LEFT_AT, T), GuildPresence(GUILD, 3, None)]
    service = written(*of_guild(GUILD), *(words[place] for place in order))
    assert due(service) == []


def test_a_name_does_not_bring_the_bot_back_and_a_word_about_the_bot_names_nothing() -> None:
    """Two facts of one server, each with revisions of its own."""
    service = written(GuildPresence(GUILD, 5, LEFT_AT), Guild(GUILD, "Study room", None, 9))
    assert service.rows("SELECT name, left_at FROM guilds") == [{"name": "Study room", "left_at": LEFT_AT}]
    service.write(GuildPresence(GUILD, 6, None))
    assert service.rows("SELECT name, left_at FROM guilds") == [{"name": "Study room", "left_at": None}]


@pytest.mark.parametrize(
    "record",
    [
        session(GUILD, LEFT_AT),
        session(GUILD, LEFT_AT, ended=False),
        GuildSetting(earliest(T), GUILD, "leaderboard", "off"),
        ChannelRecording(earliest(T), GUILD, SOFA, False, "Quiet"),
        ConsentDecision(earliest(T), ADA, "in", "a", "A", None, "server", GUILD),
        GuildPresence(GUILD, 1, LEFT_AT),
        GuildSight(GUILD, 1, seen=False),
    ],
    ids=lambda record: f"{record.kind}",
)
def test_whatever_is_stored_of_a_server_a_listener_can_find_it(record: Record) -> None:
    """Also what comes late from a queue, after the server's removal: so it can be asked for, and removed again."""
    service = written(ConsentDecision(earliest(LEFT_AT - 9 * DAY), ADA, "in", "a", "A"), record)
    shard = (GUILD >> 22) % 2
    assert [row["guild_id"] for row in service.read(reading_statements.guilds_of_shard(shard, 2))] == [GUILD]
    assert service.read(reading_statements.guilds_of_shard(1 - shard, 2)) == []


def test_no_listener_reads_all_sessions_to_find_the_servers() -> None:
    """Each server is one step in an index."""
    statement = reading_statements.guilds_of_shard(0, 1)
    plan = Service().read(statement._replace(sql="EXPLAIN QUERY PLAN " + statement.sql))
    scanned = {row["detail"].split()[1] for row in plan if row["detail"].startswith("SCAN")}
    assert scanned == {"guilds", "unseen_guilds", "ended", "open", "shown", "stored"}


def test_the_first_application_stands() -> None:
    """Whose data these are is written once."""
    service = written()
    assert service.read(reading_statements.application()) == []
    service.write(Installation(7))
    service.write(Installation(8))
    assert service.read(reading_statements.application()) == [{"value": "7"}]
