"""Whether the bot is in a server, with the real discord.py, the real service and the simulated Discord."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from db_client.records import GuildSetting
from db_client.removal import remove_due
from db_client.snowflake import earliest
from gateway_listener.listener import Listener
from tests.gateway_listener.running import QUICK, Scene
from tests.simulated_discord.server import wall_clock
from tests.waiting import soon

DAY = 86_400_000
TIMING = replace(QUICK, ask_every=0.05)


async def said(stage: Scene) -> tuple[int | None, int | None] | None:
    """What the service has about the guild: since when the bot is not there, and when that was confirmed."""
    rows = await stage.query("SELECT * FROM guilds WHERE guild_id = :guild", guild=stage.guild)
    return (rows[0]["left_at"], rows[0]["absence_confirmed_at"]) if rows else None


async def until(stage: Scene, listener: Listener, what: Any) -> tuple[int | None, int | None]:
    """What is said, once it is as it should be."""
    for _ in range(1000):
        found = await said(stage)
        if found is not None and what(*found):
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"said {found}")


async def settle_something(stage: Scene) -> None:
    """A manager decides something, and nobody is ever in voice."""
    await stage.write(GuildSetting(earliest(wall_clock()), stage.guild, "leaderboard", "off"))


async def test_kicked_and_invited_again(stage: Scene) -> None:
    """Both are said at once, though nothing was ever recorded there."""
    async with stage.listening() as listener:
        await until(stage, listener, lambda left_at, confirmed_at: left_at is None)
        before = wall_clock()
        stage.discord.remove_guild(stage.guild)
        left_at, _ = await until(stage, listener, lambda left_at, confirmed_at: left_at is not None)
        assert left_at is not None
        assert before <= left_at + 1 <= wall_clock() + 1
        stage.discord.add_bot(stage.guild)
        await until(stage, listener, lambda left_at, confirmed_at: left_at is None)


async def test_removed_while_away_asked_for_confirmed_and_gone_on_day_31(stage: Scene) -> None:
    """From when it was noticed; the listener's word alone removes nothing, nor do thirty days."""
    await settle_something(stage)
    stage.discord.remove_guild(stage.guild)
    quick = {"RECONCILE_EVERY": "1", "timing": TIMING}
    noticed_after = wall_clock()
    async with stage.listening(**quick) as listener:
        left_at, _ = await until(stage, listener, lambda left_at, confirmed_at: left_at is not None)
    assert left_at is not None
    assert left_at >= noticed_after - 1

    def later() -> int:
        return wall_clock() + 31 * DAY

    await asyncio.to_thread(remove_due, stage.store, "me", later)
    assert await said(stage) == (left_at, None)
    stage.discord.set_faults(clock_ahead=31 * DAY)
    async with stage.listening(**quick) as listener:
        await until(stage, listener, lambda left_at, confirmed_at: confirmed_at is not None)
    await asyncio.to_thread(remove_due, stage.store, "me", later)
    assert await said(stage) is None
    assert await stage.query("SELECT * FROM guild_settings") == []


async def test_a_refusal_that_is_not_discords_says_nothing(stage: Scene) -> None:
    """A proxy's 403, a ban's 429, a token's 401, an outage: the bot may be there or not; the next READY asks again."""
    await settle_something(stage)
    stage.discord.remove_guild(stage.guild)
    async with stage.listening(RECONCILE_EVERY="1", timing=TIMING) as listener:
        await until(stage, listener, lambda left_at, confirmed_at: left_at is not None)
        gateway = listener._gateway
        assert gateway is not None
        elsewhere = stage.discord.add_guild("Elsewhere")
        assert await gateway.is_in(elsewhere) is True
        assert await gateway.is_in(stage.guild) is False
        assert await gateway.is_in(4711) is False
        for status in (400, 401, 403, 404, 503):
            stage.discord.set_faults(api_status=status)
            assert await gateway.is_in(stage.guild) is None
            assert await gateway.is_in(elsewhere) is None
        stage.discord.set_faults(api_status=None, rate_limit=1, no_via=True)
        assert await gateway.is_in(stage.guild) is None


async def test_where_one_person_is(stage: Scene) -> None:
    """As the API says it: in that channel, in none, or no answer."""
    async with stage.listening(timing=replace(QUICK, api_answers_within=0.5)) as listener:
        gateway = listener._gateway
        assert gateway is not None
        assert await gateway.voice_channel_of(stage.guild, stage.ada) == (stage.guild, stage.ada, None, 0)
        stage.discord.join(stage.ada, stage.desk, self_mute=True)
        state = await gateway.voice_channel_of(stage.guild, stage.ada)
        assert state is not None
        assert (state.guild_id, state.user_id, state.channel_id) == (stage.guild, stage.ada, stage.desk)
        assert await gateway.voice_channel_of(4711, stage.ada) is None
        for fault in ({"api_status": 404}, {"api_status": 503}, {"api_status": None, "api_silent": True}):
            stage.discord.set_faults(**fault)
            assert await gateway.voice_channel_of(stage.guild, stage.ada) is None
            await gateway.ask_time()


@pytest.mark.parametrize("status", [403, 404])
async def test_nothing_changes_before_there_is_an_answer(stage: Scene, status: int) -> None:
    """The guild is missing in a new READY, and a proxy answers in Discord's place; then Discord does."""
    await settle_something(stage)
    async with stage.listening(RECONCILE_EVERY="1", timing=TIMING) as listener:
        await until(stage, listener, lambda left_at, confirmed_at: left_at is None)
        stage.discord.set_faults(api_status=status, lose=True)
        stage.discord.remove_guild(stage.guild)  # of which nobody hears
        stage.discord.set_faults(lose=False)
        stage.discord.invalidate(False)
        presence = listener._tracker.presence
        await soon(lambda: stage.guild in presence._ask_at, what="it was asked")
        await soon(lambda: not presence._asking, what="there was an answer")
        assert await said(stage) == (None, None)
        stage.discord.set_faults(api_status=None)
        stage.discord.invalidate(False)
        await until(stage, listener, lambda left_at, confirmed_at: left_at is not None)
