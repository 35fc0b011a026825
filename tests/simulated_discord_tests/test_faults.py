"""Each fault does on the wire what README.md says, and no more."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.simulated_discord import Impossible, SimulatedDiscord
from tests.simulated_discord.gateway_faults import KINDS
from tests.simulated_discord_tests.raw_client import RawClient
from tests.waiting import soon


@pytest.fixture
async def client(discord: SimulatedDiscord) -> AsyncIterator[RawClient]:
    """A client that is ready, in a world with one guild, two channels and ada in the first."""
    guild = discord.add_guild()
    desk = discord.add_channel(guild)
    discord.add_channel(guild)
    discord.join(discord.add_user("ada"), desk)
    async with RawClient(discord) as one:
        one.session = (await one.ready())["session_id"]
        one.last = (await one.until("GUILD_CREATE"))[-1]["s"]
        yield one


def toggle(discord: SimulatedDiscord) -> int:
    """Ada mutes or unmutes herself: one dispatch; returns her id."""
    (ada,) = discord.world.users
    state = discord.world.state(ada)
    discord.set_state(ada, self_mute=not state.self_mute)
    return ada


async def resumed(discord: SimulatedDiscord, session: str, last: int) -> list[dict]:
    async with RawClient(discord) as again:
        await again.frame()
        await again.resume(session, last)
        return await again.until("RESUMED")


# Once, at once


async def test_reconnect_is_op_7_and_the_session_can_be_resumed(discord: SimulatedDiscord, client: RawClient) -> None:
    """Op 7."""
    assert discord.reconnect() == 1
    assert (await client.frame())["op"] == 7
    toggle(discord)
    assert [frame["t"] for frame in await resumed(discord, client.session, client.last)] == [
        "VOICE_STATE_UPDATE",
        "RESUMED",
    ]


async def test_an_invalid_session_says_whether_it_can_be_resumed(discord: SimulatedDiscord, client: RawClient) -> None:
    """Op 9 with true leaves the session alive, though not on this connection; with false it is forgotten."""
    discord.invalidate(resumable=True)
    assert await client.frame() == {"op": 9, "d": True, "t": None, "s": None}
    toggle(discord)
    assert await client.quiet()
    assert len(await resumed(discord, client.session, client.last)) == 2


async def test_a_forgotten_session_is_refused(discord: SimulatedDiscord, client: RawClient) -> None:
    """Nobody is told until RESUME, which gets op 9 false."""
    assert discord.forget_sessions() == 1
    async with RawClient(discord) as again:
        await again.frame()
        await again.resume(client.session, client.last)
        assert (await again.frame())["d"] is False


@pytest.mark.parametrize("code", [1000, 1001, *range(4000, 4015)])
async def test_every_close_code_can_be_sent(discord: SimulatedDiscord, client: RawClient, code: int) -> None:
    """The code arrives as it was given, behind what was sent before."""
    toggle(discord)
    discord.close(code)
    assert (await client.frame())["t"] == "VOICE_STATE_UPDATE"
    assert await client.end() == code
    await soon(lambda: not discord.gateway.connections)
    assert discord.watches()[0]["ended_at"] is not None


async def test_an_abort_is_a_tcp_reset(discord: SimulatedDiscord, client: RawClient) -> None:
    """The connection ends without a close frame, and what was not sent is there to be resumed."""
    discord.abort()
    toggle(discord)
    assert await client.end() == 1006
    assert len(await resumed(discord, client.session, client.last)) == 2


async def test_old_frames_come_again_with_their_old_numbers(discord: SimulatedDiscord, client: RawClient) -> None:
    """`resend` repeats the last dispatches as they were."""
    toggle(discord)
    toggle(discord)
    first, second = await client.frame(), await client.frame()
    assert discord.resend(2) == 2
    assert [await client.frame(), await client.frame()] == [first, second]


@pytest.mark.parametrize("kind", KINDS)
async def test_malformed_frames_arrive_once(discord: SimulatedDiscord, client: RawClient, kind: str) -> None:
    """Each kind is on the wire once; a RESUME does not bring it again."""
    assert discord.malformed(kind) == 1
    message = await client.ws.receive(timeout=5)
    assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY)
    if kind == "not_json":
        with pytest.raises(ValueError, match="Expecting value"):
            json.loads(message.data)
    if kind == "bad_compression":
        with pytest.raises(zlib.error):
            zlib.decompress(message.data)
    frames = await resumed(discord, client.session, client.last)
    assert [frame["t"] for frame in frames] == ["RESUMED"]


async def test_any_text_can_be_sent_and_unknown_kinds_are_refused(discord: SimulatedDiscord, client: RawClient) -> None:
    """`send_text` is for what nobody thought of."""
    discord.send_text("¡hola!")
    assert await client.text() == "¡hola!"
    with pytest.raises(Impossible, match="no such malformed frame"):
        discord.malformed("well-formed")


async def test_one_shard_alone_can_be_disturbed() -> None:
    """The shard argument leaves the others in peace."""
    async with SimulatedDiscord(shards=2) as discord, RawClient(discord) as first, RawClient(discord) as second:
        await first.ready(shard=[0, 2])
        await second.ready(shard=[1, 2])
        assert discord.invalidate(resumable=False, shard=1) == 1
        assert (await second.frame())["op"] == 9
        assert await first.quiet()
        assert discord.state()["connected_shards"] == [0]


# Switches


async def test_refused_means_that_nothing_listens(discord: SimulatedDiscord, client: RawClient) -> None:
    """New connections are refused, open ones live on, and the port is the same afterwards."""
    discord.faults.refuse = True
    with pytest.raises(aiohttp.ClientConnectorError):
        await RawClient(discord).__aenter__()
    toggle(discord)
    assert (await client.frame())["t"] == "VOICE_STATE_UPDATE"
    discord.faults.refuse = False
    async with RawClient(discord) as again:
        assert (await again.frame())["op"] == 10


async def test_the_upgrade_can_be_answered_with_503(discord: SimulatedDiscord) -> None:
    """Instead of 101."""
    discord.set_faults(upgrade_status=503)
    with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
        await RawClient(discord).__aenter__()


async def test_a_connection_can_end_before_hello(discord: SimulatedDiscord) -> None:
    """By a close code, by a reset, or by op 7."""
    discord.faults.before_hello = 1001
    async with RawClient(discord) as client:
        assert await client.end() == 1001
    discord.faults.before_hello = "abort"
    with pytest.raises((aiohttp.ClientError, AssertionError)):
        async with RawClient(discord) as client:
            await client.frame()
    discord.faults.before_hello = "reconnect"
    async with RawClient(discord) as client:
        assert (await client.frame())["op"] == 7


async def test_silence_holds_everything_back_and_then_lets_it_flow(
    discord: SimulatedDiscord, client: RawClient
) -> None:
    """Nothing is lost: what happened comes in order when the silence ends."""
    discord.faults.silent = True
    toggle(discord)
    toggle(discord)
    await client.say(1)
    assert await client.quiet()
    discord.faults.silent = False
    assert [(await client.frame())["op"] for _ in range(3)] == [0, 0, 11]


async def test_heartbeats_can_stay_unanswered(discord: SimulatedDiscord, client: RawClient) -> None:
    """No ACK, while everything else flows."""
    discord.faults.no_ack = True
    await client.say(1)
    toggle(discord)
    assert (await client.frame())["op"] == 0
    assert await client.quiet()


async def test_identify_and_resume_can_stay_unanswered(discord: SimulatedDiscord, client: RawClient) -> None:
    """Heartbeats are acknowledged all the same."""
    discord.set_faults(ignore_identify=True, ignore_resume=True)
    for ask in (lambda one: one.identify(), lambda one: one.resume(client.session, client.last)):
        async with RawClient(discord) as again:
            await again.frame()
            await ask(again)
            await again.say(1)
            assert (await again.frame())["op"] == 11
            assert await again.quiet()


@pytest.mark.parametrize("answer", [True, False])
async def test_identify_and_resume_can_be_answered_with_op_9(
    discord: SimulatedDiscord, client: RawClient, answer: bool
) -> None:
    """Each with its own switch."""
    discord.set_faults(identify_answer=answer, resume_answer=answer)
    for ask in (lambda one: one.identify(), lambda one: one.resume(client.session, client.last)):
        async with RawClient(discord) as again:
            await again.frame()
            await ask(again)
            frame = await again.frame()
            assert (frame["op"], frame["d"]) == (9, answer)


async def test_identify_can_be_answered_with_a_close_code(discord: SimulatedDiscord) -> None:
    """As with a token that was reset: 4004."""
    discord.faults.identify_answer = 4004
    async with RawClient(discord) as client:
        await client.frame()
        await client.identify()
        assert await client.end() == 4004


async def test_duplicates_have_one_sequence_number(discord: SimulatedDiscord, client: RawClient) -> None:
    """The same frame twice."""
    discord.faults.duplicate = True
    toggle(discord)
    assert await client.frame() == await client.frame()


async def test_lost_events_are_in_the_record_alone(discord: SimulatedDiscord, client: RawClient) -> None:
    """No frame, no number, no replay; the world has changed nevertheless."""
    discord.faults.lose = True
    ada = toggle(discord)
    discord.faults.lose = False
    toggle(discord)
    frame = await client.frame()
    assert (frame["s"], frame["d"]["self_mute"]) == (client.last + 1, False)
    (lost,) = [entry for entry in discord.history.entries if entry.get("lost")]
    assert (lost["user_id"], lost["self_mute"]) == (ada, True)


async def test_dropped_events_leave_a_gap_in_the_numbers(discord: SimulatedDiscord, client: RawClient) -> None:
    """No frame and no replay, but the next one's number is one higher."""
    discord.faults.drop = True
    toggle(discord)
    discord.faults.drop = False
    toggle(discord)
    frame = await client.frame()
    assert (frame["s"], frame["d"]["self_mute"]) == (client.last + 2, False)


async def test_fields_can_be_missing(discord: SimulatedDiscord, client: RawClient) -> None:
    """`member` as a whole, or its `flags`."""
    toggle(discord)
    assert (await client.frame())["d"]["member"]["flags"] == 0
    discord.faults.omit_flags = True
    toggle(discord)
    assert "flags" not in (await client.frame())["d"]["member"]
    discord.faults.omit_member = True
    toggle(discord)
    assert "member" not in (await client.frame())["d"]


async def test_a_snapshot_can_hold_a_null_channel(discord: SimulatedDiscord, client: RawClient) -> None:
    """And its people may be in channels that it does not name."""
    discord.faults.null_channel = True
    (guild,) = discord.world.guilds
    (ada,) = discord.world.users
    discord.switch(ada, discord.add_channel(guild, announced=False))
    discord.outage(guild)
    discord.recover(guild)
    created = (await client.until("GUILD_CREATE"))[-1]["d"]
    known = {channel["id"] for channel in created["channels"]}
    assert [state["channel_id"] in known for state in created["voice_states"]] == [False, False]
    assert created["voice_states"][1]["channel_id"] is None


async def test_life_goes_on_during_an_outage_unseen(discord: SimulatedDiscord, client: RawClient) -> None:
    """Only the snapshot of the recovery shows what changed, and a new session does not see the guild before."""
    (guild,) = discord.world.guilds
    (ada,) = discord.world.users
    discord.outage(guild)
    assert (await client.frame())["d"] == {"id": str(guild), "unavailable": True}
    discord.leave(ada)
    async with RawClient(discord) as other:
        assert (await other.ready())["guilds"] == [{"id": str(guild), "unavailable": True}]
        assert await other.quiet()
        discord.recover(guild)
        for one in (client, other):
            assert (await one.frame())["d"]["voice_states"] == []


async def test_a_guild_removed_while_nobody_looked_is_not_in_ready(
    discord: SimulatedDiscord, client: RawClient
) -> None:
    """READY's list is the truth."""
    (guild,) = discord.world.guilds
    discord.remove_guild(guild)
    async with RawClient(discord) as again:
        assert (await again.ready())["guilds"] == []


async def test_ready_can_be_late_and_faults_can_be_cleared(discord: SimulatedDiscord) -> None:
    """`clear_faults` puts every switch back."""
    discord.set_faults(ready_delay=60_000, no_ack=True)
    async with RawClient(discord) as client:
        await client.frame()
        await client.identify()
        assert await client.quiet()
    discord.clear_faults()
    assert discord.faults.ready_delay == 0
    assert not discord.faults.no_ack
    with pytest.raises(AttributeError):
        discord.faults.rain = True


# Once, at a phase

BEHIND = {"hello": 10, "ready": "READY", "guild": "GUILD_CREATE"}


@pytest.mark.parametrize("phase", ["upgrade", "hello", "identify", "ready", "guild"])
@pytest.mark.parametrize("what", ["reset", "close", "op 7", "op 9 true", "op 9 false"])
async def test_one_fault_at_a_phase_of_the_next_connection(discord: SimulatedDiscord, phase: str, what: str) -> None:
    """It comes right behind what the phase is named for, once; the connection after it meets nothing."""
    discord.add_guild()
    discord.once(phase, what)
    async with RawClient(discord) as client:
        if phase not in ("upgrade", "hello"):
            await client.frame()
            await client.identify()
        seen = []
        if what in ("reset", "close"):
            assert await client.end() == (4000 if what == "close" else 1006)
        else:
            while not seen or seen[-1]["op"] in (0, 10):
                seen.append(await client.frame())
            expected = (7, None) if what == "op 7" else (9, what == "op 9 true")
            assert (seen[-1]["op"], seen[-1]["d"]) == expected
            before = seen[-2] if len(seen) > 1 else None
            if phase in BEHIND:
                assert before is not None
                assert BEHIND[phase] in (before["op"], before["t"])
            else:
                assert before is None
    async with RawClient(discord) as client:
        await client.ready()


@pytest.mark.parametrize("phase", ["resume", "replay", "resumed"])
async def test_one_fault_of_a_resume(discord: SimulatedDiscord, client: RawClient, phase: str) -> None:
    """In place of the answer, behind the first frame that is replayed, or behind RESUMED."""
    await client.ws.close(code=4000)
    toggle(discord)
    toggle(discord)
    discord.once(phase, "op 7")
    async with RawClient(discord) as again:
        await again.frame()
        await again.resume(client.session, client.last)
        frames = [await again.frame()]
        while frames[-1]["op"] != 7:
            frames.append(await again.frame())
        assert [frame["t"] for frame in frames[:-1]] == {
            "resume": [],
            "replay": ["VOICE_STATE_UPDATE"],
            "resumed": ["VOICE_STATE_UPDATE", "VOICE_STATE_UPDATE", "RESUMED"],
        }[phase]


async def test_one_lost_ack_and_one_silence(discord: SimulatedDiscord) -> None:
    """The ACK of the next heartbeat alone; and a connection on which nothing comes any more."""
    discord.once("hello", "lost ack")
    async with RawClient(discord) as client:
        await client.frame()
        await client.say(1)
        await client.say(1)
        assert (await client.frame())["op"] == 11
        assert await client.quiet()
    discord.once("ready", "silence")
    async with RawClient(discord) as client:
        await client.ready()
        await client.say(1)
        assert await client.quiet()


@pytest.mark.parametrize("what", ["reset", "silence"])
async def test_an_upgrade_that_is_not_answered(discord: SimulatedDiscord, what: str) -> None:
    """The TCP connection stands: it is reset, or nothing comes."""
    discord.once("accept", what)
    host, port = discord.gateway_url.removeprefix("ws://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    if what == "reset":
        with pytest.raises(ConnectionResetError):
            await reader.read()
    else:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.1)
    writer.close()


def test_faults_that_cannot_be_had(discord: SimulatedDiscord) -> None:
    """Impossible."""
    for phase, what in (("never", "reset"), ("hello", "flood"), ("accept", "op 7")):
        with pytest.raises(Impossible):
            discord.once(phase, what)


async def test_an_api_that_never_answers(discord: SimulatedDiscord) -> None:
    """Until the switch is set back."""
    headers = {"User-Agent": "DiscordBot (test, 1)"}
    async with aiohttp.ClientSession(headers=headers) as http:
        discord.faults.api_silent = True
        with pytest.raises(asyncio.TimeoutError):
            async with http.get(f"{discord.api_url}/gateway", timeout=aiohttp.ClientTimeout(total=0.1)):
                pass
        discord.clear_faults()
        async with http.get(f"{discord.api_url}/gateway") as answer:
            assert answer.status == 200


async def test_a_session_can_be_told_to_resume_elsewhere(discord: SimulatedDiscord) -> None:
    """As long as the switch is set; until then, and after it, at the gateway itself."""
    given = []
    for url in (None, "ws://127.0.0.1:1", None):
        discord.faults.resume_url = url
        async with RawClient(discord) as client:
            given.append((await client.ready())["resume_gateway_url"])
    assert given == [discord.gateway_url, "ws://127.0.0.1:1", discord.gateway_url]
