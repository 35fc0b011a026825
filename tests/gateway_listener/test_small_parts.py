"""Clock, flags, settings, notes, reading: each alone, with time as an argument."""

from __future__ import annotations

import asyncio

import pytest

from db_client import reading_statements
from db_client.records import Flags
from gateway_listener.flags import MOST_CHANGES, Durations, FlagHistory
from gateway_listener.notes import remembered
from gateway_listener.reading import CannotRead
from gateway_listener.settings import Settings
from program.environment import SettingsError
from tests.gateway_listener.evening import Evening
from tests.gateway_listener.harness import DESK, GUILD, Harness

# --- flags ---


def test_the_whole_stays_exact_when_changes_are_thinned_out() -> None:
    """Memory is bounded; the durations from the beginning are not touched."""
    history = FlagHistory(0, 0)
    for place in range(1, 5 * MOST_CHANGES):
        history.change(place * 10, int(Flags.MUTED) * (place % 2))
    assert len(history.changes()) <= MOST_CHANGES
    assert history.spent(0, history.changed_at) == Durations(muted=(5 * MOST_CHANGES // 2 - 1) * 10 + 0)


def test_a_part_among_thinned_changes_is_bounded() -> None:
    """It cannot have more than was spent in the whole."""
    history = FlagHistory(0, int(Flags.MUTED))
    for place in range(1, 2 * MOST_CHANGES):
        history.change(place, int(Flags.MUTED) * ((place + 1) % 2))
    for start in range(0, MOST_CHANGES, 50):
        assert 0 <= history.spent(start, history.changed_at).muted <= history.spent(0, history.changed_at).muted


# --- settings ---


def test_all_problems_at_once() -> None:
    """Each names its variable, and where to get the value."""
    with pytest.raises(SettingsError) as caught:
        Settings.read({"SHARD_COUNT": "2", "SHARD_ID": "2", "METRICS_PORT": "x", "DISCORD_GATEWAY_URL": "http://x"})
    text = str(caught.value)
    for expected in ("DISCORD_BOT_TOKEN", "Bot > Reset Token", "SHARD_ID", "METRICS_PORT", "DISCORD_GATEWAY_URL"):
        assert expected in text


def test_defaults() -> None:
    """With only a token it is one shard of one, against Discord."""
    settings = Settings.read({"DISCORD_BOT_TOKEN": "secret"})
    assert (settings.shard_id, settings.shard_count, settings.api_url, settings.metrics_port) == (0, 1, "", 9100)
    assert settings.gap_tolerance_ms == 120_000
    assert "secret" not in repr(settings)


# --- notes ---


def test_unreadable_notes_are_left_out() -> None:
    """A damaged note costs itself only."""
    memory = remembered({"open:x": "junk", "consent:7": "1", "watermark": "12", "unseen:a": "5", "baseline": "1"})
    assert (memory.sessions, memory.consents, memory.unseen) == ([], {}, {})
    assert (memory.watermark, memory.complete) == (12, True)


# --- reading ---


def test_open_sessions_come_page_by_page() -> None:
    """Each of the shard's guilds once, wherever a page ends."""
    world = Harness()
    world.connect({GUILD: {}, GUILD + (1 << 22): {}})
    for user in range(1, 8):
        world.opt_in(user)
        world.state(user, DESK, guild=GUILD + (user % 2 << 22))
    read: list[dict[str, object]] = []
    after = (0, 0)
    while page := world.service.read(reading_statements.open_sessions(0, 1, after=after, limit=2)):
        assert len(page) <= 2
        read += page
        after = page[-1]["guild_id"], page[-1]["user_id"]
    assert read == world.service.read(reading_statements.open_sessions(0, 1))
    assert sorted(row["user_id"] for row in read) == list(range(1, 8))


@pytest.mark.parametrize("up", [True, False])
def test_the_consent_log_is_read_at_intervals(monkeypatch: pytest.MonkeyPatch, up: bool) -> None:
    """Between any two readings, whether or not the service can be read."""
    evening = Evening(monkeypatch)
    course: list[object] = []

    async def reads() -> None:
        course.append("read")
        assert len(course) < 7, "it is read without end"
        if not up:
            raise CannotRead("refused")

    async def sleeps(seconds: float) -> None:
        course.append(seconds)
        if len(course) == 6:
            raise asyncio.CancelledError

    feed = evening.listener._consent
    monkeypatch.setattr(feed, "read", reads)
    monkeypatch.setattr("asyncio.sleep", sleeps)
    with pytest.raises(asyncio.CancelledError):
        feed.follow().send(None)
    assert course == ["read", feed._timing.follow_every] * 3
    assert evening.listener._counts["unreadable_service"] == (0 if up else 3)
