"""The real discord.py against the simulated Discord."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import discord as discord_py
import pytest
import yarl

from tests.simulated_discord import SimulatedDiscord
from tests.waiting import soon


class Listener(discord_py.Client):
    """discord.py as a voice-only listener that keeps every frame and does not pause before IDENTIFY."""

    def __init__(self, **options: object) -> None:
        super().__init__(
            intents=discord_py.Intents(guilds=True, voice_states=True),
            max_messages=None,
            enable_debug_events=True,
            guild_ready_timeout=0.1,
            **options,
        )
        self.frames: list[dict] = []

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        pass

    async def on_socket_raw_receive(self, text: str) -> None:
        self.frames.append(json.loads(text))

    def voice(self) -> list[tuple[int, int | None]]:
        """(user, channel) of every VOICE_STATE_UPDATE so far."""
        events = [frame["d"] for frame in self.frames if frame["t"] == "VOICE_STATE_UPDATE"]
        return [(int(d["user_id"]), d["channel_id"] and int(d["channel_id"])) for d in events]

    def count(self, name: str) -> int:
        return sum(frame["t"] == name for frame in self.frames)


@pytest.fixture
def here(discord: SimulatedDiscord, monkeypatch: pytest.MonkeyPatch) -> SimulatedDiscord:
    """discord.py's addresses are constants: this is the only way to another Discord without TLS."""
    monkeypatch.setattr(discord_py.http.Route, "BASE", discord.api_url)
    monkeypatch.setattr(discord_py.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(discord.gateway_url))
    return discord


@contextlib.asynccontextmanager
async def listening(discord: SimulatedDiscord, **options: object) -> AsyncIterator[Listener]:
    client = Listener(**options)
    task = asyncio.create_task(client.start(discord.bot_token))
    try:
        await discord.wait_connected()
        await client.wait_until_ready()
        yield client
    finally:
        await client.close()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_it_logs_in_and_hears_who_joins_switches_and_leaves(here: SimulatedDiscord) -> None:
    """An unmodified client becomes ready and is told every move in order, with sequence numbers one apart."""
    guild = here.add_guild("Study room")
    desk, sofa = here.add_channel(guild, "Desk"), here.add_channel(guild, "Sofa")
    ada = here.add_user("ada")
    async with listening(here) as client:
        assert [(one.id, one.name) for one in client.guilds] == [(guild, "Study room")]
        here.join(ada, desk)
        here.switch(ada, sofa)
        here.leave(ada)
        await soon(lambda: len(client.voice()) == 3)
        assert client.voice() == [(ada, desk), (ada, sofa), (ada, None)]
        numbers = [frame["s"] for frame in client.frames if frame["s"] is not None]
        assert numbers == list(range(1, len(numbers) + 1))
