"""The gateway on the wire, while all is well."""

from __future__ import annotations

import itertools
import json
import zlib
from typing import Any

import aiohttp
import pytest

from tests.simulated_discord import SimulatedDiscord
from tests.simulated_discord_tests.raw_client import RawClient
from tests.waiting import soon


def places(discord: SimulatedDiscord, channels: int = 2) -> tuple[int, list[int]]:
    guild = discord.add_guild("Study room")
    return guild, [discord.add_channel(guild) for _ in range(channels)]


async def test_ready_names_the_guilds_and_each_follows_with_everyone_in_voice(discord: SimulatedDiscord) -> None:
    """GUILD_CREATE holds channels, voice states and the members who are in voice; ids are text."""
    guild, (desk, sofa) = places(discord)
    ada, bob = discord.add_user("ada"), discord.add_user("bob")
    discord.join(ada, desk, self_mute=True)
    discord.join(bob, sofa)
    discord.leave(bob)
    async with RawClient(discord) as client:
        ready = await client.ready()
        assert ready["guilds"] == [{"id": str(guild), "unavailable": True}]
        assert ready["resume_gateway_url"] == discord.gateway_url
        created = (await client.frame())["d"]
        assert created["unavailable"] is False
        assert [channel["id"] for channel in created["channels"]] == [str(desk), str(sofa)]
        (state,) = created["voice_states"]
        assert (state["user_id"], state["channel_id"], state["self_mute"]) == (str(ada), str(desk), True)
        assert [member["user"]["id"] for member in created["members"]] == [str(discord.application_id), str(ada)]


async def test_a_resume_brings_every_missed_dispatch_once_and_in_order(discord: SimulatedDiscord) -> None:
    """What happened while nobody was connected comes before RESUMED, numbered without a gap."""
    _, (desk, sofa) = places(discord)
    ada = discord.add_user()
    async with RawClient(discord) as client:
        session = (await client.ready())["session_id"]
        last = (await client.until("GUILD_CREATE"))[-1]["s"]
    discord.join(ada, desk)
    for channel in itertools.islice(itertools.cycle((sofa, desk)), 3000):
        discord.switch(ada, channel)
    async with RawClient(discord, "v=10&encoding=json&compress=zlib-stream") as client:
        assert (await client.frame())["op"] == 10
        await client.resume(session, last)
        frames = await client.until("RESUMED")
    assert [frame["s"] for frame in frames] == list(range(last + 1, last + 3003))
    assert [frame["d"]["channel_id"] for frame in frames[:3]] == [str(desk), str(sofa), str(desk)]
    assert frames[-1]["d"] == {"_trace": []}


async def test_a_session_that_said_goodbye_cannot_be_resumed(discord: SimulatedDiscord) -> None:
    """After a close with 1000 the session is gone: RESUME gets op 9 false."""
    async with RawClient(discord) as client:
        session = (await client.ready())["session_id"]
        await client.ws.close(code=1000)
    await soon(lambda: not discord.gateway.sessions)
    async with RawClient(discord) as client:
        await client.frame()
        await client.resume(session, 1)
        assert (await client.frame())["op"] == 9


async def test_more_than_can_be_replayed_ends_the_session() -> None:
    """A client that missed more than the buffer holds has to identify again."""
    async with SimulatedDiscord(replay_limit=10) as discord:
        _, channels = places(discord)
        users = [discord.add_user()]
        async with RawClient(discord) as client:
            session = (await client.ready())["session_id"]
            await client.until("GUILD_CREATE")
        discord.burst(11, users, channels)
        async with RawClient(discord) as client:
            await client.frame()
            await client.resume(session, 2)
            frame = await client.frame()
            assert (frame["op"], frame["d"]) == (9, False)


async def test_every_shard_hears_of_its_own_guilds_only() -> None:
    """A guild belongs to shard (id >> 22) % count, and so do its events."""
    async with SimulatedDiscord(shards=2) as discord:
        guilds = [discord.add_guild(shard=shard) for shard in (0, 1)]
        channels = [discord.add_channel(guild) for guild in guilds]
        users = [discord.add_user() for _ in guilds]
        async with RawClient(discord) as first, RawClient(discord) as second:
            for shard, client in enumerate((first, second)):
                ready = await client.ready(shard=[shard, 2])
                assert [guild["id"] for guild in ready["guilds"]] == [str(guilds[shard])]
                await client.until("GUILD_CREATE")
            await discord.wait_connected()
            for user, channel in zip(users, channels, strict=True):
                discord.join(user, channel)
            for shard, client in enumerate((first, second)):
                assert (await client.frame())["d"]["user_id"] == str(users[shard])
            assert await first.quiet()


async def test_two_listeners_on_one_shard_hear_the_same(discord: SimulatedDiscord) -> None:
    """Each session has its own numbers; nothing else differs."""
    _, (desk, _) = places(discord)
    ada = discord.add_user()
    async with RawClient(discord) as first, RawClient(discord) as second:
        for client in (first, second):
            await client.ready()
            await client.until("GUILD_CREATE")
        discord.join(ada, desk)
        assert await first.frame() == await second.frame()


async def test_what_happens_to_guilds_and_channels_is_told(discord: SimulatedDiscord) -> None:
    """Each action is the dispatch that Discord sends for it, and an unannounced channel is never named."""
    async with RawClient(discord) as client:
        await client.ready()
        guild = discord.add_guild("A")
        channel = discord.add_channel(guild, "x", kind="stage")
        secret = discord.add_channel(guild, announced=False)
        discord.rename_channel(channel, "y")
        discord.rename_channel(secret, "z")
        discord.set_afk_channel(guild, channel)
        discord.rename_guild(guild, "B")
        ada = discord.add_user()
        discord.join(ada, channel)
        discord.delete_channel(channel)
        discord.outage(guild)
        discord.recover(guild)
        discord.remove_guild(guild)
        discord.add_bot(guild)
        frames = [await client.frame() for _ in range(13)]
        told: list[tuple[str, Any]] = [(frame["t"], frame["d"]) for frame in frames]
        assert [name for name, _ in told] == [
            "GUILD_CREATE",
            "CHANNEL_CREATE",
            "CHANNEL_UPDATE",
            "GUILD_UPDATE",
            "GUILD_UPDATE",
            "VOICE_STATE_UPDATE",
            "CHANNEL_DELETE",
            "GUILD_UPDATE",
            "VOICE_STATE_UPDATE",
            "GUILD_DELETE",
            "GUILD_CREATE",
            "GUILD_DELETE",
            "GUILD_CREATE",
        ]
        assert "unavailable" not in told[0][1]
        assert told[1][1]["type"] == 13
        assert told[5][1]["suppress"] is True
        assert told[8][1]["channel_id"] is None
        assert told[9][1] == {"id": str(guild), "unavailable": True}
        assert told[10][1]["unavailable"] is False
        assert told[11][1] == {"id": str(guild)}


async def test_a_person_is_in_one_place_and_a_bot_may_be_in_several(discord: SimulatedDiscord) -> None:
    """Joining another guild's channel takes a person, but not a bot, out of the first."""
    (_, (here, _)), (_, (there, _)) = places(discord), places(discord)
    ada, robot = discord.add_user(), discord.add_user(bot=True)
    for user in (ada, robot):
        discord.join(user, here)
        discord.join(user, there)
    assert [state.channel_id for state in discord.world.places(ada)] == [there]
    assert [state.channel_id for state in discord.world.places(robot)] == [here, there]


REFUSED = {
    "wrong token": (4004, {"token": "no"}),
    "no such shard": (4010, {"shard": [2, 2]}),
    "shard is no pair": (4010, {"shard": 1}),
    "no such intents": (4013, {"intents": 1 << 40}),
    "privileged intents": (4014, {"intents": 1 << 1}),
    "no properties": (4002, {"properties": None}),
    "too large": (4002, {"presence": "x" * 4096}),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_an_identify_that_is_not_in_order_is_closed_with_its_code(discord: SimulatedDiscord, case: str) -> None:
    """The close codes are Discord's."""
    code, change = REFUSED[case]
    async with RawClient(discord) as client:
        await client.frame()
        await client.identify(**change)
        assert await client.end() == code


async def test_a_bot_that_needs_two_shards_cannot_use_one() -> None:
    """4011: sharding required."""
    async with SimulatedDiscord(shards=2) as discord, RawClient(discord) as client:
        await client.frame()
        await client.identify()
        assert await client.end() == 4011


@pytest.mark.parametrize(
    ("frame", "code"),
    [("nonsense", 4002), ("[]", 4002), ('{"op":77}', 4001), ('{"op":3,"d":{}}', 4003), ('{"op":2}', 4002)],
)
async def test_frames_that_make_no_sense_close_the_connection(discord: SimulatedDiscord, frame: str, code: int) -> None:
    """Also before IDENTIFY only heartbeats are welcome."""
    async with RawClient(discord) as client:
        await client.frame()
        await client.ws.send_str(frame)
        assert await client.end() == code


async def test_identify_twice_a_future_sequence_and_an_old_version_are_refused(discord: SimulatedDiscord) -> None:
    """4005, 4007 and 4012."""
    async with RawClient(discord) as client:
        session = (await client.ready())["session_id"]
        await client.identify()
        assert await client.end() == 4005
    async with RawClient(discord) as client:
        await client.frame()
        await client.resume(session, 99)
        assert await client.end() == 4007
    async with RawClient(discord, "v=5&encoding=json") as client:
        assert await client.end() == 4012


async def test_heartbeats_are_acknowledged_and_their_absence_ends_the_connection() -> None:
    """Op 11 for op 1; a client that says nothing for two intervals gets 4009, one that says too much 4008."""
    async with SimulatedDiscord(heartbeat_interval=50) as discord:
        async with RawClient(discord) as client:
            await client.frame()
            await client.ws.send_bytes(b'{"op":1,"d":null}')
            assert (await client.frame())["op"] == 11
            assert await client.end() == 4009
        async with RawClient(discord) as client:
            await client.ready()
            for _ in range(121):
                await client.say(3, {})
            assert await client.end() == 4008


async def test_payloads_can_be_compressed_one_by_one(discord: SimulatedDiscord) -> None:
    """IDENTIFY with `compress` and no transport compression: each frame is a zlib document."""
    async with RawClient(discord) as client:
        await client.frame()
        await client.identify(compress=True)
        message = await client.ws.receive(timeout=5)
        assert json.loads(zlib.decompress(message.data))["t"] == "READY"


async def test_sessions_that_may_be_begun_are_counted() -> None:
    """`GET /gateway/bot` says how many are left; one too many, and the token is not taken any more."""
    headers = {"User-Agent": "DiscordBot (test, 1)"}
    async with SimulatedDiscord(session_starts=1, reset_after=5000, max_concurrency=2) as discord:
        async with RawClient(discord) as client:
            await client.ready()
        headers["Authorization"] = f"Bot {discord.bot_token}"
        async with aiohttp.ClientSession(headers=headers) as http, http.get(f"{discord.api_url}/gateway/bot") as answer:
            said = (await answer.json())["session_start_limit"]
        assert said == {"total": 1, "remaining": 0, "reset_after": 5000, "max_concurrency": 2}
        async with RawClient(discord) as client:
            await client.frame()
            await client.identify()
            assert await client.end() == 4004


async def test_shards_that_identify_too_soon_after_another() -> None:
    """Op 9 false for the second with the same `shard_id % max_concurrency`."""
    async with SimulatedDiscord(shards=3, max_concurrency=2, identify_interval=60_000) as discord:
        answers = []
        for shard in (0, 1, 2):
            async with RawClient(discord) as client:
                await client.frame()
                await client.identify(shard=[shard, 3])
                frame = await client.frame()
                answers.append((frame["op"], frame["t"] or frame["d"]))
        assert answers == [(0, "READY"), (0, "READY"), (9, False)]
