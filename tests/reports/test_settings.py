"""What managers decide, and what goes by itself: in whatever order it arrives, however often."""

import itertools

import pytest

from db_client import reading_statements, upkeep_statements
from db_client.record_statements import statements_for
from db_client.records import (
    ChannelRecording,
    ConsentDecision,
    Guild,
    GuildSetting,
    Lease,
    Removal,
    TotalsRebuild,
    VoiceSession,
    from_json,
)
from db_client.snowflake import created_at, earliest
from tests.reports.service_file import GUILD, ServiceFile, Stay

T = 1_790_000_000_000
DAY = 86_400_000


def setting(at: int, name: str, value: str | None) -> GuildSetting:
    return GuildSetting(earliest(at), GUILD, name, value)


def recording(at: int, recorded: bool) -> ChannelRecording:
    return ChannelRecording(earliest(at), GUILD, 1, recorded)


def session(start: int, end: int | None, revision: int = 1, user: int = 1) -> VoiceSession:
    return VoiceSession(
        f"s{user}.{start}", GUILD, 1, user, start, "joined", 7, revision, end, end and "left", end and 7, flags_at=start
    )


def consented(*users: int) -> ServiceFile:
    file = ServiceFile()
    file.store(*(ConsentDecision(earliest(T - DAY) + user, user, "in", f"n{user}", f"N{user}") for user in users))
    return file


def stored(file: ServiceFile) -> list[tuple]:
    return file.connection.execute(
        "SELECT started_at, ended_at, started_by, ended_by FROM voice_sessions ORDER BY started_at"
    ).fetchall()


@pytest.mark.parametrize(
    "record",
    [
        setting(T, "leaderboard", "off"),
        recording(T, False),
        Lease("removal", "me", 1, 2),
        Removal(GUILD, T, "me"),
        TotalsRebuild(GUILD),
    ],
)
def test_records_come_back_from_the_queue_as_they_were(record):
    """JSON and back is the same record."""
    assert from_json(record.to_json()) == record


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_newest_setting_stands_in_whatever_order_they_arrive(order):
    """Late and repeated decisions change nothing; each setting is decided for itself."""
    file = ServiceFile()
    decisions = [
        setting(T, "time_zone", "Europe/Berlin"),
        setting(T + 1, "time_zone", "Asia/Tokyo"),
        setting(T + 2, "retention_days", "90"),
    ]
    for n in order:
        file.store(decisions[n], decisions[n])
    found = {row["setting"]: row["value"] for row in file.rows(reading_statements.guild_settings(GUILD))}
    assert found == {"time_zone": "Asia/Tokyo", "retention_days": "90"}
    assert file.connection.execute("SELECT time_zone FROM guilds").fetchall() == [("Asia/Tokyo",)]


def test_the_time_zone_survives_the_guilds_own_record():
    """The listener's record of a guild gives it a name and leaves its time zone alone."""
    file = ServiceFile()
    file.store(setting(T, "time_zone", "Europe/Berlin"), Guild(GUILD, "A guild", None, 0))
    assert file.connection.execute("SELECT name, time_zone FROM guilds").fetchall() == [("A guild", "Europe/Berlin")]
    file.store(setting(T + 1, "time_zone", None))
    assert file.connection.execute("SELECT name, time_zone FROM guilds").fetchall() == [("A guild", None)]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_an_unrecorded_channel_has_no_session_whenever_the_decision_arrives(order):
    """A stay from before ends with the decision, one from after it is not there, in any order of arrival."""
    file = consented(1, 2, 3)
    records = [
        recording(T, False),
        session(T - 500, T + 500, user=1),
        session(T + 100, T + 200, user=2),
        session(T - 900, T - 700, user=3),
    ]
    for n in order:
        file.store(records[n], records[n])
    assert stored(file) == [(T - 900, T - 700, "joined", "left"), (T - 500, T, "joined", "not_recorded")]
    assert [row["channel_id"] for row in file.rows(reading_statements.unrecorded_in_guild(GUILD))] == [1]
    assert file.totals() == file.totals_of_sessions()


def test_an_open_stay_ends_with_the_decision_and_no_later_revision_opens_it_again():
    """The listener may not have heard of it yet."""
    file = consented(1)
    file.store(session(T - 500, None, 1), recording(T, False), session(T - 500, None, 2), session(T - 500, T + 900, 3))
    assert stored(file) == [(T - 500, T, "joined", "not_recorded")]


@pytest.mark.parametrize("order", list(itertools.permutations(range(2))))
def test_a_channel_is_recorded_again_by_a_newer_decision(order):
    """What begins later is stored whole, what began in the unrecorded time begins with its end."""
    file = consented(1, 2)
    decisions = [recording(T, False), recording(T + 1000, True)]
    for n in order:
        file.store(decisions[n])
    assert file.rows(reading_statements.unrecorded_in_guild(GUILD)) == []
    file.store(session(T + 2000, T + 3000, user=1))
    assert stored(file) == [(T + 2000, T + 3000, "joined", "left")]


def test_a_stay_that_began_in_the_unrecorded_time_begins_with_its_end():
    """And one that ended in it is not there at all."""
    file = consented(1, 2)
    file.store(recording(T, False), recording(T + 1000, True))
    file.store(session(T + 500, T + 1500, user=1), session(T + 300, T + 700, user=2))
    assert stored(file) == [(T + 1000, T + 1500, "recorded", "left")]


def test_listeners_read_what_was_decided_about_their_shard():
    """Newer than what they know, for their guilds only."""
    file = ServiceFile()
    other = GUILD + (1 << 22)
    file.store(recording(T, False), ChannelRecording(earliest(T + 5), other, 9, False))
    [row] = file.rows(reading_statements.recording_after(0, 0, 2))
    assert (row["channel_id"], row["from_at"], row["to_at"]) == (1, created_at(earliest(T)), None)
    assert [row["channel_id"] for row in file.rows(reading_statements.recording_after(row["version"], 1, 2))] == [9]


# --- what goes by itself ---------------------------------------------------------------------------------------------


def leased(file: ServiceFile) -> ServiceFile:
    file.store(Lease("removal", "me", T, T + DAY))
    return file


def days_old(*days: int) -> list[Stay]:
    return [Stay(n, 1, T - d * DAY - 1000, T - d * DAY) for n, d in enumerate(days, 1)]


def ages(file: ServiceFile) -> list[int]:
    return sorted((T - row[1]) // DAY for row in stored(file))


def test_only_what_is_past_the_retention_goes():
    """Thirty days: what ended thirty days ago or earlier."""
    file = leased(ServiceFile())
    file.store(setting(T - DAY, "retention_days", "30"))
    file.seat(*days_old(1, 29, 30, 31, 400), Stay(9, 1, T - 50 * DAY, T - DAY))
    assert file.rows(upkeep_statements.removal_due(T)) == [{"guild_id": GUILD}]
    file.store(Removal(GUILD, T, "me"))
    assert ages(file) == [1, 1, 29]
    assert file.rows(upkeep_statements.removal_due(T)) == []
    assert file.totals() == file.totals_of_sessions()


@pytest.mark.parametrize("days", [0, 1, 3, 40, 300, 400])
def test_what_a_retention_would_remove_is_what_it_removes(days):
    """Counted as far as was asked, with the beginning of the oldest; running sessions are none of them."""
    file = leased(ServiceFile())
    file.seat(*days_old(1, 2, 3, 40, 300), Stay(4, 2, T - 400 * DAY, None), Stay(5, 2, T - 900 * DAY, T - 2 * DAY))
    before = stored(file)
    [said] = file.rows(upkeep_statements.past_sessions(GUILD, T - days * DAY, most=99))
    [counted] = file.rows(upkeep_statements.past_sessions(GUILD, T - days * DAY, most=2))
    file.store(setting(T, "retention_days", str(days)), Removal(GUILD, T, "me"))
    left = stored(file)
    gone = [began for began, *rest in before if (began, *rest) not in left]
    assert said == {"sessions": len(gone), "oldest_at": min(gone, default=None)}
    assert counted == {"sessions": min(2, len(gone)), "oldest_at": said["oldest_at"]}


def test_removal_goes_in_small_batches():
    """At most as many sessions as asked in one transaction."""
    file = leased(ServiceFile())
    file.store(setting(T - DAY, "retention_days", "1"))
    file.seat(*days_old(*range(2, 9)))
    left = []
    while file.rows(upkeep_statements.removal_due(T)):
        file.store(Removal(GUILD, T, "me", most=3))
        left.append(len(ages(file)))
    assert left == [4, 1, 0]


def test_without_a_retention_everything_stays():
    """None decided, or decided away: nothing is due, and a batch that waited removes nothing."""
    file = leased(ServiceFile())
    file.seat(*days_old(4000))
    file.store(Removal(GUILD, T, "me"))
    file.store(setting(T - DAY, "retention_days", "30"), setting(T, "retention_days", None), Removal(GUILD, T, "me"))
    assert ages(file) == [4000]


def test_only_the_holder_of_the_lease_removes():
    """Another's batch, and one that comes after the lease has ended, remove nothing."""
    file = ServiceFile()
    file.store(
        setting(T - DAY, "retention_days", "30"), Lease("removal", "a", T, T + 10), Lease("removal", "b", T, T + 20)
    )
    file.seat(*days_old(40))
    file.store(Removal(GUILD, T, "b"), Removal(GUILD, T + 10, "a"))
    assert ages(file) == [40]
    file.store(Removal(GUILD, T, "a"))
    assert ages(file) == []


def test_a_lease_goes_over_when_it_has_ended():
    """The holder may extend it; another gets it only after its end, or if a clock that was far ahead took it."""
    file = ServiceFile()
    holder = upkeep_statements.lease("removal")
    for record, expected in [
        (Lease("removal", "a", 0, 10), ("a", 10)),
        (Lease("removal", "b", 5, 15), ("a", 10)),
        (Lease("removal", "a", 6, 16), ("a", 16)),
        (Lease("removal", "a", 0, 10), ("a", 16)),
        (Lease("removal", "b", 16, 26), ("b", 26)),
        (Lease("removal", "a", 366 * DAY, 366 * DAY + 10), ("a", 366 * DAY + 10)),
        (Lease("removal", "b", 365 * DAY + 10, 365 * DAY + 20), ("a", 366 * DAY + 10)),
        (Lease("removal", "c", 30, 40), ("c", 40)),
    ]:
        file.store(record)
        [row] = file.rows(holder)
        assert (row["holder"], row["until_at"]) == expected


def test_totals_are_made_anew_for_one_guild():
    """Whatever they were before."""
    file = ServiceFile()
    file.seat(*days_old(1, 200, 300), Stay(1, 2, T, T + 5, guild_id=GUILD + 1))
    right = file.totals()
    file.connection.execute("UPDATE voice_totals SET counted_ms = 1 WHERE user_id = 2")
    file.connection.execute("DELETE FROM voice_totals WHERE user_id = 1")
    file.connection.execute("INSERT INTO voice_totals VALUES (99, 1, 1, 1, 1, 1, 1)")
    guilds = [row["guild_id"] for row in file.rows(upkeep_statements.guilds_with_totals())]
    assert guilds == [GUILD, GUILD + 1, 99]
    file.store(*(TotalsRebuild(guild) for guild in guilds))
    assert file.totals() == right


@pytest.mark.parametrize(
    "statement",
    [
        *statements_for(recording(T, False)),
        *statements_for(Removal(GUILD, T, "me")),
        *statements_for(TotalsRebuild(GUILD)),
        *statements_for(session(T, T + 5)),
        upkeep_statements.guilds_with_totals(),
        upkeep_statements.removal_due(T),
    ],
)
def test_no_statement_reads_all_sessions(statement):
    """What is written or removed for one guild or channel is found by an index."""
    plan = ServiceFile().rows(statement._replace(sql="EXPLAIN QUERY PLAN " + statement.sql))
    assert not [r for r in plan if r["detail"] in ("SCAN voice_sessions", "SCAN s", "SCAN o", "SCAN consent_log")]
