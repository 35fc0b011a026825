"""The simulated Discord as a process and in a thread, controlled over HTTP."""

from __future__ import annotations

import signal

import aiohttp
import pytest

from tests.simulated_discord import Impossible, NotConnected
from tests.simulated_discord.control import Control, in_thread, start_process


def play(discord: Control) -> tuple[int, int, int]:
    guild = discord.add_guild("Study room")
    desk = discord.add_channel(guild, "Desk")
    ada = discord.add_user("ada")
    discord.join(ada, desk, self_mute=True)
    discord.leave(ada)
    return guild, desk, ada


def test_a_process_does_what_control_says_and_ends_cleanly_on_sigterm() -> None:
    """The record of another process says who was where; SIGTERM ends it with exit status 0."""
    with start_process(seed=7) as discord:
        guild, desk, ada = play(discord)
        (stay,) = discord.stays()
        assert (stay["user_id"], stay["guild_id"], stay["channel_id"]) == (ada, guild, desk)
        assert stay["started_at"] <= stay["ended_at"]
        assert discord.process is not None
        discord.process.send_signal(signal.SIGTERM)
        assert discord.process.wait(timeout=10) == 0


async def test_a_living_connection_does_not_keep_the_process() -> None:
    """SIGTERM closes it with 1001, even in a silence."""
    with start_process() as discord:
        async with aiohttp.ClientSession() as http, http.ws_connect(discord.environment()["DISCORD_GATEWAY_URL"]) as ws:
            await ws.receive()
            discord.set_faults(silent=True)
            assert discord.process is not None
            discord.process.terminate()
            message = await ws.receive(timeout=5)
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1001)
        assert discord.process.wait(timeout=10) == 0


def test_a_thread_answers_as_a_process_does() -> None:
    """`in_thread` has the same calls and, with the same seed, the same ids and secrets."""
    with start_process(seed=7) as process, in_thread(seed=7) as thread:
        assert play(process) == play(thread)
        for name in ("DISCORD_BOT_TOKEN", "DISCORD_PUBLIC_KEY", "DISCORD_APPLICATION_ID"):
            assert process.environment()[name] == thread.environment()[name]


def test_errors_come_through_as_they_were_raised() -> None:
    """What is impossible here is impossible there, and says why."""
    with in_thread() as discord:
        _, desk, ada = play(discord)
        with pytest.raises(Impossible, match="not in voice"):
            discord.leave(ada)
        with pytest.raises(Impossible, match="no such fault: raining"):
            discord.set_faults(raining=True)
        with pytest.raises(NotConnected):
            discord.wait_connected(within=0.05)
        with pytest.raises(AttributeError):
            discord.explode()
        with pytest.raises(TypeError):
            discord.join(ada)
        assert discord.act([{"action": "join", "user": str(ada), "channel": str(desk)}]) == [None]
        assert discord.history(after=discord.state()["history"] - 1)[0]["channel_id"] == desk
