"""What only a person can put right ends the listener with a message that says what to do; the rest is budgeted."""

from __future__ import annotations

import asyncio

import pytest

from gateway_listener.client import GatewayRefused
from gateway_listener.listener import Listener
from gateway_listener.notes import IDENTIFIES
from tests.gateway_listener.running import Scene
from tests.waiting import soon


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (4004, "DISCORD_BOT_TOKEN"),
        (4010, "SHARD_ID"),
        (4011, "SHARD_COUNT"),
        (4012, "update discord.py"),
        (4013, "update discord.py"),
        (4014, "discord.com/developers/applications"),
    ],
)
@pytest.mark.parametrize("when", ["while connected", "at identify"])
async def test_close_codes_that_are_verdicts(stage: Scene, code: int, advice: str, when: str) -> None:
    """4004 and 4010 to 4014 end the listener; sessions stay as they are, for the next start."""
    if when == "at identify":
        stage.discord.set_faults(identify_answer=code)
    listener = Listener(stage.settings())
    running = asyncio.create_task(listener.run())
    if when == "while connected":
        await stage.until_live(listener)
        stage.discord.join(stage.ada, stage.desk)
        await stage.settled(listener, stays=1)
        stage.discord.close(code)
    with pytest.raises(GatewayRefused) as refusal:
        await asyncio.wait_for(running, 20)
    assert str(code) in str(refusal.value)
    assert advice in str(refusal.value)
    assert stage.discord.bot_token not in str(refusal.value)
    if when == "while connected":
        (row,) = await stage.rows()
        assert row["ended_at"] is None


async def test_a_wrong_token(stage: Scene) -> None:
    """The message says where to get the right one."""
    listener = Listener(stage.settings(DISCORD_BOT_TOKEN="wrong"))
    with pytest.raises(GatewayRefused) as refusal:
        await asyncio.wait_for(listener.run(), 20)
    assert "Reset Token" in str(refusal.value)
    assert "wrong" not in str(refusal.value)


@pytest.mark.parametrize("rejected", [True, False])
async def test_op_9_to_every_identify_is_paced(stage: Scene, rejected: bool) -> None:
    """Each attempt waits longer, each is counted, and the count is on the disk."""
    stage.discord.set_faults(identify_answer=rejected)
    async with stage.listening(connected=False) as listener:
        await soon(lambda: stage.discord.state()["identifies"] >= 2)
        stage.discord.clear_faults()
        await stage.until_live(listener)
        sent = stage.discord.state()["identifies"]
        await soon(lambda: listener.idle)
        assert len(listener._store.notes()[IDENTIFIES].split(",")) == sent


async def test_a_used_up_budget_waits_and_says_so(stage: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """Over restarts, too: no IDENTIFY is sent, and the listener is alive."""
    async with stage.listening(IDENTIFIES_A_DAY="1"):
        pass
    async with stage.listening(connected=False, IDENTIFIES_A_DAY="1") as listener:
        await soon(lambda: listener._supervisor is not None and listener._supervisor.waiting_for_budget)
        assert stage.discord.state()["identifies"] == 1
        assert all(listener.condition().live.values())
    assert "IDENTIFYs were sent within a day" in caplog.text
