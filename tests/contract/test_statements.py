"""Our own statements over plain HTTP, on every body: what each record makes true, once, twice, late, out of order."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db_client import migrations, reading_statements
from db_client.record_statements import statements_for
from db_client.records import (
    Channel,
    ChannelRecording,
    ConsentDecision,
    Decision,
    Guild,
    GuildPresence,
    GuildSight,
    Installation,
    Record,
    Retraction,
    VoiceSession,
    Watermark,
)
from db_client.snowflake import created_at, earliest
from db_client.statements import Statement
from tests.services import RunningService

T0 = 1_780_000_000_000
MINUTE = 60_000
SEEN_UNTIL = T0 + 60 * MINUTE
# A shard of which no other test knows, and its guilds.
SHARD, SHARDS = 500, 1000


class Service:
    """What a client does: transactions of statements, and reads as dicts."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._http = requests.Session()

    def _ask(self, path: str, asked: Sequence[Statement]) -> list[dict[str, Any]]:
        body = json.dumps([[sql, parameters] if parameters else sql for sql, parameters in asked])
        answer = self._http.post(f"{self._url}{path}", data=body.encode(), timeout=30)
        assert answer.status_code == 200, answer.text
        document = answer.json()
        assert "error" not in document, document
        assert not [element for element in document["results"] if "error" in element], document
        assert len(document["results"]) == len(asked)
        results: list[dict[str, Any]] = document["results"]
        return results

    def deliver(self, *records: Record) -> None:
        """Each record in a transaction of its own; an error of any kind fails the test."""
        for record in records:
            self._ask("/db/execute?transaction", statements_for(record))

    def execute(self, asked: Sequence[Statement]) -> list[dict[str, Any]]:
        """One transaction."""
        return self._ask("/db/execute?transaction", asked)

    def rows(self, sql: str, **parameters: int | str) -> list[dict[str, Any]]:
        """The rows of one read."""
        rows: list[dict[str, Any]] = self._ask("/db/query?associative", [Statement(sql, dict(parameters))])[0]["rows"]
        return rows

    def close(self) -> None:
        self._http.close()


@pytest.fixture(scope="module")
def service(body: RunningService) -> Iterator[Service]:
    """A body with our schema in it."""
    client = Service(body.url)
    for migration in migrations.load():
        client.execute([Statement(sql, {}) for sql in migration.statements])
    client.deliver(Watermark(0, SEEN_UNTIL, 1_000_003))  # whatever happens in guild 5 was seen
    yield client
    client.close()


PEOPLE = itertools.count(900_000_000_000_000_001)


@pytest.fixture
def person() -> int:
    """Somebody nobody has heard of yet, so that tests share a body without meeting."""
    return next(PEOPLE)


def decided(person: int, decision: Decision, minute: float, name: str = "ann") -> ConsentDecision:
    """A decision so many minutes after T0; its snowflake is unique to the person, moment and word."""
    snowflake = earliest(T0 + int(minute * MINUTE)) + (person % 1000) * 4 + ["in", "out", "erase"].index(decision)
    return ConsentDecision(snowflake, person, decision, name, name.title(), None, "server", 5)


def stay(
    person: int,
    began: float,
    ended: float | None,
    *,
    name: str = "s",
    guild: int = 5,
    channel: int = 6,
    revision: int = 1,
) -> VoiceSession:
    """A stay in a channel, in minutes after T0."""
    return VoiceSession(
        session_id=f"{person}-{name}",
        guild_id=guild,
        channel_id=channel,
        user_id=person,
        started_at=T0 + int(began * MINUTE),
        started_by="joined",
        started_within_ms=0,
        revision=revision,
        ended_at=None if ended is None else T0 + int(ended * MINUTE),
        ended_by=None if ended is None else "left",
        ended_within_ms=None if ended is None else 0,
        flags_at=T0 + int(began * MINUTE),
    )


def stays(service: Service, person: int) -> list[tuple[float, float | None]]:
    """The stored stays in minutes after T0."""
    rows = service.rows(
        "SELECT started_at, ended_at FROM voice_sessions WHERE user_id = :person ORDER BY started_at", person=person
    )
    return [
        ((row["started_at"] - T0) / MINUTE, None if row["ended_at"] is None else (row["ended_at"] - T0) / MINUTE)
        for row in rows
    ]


def standing(service: Service, person: int) -> dict[str, Any] | None:
    rows = service.rows("SELECT * FROM opt_in_users WHERE user_id = :person", person=person)
    return rows[0] if rows else None


def test_foreign_keys_are_on(service: Service) -> None:
    """Every body is run with foreign keys enforced."""
    assert service.rows("PRAGMA foreign_keys") == [{"foreign_keys": 1}]


def test_opt_in_stores_the_profile(service: Service, person: int) -> None:
    """After `in`, the person stands with what Discord says of them, since the interaction's own moment."""
    decision = decided(person, "in", 1)
    service.deliver(decision)
    assert standing(service, person) == {
        "user_id": person,
        "username": "ann",
        "display_name": "Ann",
        "avatar_url": None,
        "opted_in": 1,
        "since": created_at(decision.interaction_id),
        "version": decision.interaction_id,
    }


def test_opt_out_ends_what_is_open(service: Service, person: int) -> None:
    """`out` ends the open session at that moment and keeps what was before it."""
    service.deliver(decided(person, "in", 0), stay(person, 1, None), decided(person, "out", 5))
    row = standing(service, person)
    assert row is not None
    assert row["opted_in"] == 0
    assert row["since"] == T0 + 5 * MINUTE
    assert stays(service, person) == [(1, 5)]
    ended = service.rows("SELECT ended_by FROM voice_sessions WHERE user_id = :person", person=person)
    assert ended == [{"ended_by": "opted_out"}]


def test_nothing_is_stored_without_consent(service: Service, person: int) -> None:
    """A session of a person who never opted in, or is out, leaves no row."""
    service.deliver(stay(person, 1, 2, name="before"), decided(person, "in", 3), decided(person, "out", 4))
    service.deliver(stay(person, 5, 6, name="after"), stay(person, 7, None, name="open"))
    assert stays(service, person) == []


def test_opting_in_while_in_voice_starts_at_that_moment(service: Service, person: int) -> None:
    """A session that began before the consent is stored from the consent on."""
    service.deliver(decided(person, "in", 3), stay(person, 1, 10))
    assert stays(service, person) == [(3, 10)]
    begun = service.rows("SELECT started_by FROM voice_sessions WHERE user_id = :person", person=person)
    assert begun == [{"started_by": "opted_in"}]


def test_erase_is_final(service: Service, person: int) -> None:
    """After `erase` no late delivery of anything before it brings a row of the person back."""
    before = [decided(person, "in", 0), stay(person, 1, 2), stay(person, 3, None, name="open")]
    service.deliver(*before, decided(person, "erase", 5))
    service.deliver(*before, decided(person, "out", 4), stay(person, 3, 4, name="open", revision=2))
    assert standing(service, person) is None
    assert stays(service, person) == []
    log = service.rows("SELECT decision FROM consent_log WHERE user_id = :person", person=person)
    assert log == [{"decision": "erase"}]


def test_a_new_consent_after_an_erasure_begins_anew(service: Service, person: int) -> None:
    """`in` after `erase` counts from then on, and not for what was before."""
    service.deliver(decided(person, "in", 0), decided(person, "erase", 5), decided(person, "in", 8, "new name"))
    service.deliver(stay(person, 1, 4, name="old"), stay(person, 7, 9, name="across"))
    row = standing(service, person)
    assert row is not None
    assert (row["username"], row["since"]) == ("new name", T0 + 8 * MINUTE)
    assert stays(service, person) == [(8, 9)]


def test_an_erasure_behind_a_later_opt_out_takes_the_profile(service: Service, person: int) -> None:
    """The opt-out arrived first; the erasure still leaves nothing but the decisions after it."""
    service.deliver(decided(person, "in", 0), decided(person, "out", 6), decided(person, "erase", 5))
    assert standing(service, person) is None


def test_twice_is_once(service: Service, person: int) -> None:
    """Every record delivered again changes nothing."""
    records: list[Record] = [
        decided(person, "in", 0),
        stay(person, 1, None, channel=person),
        stay(person, 1, 3, channel=person, revision=2),
        stay(person, 4, None, channel=person, name="next"),
        decided(person, "out", 6),
        Guild(person, "guild", None, revision=1),
        GuildPresence(person, 1, T0),
        Installation(1180000000000000009),
        ChannelRecording(earliest(T0) + person % 1000, 5, person + 500, recorded=False, name="secret"),
        Channel(person, person, "voice", 2, revision=1),
        Watermark(7, T0, 1009),
        GuildSight(person, 1, seen=False, unseen_since=T0),
    ]
    tables = ("opt_in_users", "consent_log", "visible_on", "voice_sessions", "voice_totals", "guilds", "channels",
              "unrecorded_channels", "installation", "listener_watermarks", "unseen_guilds")  # fmt: skip

    def everything() -> list[list[dict[str, Any]]]:
        return [service.rows(f"SELECT * FROM {table} ORDER BY 1") for table in tables]

    service.deliver(*records)
    once = everything()
    service.deliver(*records)
    assert everything() == once
    assert stays(service, person) == [(1, 3), (4, 6)]


def test_a_late_opt_in_does_not_undo_a_newer_opt_out(service: Service, person: int) -> None:
    """The newest decision stands, whichever arrives last; its interval is known all the same."""
    service.deliver(decided(person, "out", 5), decided(person, "in", 2))
    row = standing(service, person)
    assert row is not None
    assert (row["opted_in"], row["since"]) == (0, T0 + 5 * MINUTE)
    service.deliver(stay(person, 1, 9))
    assert stays(service, person) == [(2, 5)]


def test_a_late_opt_out_cuts_what_is_stored(service: Service, person: int) -> None:
    """Sessions stored meanwhile are cut to the consent, and gone where there was none."""
    service.deliver(decided(person, "in", 0), stay(person, 1, 4), stay(person, 5, 8, name="b"))
    service.deliver(decided(person, "out", 3))
    assert stays(service, person) == [(1, 3)]


def test_an_out_and_in_that_arrive_late_leave_both_parts(service: Service, person: int) -> None:
    """One session around a pause of consent becomes the part before and the part behind it."""
    service.deliver(decided(person, "in", 0), stay(person, 1, 10))
    service.deliver(decided(person, "in", 6), decided(person, "out", 4))
    assert stays(service, person) == [(1, 4), (6, 10)]


def test_one_seat(service: Service, person: int) -> None:
    """A person has at most one open session in a guild, and one in each of two guilds."""
    service.deliver(decided(person, "in", 0), stay(person, 1, None), stay(person, 2, None, name="second"))
    service.deliver(stay(person, 2, None, name="elsewhere", guild=77))
    assert stays(service, person) == [(1, None), (2, None)]


def test_overlapping_sessions_are_not_stored(service: Service, person: int) -> None:
    """A second listener's copy of a session under another id changes nothing."""
    service.deliver(decided(person, "in", 0), stay(person, 1, 5), stay(person, 2, 7, name="copy"))
    assert stays(service, person) == [(1, 5)]


def test_an_older_revision_does_not_reopen_a_session(service: Service, person: int) -> None:
    """A late copy of the open session does not undo its end; sessions that touch are both stored."""
    service.deliver(decided(person, "in", 0), stay(person, 1, 5, revision=2), stay(person, 1, None, revision=1))
    service.deliver(stay(person, 5, 6, name="next"))
    assert stays(service, person) == [(1, 5), (5, 6)]


def test_a_retraction_takes_older_revisions_only(service: Service, person: int) -> None:
    """A retracted session is gone; a newer revision stands."""
    service.deliver(decided(person, "in", 0), stay(person, 1, 2), stay(person, 3, 4, name="kept", revision=5))
    service.deliver(Retraction(f"{person}-s", person, 2), Retraction(f"{person}-kept", person, 5))
    assert stays(service, person) == [(3, 4)]


def test_names_and_watermarks_keep_the_newest(service: Service, person: int) -> None:
    """An older revision or moment that arrives late changes nothing."""
    service.deliver(Guild(person, "new", 9, revision=2), Guild(person, "old", None, revision=1))
    service.deliver(decided(person, "in", 0), stay(person, 1, 2, channel=person))
    service.deliver(Channel(person, 5, "new", 2, revision=2), Channel(person, 5, "old", 2, revision=1))
    assert service.rows("SELECT name, afk_channel_id FROM guilds WHERE guild_id = :g", g=person) == [
        {"name": "new", "afk_channel_id": 9}
    ]
    assert service.rows("SELECT name FROM channels WHERE channel_id = :c", c=person) == [{"name": "new"}]


def mark_of(service: Service, guild: int) -> int:
    """The guild's mark, in milliseconds after T0."""
    [row] = service.rows(f"SELECT {reading_statements.guild_mark(':guild')} AS mark", guild=guild)
    assert isinstance(row["mark"], int)
    return row["mark"] - T0


def ends(service: Service, person: int) -> list[tuple[float, str, float]]:
    """When the person's sessions ended, by what, and how far the end may be off; in minutes."""
    rows = service.rows(
        "SELECT ended_at, ended_by, ended_within_ms FROM voice_sessions WHERE user_id = :p ORDER BY started_at",
        p=person,
    )
    return [((row["ended_at"] - T0) / MINUTE, row["ended_by"], row["ended_within_ms"] / MINUTE) for row in rows]


@pytest.mark.parametrize("first", ["the session", "the decision"])
def test_a_decision_ends_an_open_session_where_its_guild_was_last_seen(
    service: Service, person: int, first: str
) -> None:
    """The rest until the decision is its doubt; what the listener says of it afterwards stands instead."""
    guild = person % 1000 << 22
    came, out = stay(person, 1, None, guild=guild, channel=person), decided(person, "out", 5)
    service.deliver(decided(person, "in", 0), GuildSight(guild, 1, seen=False, unseen_since=T0 + 3 * MINUTE))
    service.deliver(*((came, out) if first == "the session" else (out, came)))
    assert (stays(service, person), ends(service, person)) == ([(1, 3)], [(3, "opted_out", 2)])
    service.deliver(came, out)
    assert ends(service, person) == [(3, "opted_out", 2)]
    exactly = stay(person, 1, 5, guild=guild, channel=person, revision=2)
    service.deliver(exactly._replace(ended_by="opted_out"), out, came)
    assert (stays(service, person), ends(service, person)) == ([(1, 5)], [(5, "opted_out", 0)])


def test_a_decision_about_a_session_of_which_nothing_was_seen_but_the_beginning(service: Service, person: int) -> None:
    """Nobody ever told how far the guild was seen, or it was lost before: the beginning was."""
    guild = person % 1000 << 22
    service.deliver(GuildSight(guild, 1, seen=False), decided(person, "in", 0), stay(person, 1, None, guild=guild))
    service.deliver(decided(person, "out", 5))
    assert (stays(service, person), ends(service, person)) == ([(1, 1)], [(1, "opted_out", 4)])


@pytest.mark.parametrize("first", ["the session", "the decision"])
def test_a_channel_that_is_not_recorded_any_more_ends_what_is_open_where_its_guild_was_last_seen(
    service: Service, person: int, first: str
) -> None:
    """As an opt-out does; what had ended before it was seen to its end, and is cut at the decision."""
    guild = person % 1000 << 22
    other = next(PEOPLE)
    came, over = (stay(who, 1, end, guild=guild, channel=person) for who, end in ((person, None), (other, 20)))
    decision = ChannelRecording(earliest(T0 + 5 * MINUTE) + person % 1000, guild, person, recorded=False)
    service.deliver(decided(person, "in", 0), decided(other, "in", 0))
    service.deliver(GuildSight(guild, 1, seen=False, unseen_since=T0 + 3 * MINUTE))
    service.deliver(*((came, over, decision) if first == "the session" else (decision, came, over)))
    assert ends(service, person) == [(3, "not_recorded", 2)]
    assert ends(service, other) == [(5, "not_recorded", 0)]


def test_the_mark_of_a_guild_is_that_of_its_shard_and_the_last_write_stands(service: Service) -> None:
    """A mark that a clock wrote which was years ahead is gone with the next; no mark is the beginning of time."""
    guild = (SHARD << 22) + SHARDS * (1 << 22)
    assert mark_of(service, guild) + T0 == 0
    service.deliver(Watermark(SHARD, T0 + 10**12, SHARDS), Watermark(SHARD, T0 + 5, SHARDS))
    assert mark_of(service, guild) == 5
    assert mark_of(service, guild + (1 << 22)) + T0 == 0
    sql, parameters = reading_statements.watermark(SHARD, SHARDS)
    assert service.rows(sql, **parameters) == [{"observed_at": T0 + 5}]  # type: ignore[arg-type]


def test_the_mark_of_a_guild_is_found_whatever_the_number_of_shards_was(service: Service) -> None:
    """Of all shards that have or had the guild the newest counts, unless its clock was days ahead of the others."""
    guild = (SHARD << 22) + 2 * SHARDS * (1 << 22)
    service.deliver(Watermark(SHARD, T0, SHARDS), Watermark(500, T0 + 7, 2000), Watermark(501, T0 + 9, 2000))
    assert mark_of(service, guild) == 7
    service.deliver(Watermark(500, T0 + 10**12, 2000), Watermark(SHARD, T0 + 8, SHARDS))
    assert mark_of(service, guild) == 8


def test_a_guild_that_is_not_seen_has_a_mark_of_its_own(service: Service, person: int) -> None:
    """It stands while its shard's moves on; the newest revision counts, in whatever order they arrive."""
    guild = (SHARD << 22) + 3 * SHARDS * (1 << 22)
    service.deliver(Watermark(SHARD, T0 + 50, SHARDS))
    service.deliver(GuildSight(guild, 2, seen=False, unseen_since=T0 + 3), GuildSight(guild, 1, seen=True))
    assert mark_of(service, guild) == 3
    sql, parameters = reading_statements.unseen_guilds(SHARD, SHARDS)
    told = {"guild_id": guild, "unseen_since": T0 + 3, "revision": 2}
    assert service.rows(sql, **parameters) == [told]  # type: ignore[arg-type]
    service.deliver(decided(person, "in", 0), stay(person, 1, None, guild=guild))
    sql, parameters = reading_statements.open_guild_marks(SHARD, SHARDS)
    assert service.rows(sql, **parameters) == [{"guild_id": guild, "mark": T0 + 3}]  # type: ignore[arg-type]
    service.deliver(GuildSight(guild, 4, seen=False))
    assert mark_of(service, guild) + T0 == 0
    service.deliver(GuildSight(guild, 5, seen=True))
    assert mark_of(service, guild) == 50


def test_channel_sessions(service: Service, person: int) -> None:
    """From the first tracked arrival in an empty channel to the last departure, open while somebody is there."""
    other = next(PEOPLE)
    place = {"guild": person, "channel": person}
    service.deliver(decided(person, "in", 0), decided(other, "in", 0))
    service.deliver(
        stay(person, 1, 4, **place), stay(other, 3, 6, **place), stay(person, 8, 9, name="b", **place),
        stay(other, 20, None, name="c", **place),
    )  # fmt: skip
    rows = service.rows("SELECT * FROM channel_sessions WHERE channel_id = :c ORDER BY started_at", c=person)
    assert [
        ((r["started_at"] - T0) / MINUTE, r["ended_at"] and (r["ended_at"] - T0) / MINUTE, r["people"]) for r in rows
    ] == [
        (1, 6, 2),
        (8, 9, 1),
        (20, None, 1),
    ]


def test_reads_give_what_the_programs_read(service: Service, person: int) -> None:
    """The statements for reading run on every body and give the columns they promise."""
    service.deliver(decided(person, "in", 0), stay(person, 1, None, guild=person))
    reads = (
        (reading_statements.consent_after(0, 5), {"seq", "interaction_id", "user_id", "decision", "at"}),
        (reading_statements.standing(person), {"opted_in", "since", "version", "shown"}),
        (reading_statements.open_sessions(0, 1), {"session_id", "started_at", "revision"}),
        (reading_statements.nameless_channels([1, 6]), {"channel_id"}),
    )
    for (sql, parameters), columns in reads:
        rows = service.rows(sql, **parameters)  # type: ignore[arg-type]
        assert rows
        assert columns <= set(rows[0])


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(6)))
def test_any_order_ends_equal_over_http(service: Service, order: list[int]) -> None:
    """Decisions and sessions of one person in any order of delivery: the same consent, and sessions inside it."""
    person = next(PEOPLE)
    records: list[Record] = [
        decided(person, "in", 0),
        decided(person, "out", 4),
        decided(person, "in", 6),
        stay(person, 1, 3),
        stay(person, 3, 10, name="b"),
        stay(person, 12, None, name="c"),
    ]
    service.deliver(*(records[index] for index in order))
    row = standing(service, person)
    assert row is not None
    assert (row["opted_in"], row["since"]) == (1, T0 + 6 * MINUTE)
    for begun, ended in stays(service, person):
        assert (begun >= 0 and ended is not None and ended <= 4) or begun >= 6
