"""What only a person can put right ends the listener with a message that says what to do; the rest is paced."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway_listener.gateway import GatewayRefused
from gateway_listener.listener import Listener
from gateway_listener.notes import IDENTIFIES
from tests.gateway_listener.running import QUICK, Scene, scene
from tests.gateway_listener.test_gateway_faults import tried
from tests.services import RunningService
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


async def test_with_no_identify_left_it_waits_and_says_so(stage: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """By Discord's own count, whoever has sent them: none is sent, and the listener is alive; then it goes on."""
    stage.discord.gateway.session_starts, stage.discord.gateway.reset_after = 0, 30_000
    async with stage.listening(connected=False, timing=replace(QUICK, unseen_too_long=0.1)) as listener:
        await soon(lambda: listener._gateway is not None and listener._gateway.waits, what="it waits")
        assert stage.discord.state()["identifies"] == 0
        assert all(listener.condition().live.values())
    assert "so that Discord's limit of IDENTIFYs lasts" in caplog.text
    stage.discord.gateway.session_starts = 1
    async with stage.listening():
        assert stage.discord.state()["identifies"] == 1


async def test_the_last_identifies_are_spread_and_not_spent(stage: Scene) -> None:
    """Eight are left for a day, and each session is lost: the second waits for hours, over a restart too."""
    stage.discord.gateway.session_starts = 9
    async with stage.listening():
        pass
    for _ in range(2):
        async with stage.listening(connected=False) as listener:
            await soon(lambda gateway=listener: gateway._gateway is not None and gateway._gateway.waits)
    assert stage.discord.state()["identifies"] == 1


@pytest.mark.parametrize("fault", [{"api_status": 429}, {"api_status": 503}, {"api_silent": True}])
async def test_an_api_that_does_not_say_how_many_are_left(stage: Scene, fault: dict[str, Any]) -> None:
    """Is not waited for: by its own count the listener begins a new session."""
    async with stage.listening(timing=replace(QUICK, api_answers_within=0.3)) as listener:
        stage.discord.set_faults(**fault)
        stage.discord.invalidate(False)
        await soon(lambda: stage.discord.state()["identifies"] == 2)
        await stage.until_live(listener)


async def test_a_token_that_is_reset_while_connected(stage: Scene) -> None:
    """The API's 401 before the next IDENTIFY says it, too."""
    listener = Listener(stage.settings())
    running = asyncio.create_task(listener.run())
    await stage.until_live(listener)
    stage.discord.set_faults(api_status=401)
    stage.discord.invalidate(False)
    with pytest.raises(GatewayRefused, match="Reset Token"):
        await asyncio.wait_for(running, 20)


async def test_a_login_that_is_never_answered_holds_nobody(stage: Scene) -> None:
    """It is one attempt like any other."""
    stage.discord.set_faults(api_silent=True)
    async with stage.listening(connected=False, timing=replace(QUICK, api_answers_within=0.1)) as listener:
        await soon(lambda: tried(listener) >= 2, what="two attempts")
        stage.discord.clear_faults()
        await stage.until_live(listener)


async def test_shards_share_what_discord_has_left(tmp_path: Path, service: RunningService) -> None:
    """Three with five between them: each begins once, and none begins again though it is thrown out."""
    async with scene(tmp_path, service, shards=3, session_starts=5) as stage:
        listeners = [
            Listener(
                stage.settings(SHARD_ID=str(shard), SHARD_COUNT="3", QUEUE_FILE=str(tmp_path / f"queue{shard}.db"))
            )
            for shard in range(3)
        ]
        running = [asyncio.create_task(listener.run()) for listener in listeners]
        await stage.discord.wait_connected()
        stage.discord.invalidate(False)
        for listener in listeners:
            await soon(lambda one=listener: one._gateway.waits, what="each waits")
        assert stage.discord.state()["identifies"] == 3
        for listener in listeners:
            listener.stop()
        await asyncio.gather(*running)


async def test_shards_that_begin_at_once_come_one_after_another(tmp_path: Path, service: RunningService) -> None:
    """Discord turns away who comes too soon; nobody gives up, and few of what a day has are wasted."""
    async with scene(tmp_path, service, shards=3, identify_interval=150) as stage:
        timing = replace(QUICK, between_identifies=0.2, longest_pause=0.2)
        listeners = [
            Listener(
                stage.settings(
                    timing=timing,
                    SHARD_ID=str(shard),
                    SHARD_COUNT="3",
                    QUEUE_FILE=str(tmp_path / f"queue{shard}.db"),
                )
            )
            for shard in range(3)
        ]
        running = [asyncio.create_task(listener.run()) for listener in listeners]
        await stage.discord.wait_connected()
        for listener in listeners:
            listener.stop()
        await asyncio.gather(*running)
