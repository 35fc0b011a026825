"""The real discord.py against the simulated Discord."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import discord as discord_py
import pytest
import yarl
from discord.gateway import DiscordWebSocket

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


async def test_it_resumes_after_a_reset_and_misses_nothing(here: SimulatedDiscord) -> None:
    """Thousands of moves during the gap arrive by RESUME, in order, then RESUMED; nothing is identified anew."""
    guild = here.add_guild()
    channels = [here.add_channel(guild) for _ in range(3)]
    users = [here.add_user() for _ in range(5)]
    async with listening(here) as client:
        here.abort()
        here.burst(2000, users, channels)
        await soon(lambda: client.count("RESUMED"))
        sent = [(e["user_id"], e["channel_id"]) for e in here.history.entries if e["kind"] == "voice"]
        assert client.voice() == sent
        assert len(sent) == 2000
        assert (here.gateway.identifies, here.gateway.resumes) == (1, 1)
        first, second = here.watches()
        assert first["ended_at"] <= second["started_at"]
        assert first["session_id"] == second["session_id"]


async def test_op_9_false_makes_it_identify_and_the_snapshot_tells_the_truth(here: SimulatedDiscord) -> None:
    """Who left in the gap is missing from the new GUILD_CREATE, and no event says so."""
    guild = here.add_guild()
    desk = here.add_channel(guild)
    ada = here.add_user()
    here.join(ada, desk)
    async with listening(here) as client:
        here.invalidate(resumable=False)
        here.leave(ada)
        await soon(lambda: client.count("GUILD_CREATE") == 2)
        first, second = [frame["d"]["voice_states"] for frame in client.frames if frame["t"] == "GUILD_CREATE"]
        assert [state["user_id"] for state in first] == [str(ada)]
        assert second == []
        assert client.voice() == []


async def test_nothing_of_discord_py_need_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over TLS, found by name: login, READY, and RESUME at the resume address."""
    # As shipped, whatever another test of this process has set.
    monkeypatch.setattr(discord_py.http.Route, "BASE", "https://discord.com/api/v10")
    monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL("wss://gateway.discord.gg/"))
    async with SimulatedDiscord(tls=True) as discord:
        guild = discord.add_guild()
        desk = discord.add_channel(guild)
        ada = discord.add_user()
        async with listening(discord, connector=discord.connector()) as client:
            discord.reconnect()
            discord.join(ada, desk)
            await soon(lambda: client.voice() == [(ada, desk)])
            await soon(lambda: client.count("RESUMED") == 1)


async def test_a_wrong_token_is_a_login_failure(here: SimulatedDiscord) -> None:
    """The HTTP API says 401 before there is any connection."""
    async with Listener() as client:
        with pytest.raises(discord_py.LoginFailure):
            await client.start("not.the.token")
    assert here.gateway.identifies == 0


async def test_a_rate_limit_with_via_is_waited_for(here: SimulatedDiscord) -> None:
    """discord.py sleeps `retry_after` and asks again; without `Via` it takes the 429 for Cloudflare's and gives up."""
    here.faults.rate_limit = 1
    async with listening(here) as client:
        assert client.user is not None
    here.set_faults(rate_limit=1, no_via=True)
    async with Listener() as client:
        with pytest.raises(discord_py.HTTPException, match="429"):
            await client.start(here.bot_token)


async def test_shards_are_counted_by_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    """AutoShardedClient asks /gateway/bot, and connects as many shards as it says."""

    class Sharded(Listener, discord_py.AutoShardedClient):
        pass

    async with SimulatedDiscord(shards=2) as discord:
        monkeypatch.setattr(discord_py.http.Route, "BASE", discord.api_url)
        monkeypatch.setattr(discord_py.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(discord.gateway_url))
        guilds = {discord.add_guild(shard=shard) for shard in (0, 1)}
        client = Sharded()
        task = asyncio.create_task(client.start(discord.bot_token))
        try:
            await discord.wait_connected(2)
            await client.wait_until_ready()
            assert {guild.id for guild in client.guilds} == guilds
        finally:
            await client.close()
            with contextlib.suppress(asyncio.CancelledError):
                await task
