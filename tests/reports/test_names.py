"""The name of a channel stands as long as a session in it does, whatever removes the last one."""

from __future__ import annotations

import pytest

from db_client.records import (
    Channel,
    ConsentDecision,
    Guild,
    GuildPresence,
    GuildSetting,
    Lease,
    Record,
    Removal,
    Retraction,
    VoiceSession,
)
from db_client.snowflake import earliest
from tests.reports.service_file import GUILD, ServiceFile

T = 1_790_000_000_000
DAY = 86_400_000


def session(user: int, ended: int | None) -> VoiceSession:
    """A stay in channel 7, or one that goes on."""
    told = (None, None, None) if ended is None else (ended, "left", 0)
    return VoiceSession(f"s{user}", GUILD, 7, user, T, "joined", 0, 1, *told, flags_at=T)


def filed(*people: int, running: bool = False) -> ServiceFile:
    """Each of them was in channel 7, and its name was told."""
    file = ServiceFile()
    file.store(Guild(GUILD, "G", None, 1), Lease("removal", "me", T, T + 100 * DAY))
    for user in people:
        file.store(ConsentDecision(earliest(T - DAY) + user, user, "in", "n", "N"))
        file.store(session(user, None if running else T + 1000))
    file.store(Channel(7, GUILD, "Ada's room", 2, 1))
    return file


def names(file: ServiceFile) -> list[str]:
    return [name for [name] in file.connection.execute("SELECT name FROM channels").fetchall()]


WAYS: dict[str, tuple[Record, ...]] = {
    "erasure": (ConsentDecision(earliest(T + DAY), 1, "erase"),),
    "retraction": (Retraction("s1", 1, 2),),
    "retention": (
        GuildSetting(earliest(T), GUILD, "retention_days", "30"),
        Removal(GUILD, T + 31 * DAY, "me"),
    ),
    "the bot left": (
        GuildPresence(GUILD, 2, T, T + 31 * DAY),
        Removal(GUILD, T + 31 * DAY, "me"),
    ),
    "an opt-out from before it": (ConsentDecision(earliest(T - 5) + 9, 1, "out"),),
}


# What runs is past no retention.
CASES = [(way, running) for way in WAYS for running in (False, True) if (way, running) != ("retention", True)]


@pytest.mark.parametrize(("way", "running"), CASES)
def test_a_name_goes_with_the_last_session(way, running):
    """Of one person, ended or running; while another's session stands in the channel, so does its name."""
    file = filed(1, running=running)
    assert names(file) == ["Ada's room"]
    file.store(*WAYS[way])
    assert file.connection.execute("SELECT * FROM voice_sessions").fetchall() == []
    assert names(file) == []


@pytest.mark.parametrize("way", ["erasure", "retraction", "an opt-out from before it"])
def test_a_name_stays_with_somebody_elses_session(way):
    """Two were there, one goes."""
    file = filed(1, 2)
    file.store(*WAYS[way])
    assert names(file) == ["Ada's room"]


def test_a_name_is_stored_only_where_something_is_recorded():
    """Told before the session, or of a channel that a stranger made: nothing is kept."""
    file = filed(1)
    file.store(Channel(8, GUILD, "Dorabella's room", 2, 1))
    assert names(file) == ["Ada's room"]
