"""What counts and from when, through the real discord.py, store and service."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gateway_listener.clock import Clock
from tests.gateway_listener.running import Scene, scene
from tests.gateway_listener.test_gateway_faults import late_since
from tests.services import RunningService
from tests.waiting import soon

HOUR = 60 * 60 * 1000


async def test_stage_channels_count_the_afk_channel_is_marked_and_bots_never_count(stage: Scene) -> None:
    """The stage's time is in the totals as any other, the AFK channel's beside them, the bot's nowhere."""
    discord = stage.discord
    stand = discord.add_channel(stage.guild, "Stand", kind="stage")
    away = discord.add_channel(stage.guild, "Away")
    discord.set_afk_channel(stage.guild, away)
    bot = discord.add_user("music", bot=True)
    await stage.decide(bot, "in")
    async with stage.listening() as listener:
        discord.join(stage.ada, stand, suppress=True)
        discord.join(stage.bob, away)
        discord.join(bot, stand)
        await stage.moment()
        discord.set_state(stage.ada, suppress=False)
        await stage.moment()
        for user in (stage.ada, stage.bob, bot):
            discord.leave(user, stage.guild)
        await soon(lambda: listener._tracker.counts["left"] == 2)
        rows = await stage.settled(listener, stays=2)
        stage.check(rows, stage.ada, stage.bob)
    assert {row["user_id"]: row["afk"] for row in rows} == {stage.ada: 0, stage.bob: 1}
    length = {row["user_id"]: row["ended_at"] - row["started_at"] for row in rows}
    assert min(length.values()) > 0
    totals = {row["user_id"]: row for row in await stage.query("SELECT * FROM voice_totals")}
    assert (totals[stage.ada]["counted_ms"], totals[stage.ada]["afk_ms"]) == (length[stage.ada], 0)
    assert (totals[stage.bob]["counted_ms"], totals[stage.bob]["afk_ms"]) == (0, length[stage.bob])
    (channel,) = await stage.query("SELECT kind FROM channels WHERE channel_id = :id", id=stand)
    assert channel["kind"] == 13


class Hands:
    """The clocks of a machine, and of Discord, that a test sets forward."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead_ms

    def clock(self) -> Clock:
        return Clock(wall=lambda: self.now_ms() / 1000, steady=lambda: time.monotonic() + self.ahead_ms / 1000)


@pytest.mark.parametrize("switches", [False, True])
async def test_a_decision_that_took_an_hour(tmp_path: Path, service: RunningService, switches: bool) -> None:
    """It counts from when it was made, for the listener has seen the person in voice since, there and elsewhere."""
    hands = Hands()
    async with scene(tmp_path, service, clock=hands.now_ms) as stage, stage.listening(clock=hands.clock()) as listener:

        async def half_an_hour_later() -> None:
            hands.ahead_ms += HOUR // 2
            await soon(
                lambda: (listener._tracker.sight.watermark or 0) > hands.now_ms() - 60_000,
                what="the gateway is seen at the new time",
            )
            await soon(lambda: late_since(listener) is None, what="all of before has been read")

        stage.discord.join(stage.cat, stage.desk)
        await soon(lambda: stage.seated(listener) == 1)
        await stage.moment()
        decided_at = hands.now_ms()
        await half_an_hour_later()
        if switches:
            stage.discord.switch(stage.cat, stage.sofa)
            await soon(
                lambda: listener._tracker._guilds[stage.guild].seats[stage.cat].channel_id == stage.sofa,
                what="the switch is read",
            )
        await half_an_hour_later()
        await stage.decide(stage.cat, "in", decided_at)
        rows = await stage.settled(listener, stays=2 if switches else 1)
        first, last = rows[0], rows[-1]
        assert (first["channel_id"], first["started_at"], first["started_by"]) == (stage.desk, decided_at, "opted_in")
        assert first["started_within_ms"] == 0
        assert last["ended_at"] is None
        if switches:
            assert first["ended_by"] == "switched"
            assert first["ended_at"] == last["started_at"]
            assert HOUR // 2 <= last["started_at"] - decided_at <= HOUR
