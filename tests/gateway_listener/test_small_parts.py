"""Clock, budget, backoff, pulse, flags, settings, notes, reading: each alone, with time as an argument."""

from __future__ import annotations

import pytest

from db_client import reading_statements
from db_client.records import Flags
from gateway_listener import frames
from gateway_listener.budget import DAY_MS, Backoff, IdentifyBudget
from gateway_listener.flags import MOST_CHANGES, Durations, FlagHistory
from gateway_listener.notes import remembered
from gateway_listener.pulse import Pulse
from gateway_listener.settings import Settings
from program.environment import SettingsError
from tests.gateway_listener.harness import DESK, GUILD, Harness

# --- budget and backoff ---


def test_identifies_are_five_seconds_apart() -> None:
    """Discord takes one every five seconds."""
    budget = IdentifyBudget(10)
    assert budget.wait_ms(1000) == 0
    budget.spend(1000)
    assert budget.wait_ms(2000) == 4000
    assert budget.wait_ms(6000) == 0


def test_the_budget_of_a_day_survives_a_restart() -> None:
    """Used up, it waits until the oldest is a day old."""
    budget = IdentifyBudget(3)
    for moment in (0, 10_000, 20_000):
        budget.spend(moment)
    again = IdentifyBudget(3, spent=budget.to_json())
    assert again.used_up(30_000)
    assert again.wait_ms(30_000) == DAY_MS - 30_000
    assert again.wait_ms(DAY_MS) == 0
    again.spend(DAY_MS)
    assert again.wait_ms(DAY_MS + 5000) == 5000


@pytest.mark.parametrize("text", ["", "junk", "{}", '["x"]', "5"])
def test_an_unreadable_budget_is_an_empty_one(text: str) -> None:
    """A damaged note does not stop the listener."""
    assert IdentifyBudget(3, spent=text).sent() == 0


def test_pauses_grow_to_a_minute_and_begin_anew_after_quiet() -> None:
    """Full jitter: the bound doubles, the pause is anywhere below."""
    now = 0.0
    backoff = Backoff(clock=lambda: now, uniform=lambda low, high: high)
    assert [backoff.delay() for _ in range(8)] == [2, 4, 8, 16, 32, 60, 60, 60]
    now = 121.0
    assert backoff.delay() == 2


# --- pulse ---


def test_no_answer_to_identify_or_resume() -> None:
    """READY or RESUMED is due in 30 s; connections without an answer are counted."""
    pulse = Pulse()
    assert pulse.complaint(1e9) is None
    pulse.felt(frames.Hello(41_250), 100)
    assert pulse.complaint(130) is None
    assert pulse.complaint(131) is not None
    assert pulse.stopped(132) == 0
    assert pulse.complaint(140) is None
    assert pulse.unanswered == 1
    pulse.felt(frames.Hello(41_250), 200)
    pulse.felt(frames.Resumed(), 201)
    assert pulse.complaint(240) is None
    assert pulse.unanswered == 0
    assert pulse.stopped(250) == 49


def test_heartbeats_without_ack() -> None:
    """Two missed beats and a half, though other frames flow."""
    pulse = Pulse()
    pulse.felt(frames.Hello(40_000), 0)
    pulse.felt(frames.Ready("s", frozenset()), 1)
    pulse.felt(frames.Ack(), 40)
    pulse.felt(frames.Seen(), 139)
    assert pulse.complaint(139) is None
    assert pulse.complaint(141) is not None


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
