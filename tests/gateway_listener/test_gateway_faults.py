"""The real discord.py against the simulated Discord: whatever goes wrong between them, the rows are right."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from gateway_listener.clock import Clock
from gateway_listener.dates import dates
from gateway_listener.gateway import Gateway, GatewayLost
from gateway_listener.listener import Listener
from gateway_listener.settings import Timing
from tests.gateway_listener.running import QUICK, Scene, in_order
from tests.simulated_discord.gateway_faults import KINDS
from tests.simulated_discord.server import SimulatedDiscord
from tests.waiting import soon

Fault = Callable[[SimulatedDiscord], object]


def tried(listener: Listener) -> int:
    """How many attempts have been made anew."""
    return 0 if listener._gateway is None else listener._gateway.counts["reconnects"]


def late_since(listener: Listener) -> int | None:
    """Since when what is read now may have waited."""
    return None if listener._gateway is None else listener._gateway.late_since()


async def ada_leaves(stage: Scene, listener: Listener, *, stays: int) -> None:
    """Live, with nobody else in voice; of what she did these are the rows."""
    stage.discord.leave(stage.ada)
    await soon(lambda: listener._tracker.figures()["open_sessions"] == 0)
    stage.check(await stage.settled(listener, stays=stays), stage.ada)


async def play(stage: Scene, listener: Listener, fault: Fault) -> None:
    """Two people sit down; in the gap that the fault makes one moves and one leaves; then live again."""
    discord = stage.discord
    discord.join(stage.ada, stage.desk)
    discord.join(stage.bob, stage.desk)
    discord.join(stage.cat, stage.desk)
    await stage.settled(listener, stays=2)
    discord.faults.refuse = True
    fault(discord)
    await soon(
        lambda: not listener._tracker.sight.ready or not discord.state()["connections"], what="the connection goes"
    )
    discord.switch(stage.ada, stage.sofa)
    discord.leave(stage.bob)
    discord.faults.refuse = False
    await stage.until_live(listener)
    await stage.settled(listener, stays=3)
    discord.join(stage.bob, stage.desk)
    discord.leave(stage.ada)
    discord.leave(stage.cat)
    rows = await stage.settled(listener, stays=4)
    await soon(lambda: listener.idle and listener._store.idle())
    stage.check(await stage.rows(), stage.ada, stage.bob)
    assert stage.cat not in {row["user_id"] for row in rows}


@pytest.mark.parametrize("code", [1000, 1001, 4000, 4001, 4002, 4003, 4005, 4007, 4008, 4009])
async def test_closed(stage: Scene, code: int) -> None:
    """Every close code that is no verdict is followed by a new connection, and nothing is lost or doubled."""
    async with stage.listening() as listener:
        await play(stage, listener, lambda discord: discord.close(code))


RESUMED = [
    ("op 7", lambda discord: discord.reconnect()),
    ("op 9 true", lambda discord: discord.invalidate(True)),
    ("reset", lambda discord: discord.abort()),
]


@pytest.mark.parametrize(("name", "fault"), RESUMED, ids=[name for name, _ in RESUMED])
async def test_resumed(stage: Scene, name: str, fault: Fault) -> None:
    """The session goes on, and what was missed is replayed."""
    async with stage.listening() as listener:
        await play(stage, listener, fault)
        assert stage.discord.state()["resumes"] >= 1
        ended = [row["ended_by"] for row in await stage.rows()]
        assert "roll_call" not in ended


@pytest.mark.parametrize("before", ["op 9 false", "forgotten"])
async def test_a_new_session(stage: Scene, before: str) -> None:
    """The gap's events are gone; the roll call says who is where."""

    def fault(discord: SimulatedDiscord) -> None:
        if before == "op 9 false":
            discord.invalidate(False)
        else:
            discord.forget_sessions()
            discord.abort()

    async with stage.listening() as listener:
        await play(stage, listener, fault)
        assert {row["ended_by"] for row in await stage.rows()} >= {"roll_call"}


@pytest.mark.parametrize("kind", KINDS)
async def test_malformed_frames(stage: Scene, kind: str) -> None:
    """Whatever the frame, the listener survives it, and what follows is right."""
    async with stage.listening() as listener:
        stage.discord.join(stage.ada, stage.desk)
        await stage.settled(listener, stays=1)
        stage.discord.malformed(kind)
        stage.discord.switch(stage.ada, stage.sofa)
        await stage.settled(listener, stays=2)
        await stage.until_live(listener)
        await ada_leaves(stage, listener, stays=2)


@pytest.mark.parametrize("kind", ["refuse", "upgrade", "api", "close before hello", "abort before hello"])
async def test_unreachable_at_the_first_start(stage: Scene, kind: str) -> None:
    """The listener tries again until Discord is there; discord.py by itself would end."""
    switches = {
        "refuse": {"refuse": True},
        "upgrade": {"upgrade_status": 503},
        "api": {"api_status": 503},
        "close before hello": {"before_hello": 1001},
        "abort before hello": {"before_hello": "abort"},
    }[kind]
    stage.discord.set_faults(**switches)
    stage.discord.join(stage.ada, stage.desk)
    async with stage.listening(connected=False) as listener:
        await soon(lambda: tried(listener))
        stage.discord.clear_faults()
        await stage.until_live(listener)
        await ada_leaves(stage, listener, stays=1)


@pytest.mark.parametrize("before_hello", [1001, "abort", "reconnect"])
async def test_disturbed_before_hello_on_the_way_back(stage: Scene, before_hello: int | str) -> None:
    """A connection that ends before HELLO is one more attempt."""
    async with stage.listening() as listener:
        stage.discord.join(stage.ada, stage.desk)
        await stage.settled(listener, stays=1)
        stage.discord.set_faults(before_hello=before_hello)
        stage.discord.abort()
        await soon(lambda: not stage.discord.state()["connections"])
        stage.discord.switch(stage.ada, stage.sofa)
        await asyncio.sleep(0)
        stage.discord.clear_faults()
        await stage.until_live(listener)
        await ada_leaves(stage, listener, stays=2)


@pytest.mark.parametrize("switch", ["no_ack", "silent", "ignore_resume"])
async def test_what_discord_py_does_not_notice(stage: Scene, switch: str) -> None:
    """No ACK, silence, no answer to RESUME: the connection is made anew by us."""
    async with stage.listening() as listener:
        stage.discord.join(stage.ada, stage.desk)
        await stage.settled(listener, stays=1)
        stage.discord.set_faults(**{switch: True})
        if switch == "ignore_resume":
            stage.discord.abort()
        assert listener._gateway is not None
        counts = listener._gateway.counts
        await soon(lambda: counts["complaints"] >= 1, what="the heartbeat is missed")
        stage.discord.clear_faults()
        await stage.until_live(listener)
        await ada_leaves(stage, listener, stays=1)


async def test_a_connection_that_stood_still(stage: Scene) -> None:
    """Nothing comes, not even an ACK, and then all at once: the end says since when it may have been."""
    async with stage.listening() as listener:
        stage.discord.join(stage.ada, stage.desk)
        await stage.settled(listener, stays=1)
        stage.discord.faults.silent = True
        stage.discord.leave(stage.ada)
        await soon(lambda: late_since(listener) is not None or not listener._tracker.sight.ready)
        stage.discord.faults.silent = False
        await soon(lambda: listener._tracker.figures()["open_sessions"] == 0)
        (row,) = await stage.settled(listener, stays=1)
        assert row["ended_within_ms"] > 0
        stage.check([row], stage.ada)


@asynccontextmanager
async def told_to_resume(stage: Scene, where: str) -> AsyncIterator[None]:
    """The next session is; the gateway itself stays where it is."""

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    urls = {"refused": "ws://127.0.0.1:1", "silent": f"ws://127.0.0.1:{port}", "no address": "not an address"}
    stage.discord.faults.resume_url = urls[where]
    try:
        yield
    finally:
        stage.discord.faults.resume_url = None
        silent.close()


@pytest.mark.parametrize("nowhere", ["refused", "silent", "no address"])
async def test_a_resume_address_that_leads_nowhere(stage: Scene, nowhere: str) -> None:
    """After two attempts there the session is resumed at the address of the settings: nothing is lost."""
    timing = replace(QUICK, longest_pause=0.1, answer_within=0.5)
    async with told_to_resume(stage, nowhere), stage.listening(timing=timing) as listener:
        discord = stage.discord
        discord.join(stage.ada, stage.desk)
        await stage.settled(listener, stays=1)
        discord.abort()
        await soon(lambda: discord.state()["resumes"] == 1, what="the session is resumed")
        await stage.until_live(listener)
        await stage.moment()
        discord.leave(stage.ada)
        await soon(lambda: listener._tracker.figures()["open_sessions"] == 0)
        (row,) = await stage.settled(listener, stays=1)
        stage.check([row], stage.ada)
        assert row["ended_within_ms"] == 0
        assert discord.state()["identifies"] == 1


async def test_a_session_that_cannot_be_resumed_for_too_long(stage: Scene) -> None:
    """After a bounded time a fresh one is begun at the address of the settings; the process need not end for it."""
    timing = replace(QUICK, resume_within=0.3, longest_pause=0.1, answer_within=0.5)
    async with told_to_resume(stage, "silent"), stage.listening(timing=timing) as listener:
        discord = stage.discord
        discord.join(stage.ada, stage.desk)
        await stage.settled(listener, stays=1)
        discord.abort()
        await soon(lambda: discord.state()["identifies"] == 2, what="a fresh session")
        await stage.until_live(listener)
        await ada_leaves(stage, listener, stays=1)
        assert discord.state()["resumes"] == 0


async def test_a_short_outage_costs_no_session(stage: Scene) -> None:
    """However many attempts are refused, what Discord still has is resumed."""
    async with stage.listening(timing=replace(QUICK, longest_pause=0.05)) as listener:
        stage.discord.faults.refuse = True
        stage.discord.abort()
        await soon(lambda: tried(listener) >= 8, what="eight attempts")
        stage.discord.faults.refuse = False
        await stage.until_live(listener)
        assert stage.discord.state()["identifies"] == 1


async def test_a_fresh_session_that_is_asked_for(stage: Scene) -> None:
    """However often it is asked for meanwhile, it is one; what comes back at once waits four times as long."""
    async with stage.listening() as listener:
        discord = stage.discord
        discord.join(stage.ada, stage.desk)
        await stage.settled(listener, stays=1)
        assert listener._gateway is not None
        for _ in range(3):
            listener._gateway.renew("a frame could not be followed")
        await soon(lambda: discord.state()["identifies"] == 2, what="a fresh session")
        await stage.until_live(listener)
        await ada_leaves(stage, listener, stays=1)
        assert (discord.state()["identifies"], listener._gateway.counts["renewals"]) == (2, 1)


async def test_identify_never_answered(stage: Scene) -> None:
    """The next connection is made, as often as it takes."""
    stage.discord.set_faults(ignore_identify=True)
    async with stage.listening(connected=False) as listener:
        await soon(lambda: tried(listener) >= 2)
        stage.discord.clear_faults()
        await stage.until_live(listener)


def unreadable(discord: SimulatedDiscord) -> None:
    """Every READY is one that nobody can read."""
    discord.gateway._ready = lambda session: {"guilds": [{"id": "none"}]}  # type: ignore[method-assign]


FOR_EVER: dict[str, Fault] = {
    "op 9 true": lambda discord: discord.set_faults(identify_answer=True),
    "op 9 false": lambda discord: discord.set_faults(identify_answer=False),
    "HELLO and close": lambda discord: discord.set_faults(identify_answer=1001),
    "READY never": lambda discord: discord.set_faults(ignore_identify=True),
    "READY that cannot be read": unreadable,
    "op 7": lambda discord: discord.set_faults(before_hello="reconnect"),
}


@pytest.mark.parametrize("fault", FOR_EVER.values(), ids=FOR_EVER.keys())
async def test_whatever_answers_but_ready_or_resumed_is_out_of_reach(stage: Scene, fault: Fault) -> None:
    """However Discord refuses every attempt, after the bounded time the process ends, to be started again."""
    fault(stage.discord)
    timing = replace(QUICK, answer_within=0.2, between_identifies=0.01, longest_pause=0.1, unseen_too_long=0.5)
    with pytest.raises(GatewayLost, match="out of reach for"):
        await asyncio.wait_for(Listener(stage.settings(timing=timing)).run(), 30)


def gateway(stage: Scene, stopping: asyncio.Event, **calls: Any) -> Gateway:
    """The connection alone, which calls nothing else."""

    async def logged_in(application: int) -> None:
        pass

    clock = calls.setdefault("clock", Clock())
    nothing = {"on_malformed": lambda problem: None, "on_hang_up": lambda: None, "note_spent": lambda text: None}
    return Gateway(
        stage.settings(),
        spent="",
        stopping=stopping,
        http_trace=dates(clock.steady_ms, lambda *heard: None),
        **{"on_frame": lambda *frame: True, "on_login": logged_in, **nothing, **calls},
    )


@pytest.mark.parametrize("by_s", [7200, -7200, -10 * 365 * 86_400])
async def test_the_pace_of_identifies_is_not_touched_by_a_clock_that_is_set(stage: Scene, by_s: int) -> None:
    """Whenever it is set, and however far: what was sent before it counts, at its distance, and is noted so."""
    noted: list[str] = []
    clock, stopping = Clock(), asyncio.Event()
    held = gateway(stage, stopping, clock=clock, note_spent=noted.append)
    running = asyncio.create_task(held.run())
    await soon(lambda: len(noted) == 1, what="the first is noted")
    clock._ahead += by_s * 1000
    stage.discord.invalidate(False)
    await soon(lambda: len(noted) == 2, what="the second is noted")
    stopping.set()
    await running
    first, second = json.loads(noted[1])
    assert 0 < second - first < 60_000
    assert abs(clock.now() - second) < 60_000


CALLED: dict[str, Fault] = {
    "on_login": lambda discord: None,
    "note_spent": lambda discord: None,
    "on_frame": lambda discord: None,
    "on_malformed": unreadable,
    "on_hang_up": lambda discord: discord.set_faults(before_hello=1001),
}


@pytest.mark.parametrize("problem", [ValueError, ConnectionError, asyncio.TimeoutError])
@pytest.mark.parametrize("called", CALLED)
async def test_what_the_gateway_calls_is_no_attempt_that_failed(
    stage: Scene, called: str, problem: type[Exception]
) -> None:
    """A mistake in it ends the gateway, and is raised as it is, also if it looks like a broken connection."""

    def fails(*_: object) -> Any:
        raise problem("ours")

    CALLED[called](stage.discord)
    with pytest.raises(problem, match="ours"):
        await asyncio.wait_for(gateway(stage, asyncio.Event(), **{called: fails}).run(), 20)


async def test_a_mistake_while_it_is_stopped_is_raised(stage: Scene) -> None:
    """It would be nobody's else: who asked for the end would take it for a good one."""
    stopping = asyncio.Event()

    def fails() -> None:
        raise ValueError("ours")

    running = asyncio.create_task(gateway(stage, stopping, on_hang_up=fails).run())
    await stage.discord.wait_connected()
    stopping.set()
    with pytest.raises(ValueError, match="ours"):
        await asyncio.wait_for(running, 20)


async def test_the_pauses_between_attempts_are_bounded(stage: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """By a minute; here by 50 ms, so that many attempts fit into a moment. discord.py's own grow to 17 minutes."""
    assert Timing().longest_pause == 60
    caplog.set_level(logging.INFO)
    stage.discord.set_faults(refuse=True)
    async with stage.listening(connected=False, timing=replace(QUICK, longest_pause=0.05)) as listener:
        await soon(lambda: tried(listener) >= 20, what="twenty attempts")
        stage.discord.clear_faults()
        await stage.until_live(listener)
    pauses = [float(record.after.split()[0]) for record in caplog.records if hasattr(record, "after")]
    assert len(pauses) >= 20
    assert max(pauses) <= 0.1


async def test_thousands_of_replayed_frames(stage: Scene) -> None:
    """Each is taken in its order: nobody is doubled, and everybody is where the last one says."""
    async with stage.listening() as listener:
        discord = stage.discord
        discord.join(stage.ada, stage.desk)
        discord.join(stage.bob, stage.sofa)
        await stage.settled(listener, stays=2)
        discord.faults.refuse = True
        discord.abort()
        await soon(lambda: not discord.state()["connections"])
        discord.burst(2000, [stage.ada, stage.bob], [stage.desk, stage.sofa])
        discord.faults.refuse = False
        await stage.until_live(listener)
        await soon(lambda: listener.idle and listener._store.idle(), within=60)
        rows = await stage.rows()
        for user in (stage.ada, stage.bob):
            mine = [row for row in rows if row["user_id"] == user]
            (now,) = [stay for stay in discord.stays() if stay["user_id"] == user and stay["ended_at"] is None]
            assert [row["channel_id"] for row in mine if row["ended_at"] is None] == [now["channel_id"]]
            ordered = sorted(mine, key=in_order)
            assert all(a["ended_at"] <= b["started_at"] for a, b in itertools.pairwise(ordered))


@pytest.mark.parametrize("switch", ["duplicate", "omit_member", "omit_flags", "null_channel"])
async def test_odd_payloads(stage: Scene, switch: str) -> None:
    """Duplicates, missing members, missing flags, null channels: all legal."""
    stage.discord.set_faults(**{switch: True})
    async with stage.listening() as listener:
        stage.discord.join(stage.ada, stage.desk)
        stage.discord.set_state(stage.ada, self_mute=True)
        await stage.moment()
        stage.discord.switch(stage.ada, stage.sofa)
        await stage.settled(listener, stays=2)
        stage.discord.resend(3)
        stage.discord.outage(stage.guild)
        stage.discord.recover(stage.guild)
        await ada_leaves(stage, listener, stays=2)


async def test_an_outage_of_the_guild(stage: Scene) -> None:
    """What happened in it comes with the roll call; no ghosts."""
    async with stage.listening() as listener:
        discord = stage.discord
        discord.join(stage.ada, stage.desk)
        discord.join(stage.bob, stage.desk)
        await stage.settled(listener, stays=2)
        discord.outage(stage.guild)
        discord.leave(stage.ada)
        discord.switch(stage.bob, stage.sofa)
        discord.recover(stage.guild)
        rows = await stage.settled(listener, stays=3)
        stage.check(rows, stage.ada, stage.bob)
        assert [row["user_id"] for row in rows if row["ended_at"] is None] == [stage.bob]


@pytest.mark.parametrize("away", [False, True])
async def test_removed_from_the_guild_and_invited_again(stage: Scene, away: bool) -> None:
    """Sessions end with the bot's leaving, also if that happened while nobody was connected."""
    async with stage.listening() as listener:
        discord = stage.discord
        discord.join(stage.ada, stage.desk)
        await stage.settled(listener, stays=1)
        if away:
            discord.faults.refuse = True
            discord.forget_sessions()
            discord.abort()
            await soon(lambda: not discord.state()["connections"])
        discord.remove_guild(stage.guild)
        discord.faults.refuse = False
        await soon(lambda: stage.seated(listener) == 0)
        await discord.wait_connected()
        discord.add_bot(stage.guild)
        rows = await stage.settled(listener, stays=2)
        assert sorted((row["ended_by"] or "", row["started_by"]) for row in rows) == [
            ("", "roll_call"),
            ("guild_left", "joined"),
        ]


async def test_an_unknown_channel(stage: Scene) -> None:
    """A channel that nobody has named is a channel."""
    async with stage.listening() as listener:
        hidden = stage.discord.add_channel(stage.guild, "Hidden", announced=False)
        stage.discord.join(stage.ada, hidden)
        await stage.settled(listener, stays=1)
        await ada_leaves(stage, listener, stays=1)
