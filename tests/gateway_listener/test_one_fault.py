"""One fault at one moment of a connection, by the real discord.py: what the next connection sees is exact.

https://discord.com/developers/docs/events/gateway#connection-lifecycle
"""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from gateway_listener.listener import Listener
from tests.gateway_listener.running import QUICK, Scene
from tests.gateway_listener.test_gateway_faults import late_since, tried
from tests.simulated_discord.gateway_faults import MISHAPS, PHASES
from tests.simulated_discord.server import wall_clock
from tests.waiting import soon

# What a busy machine may add to a moment that is seen live, and how often it may be so busy that the listener says so.
EXACT_MS, STAYS = 100, 6
TIMING = replace(QUICK, longest_pause=0.1)

AT_THE_START = [phase for phase in PHASES if phase not in ("resume", "replay", "resumed")]
ON_THE_WAY_BACK = ["accept", "upgrade", "hello", "resume", "replay", "resumed"]
TABLE = [
    (way, phase, what)
    for way, phases in (("at the start", AT_THE_START), ("on the way back", ON_THE_WAY_BACK))
    for phase in phases
    for what in MISHAPS
    if not (phase == "accept" and what not in ("reset", "silence")) and not (phase == "upgrade" and what == "lost ack")
]


async def golden_stay(stage: Scene, listener: Listener) -> None:
    """Bob comes, stays for a moment and goes; what is stored is that, to the millisecond as far as anybody can tell."""
    stored = {row["session_id"] for row in await stage.rows()}
    found = []
    for _ in range(STAYS):
        await soon(lambda: late_since(listener) is None, what="frames are read in time")
        stage.discord.join(stage.bob, stage.desk)
        await soon(lambda: stage.discord.stays()[-1]["started_at"] + 300 < wall_clock())
        stage.discord.leave(stage.bob)
        await soon(lambda: listener._tracker.figures()["open_sessions"] == 1, what="only Ada is there")
        truth = stage.discord.stays()[-1]
        rows = await stage.settled(listener, stays=len(stored) + 1)
        (row,) = [row for row in rows if row["session_id"] not in stored]
        stored.add(row["session_id"])
        beside = max(abs(row[edge] - truth[edge]) for edge in ("started_at", "ended_at"))
        found.append((beside, row["started_within_ms"], row["ended_within_ms"]))
        if beside <= EXACT_MS and found[-1][1:] == (0, 0):
            return
    raise AssertionError(f"no stay was stored as it was: {found}")


@pytest.mark.parametrize(("way", "phase", "what"), TABLE, ids=[" ".join(fault) for fault in TABLE])
async def test_after_one_fault_the_next_connection_sees_exactly(stage: Scene, way: str, phase: str, what: str) -> None:
    """Whatever the first one met: it is made anew within its time, and owes the next nothing."""
    discord = stage.discord
    if way == "at the start":
        discord.once(phase, what)
    async with stage.listening(connected=False, timing=TIMING) as listener:
        if way == "on the way back":
            await stage.until_live(listener)
            discord.faults.refuse = True
            discord.abort()
            await soon(lambda: not discord.state()["connections"], what="the connection goes")
            discord.join(stage.ada, stage.desk)
            discord.once(phase, what)
            discord.faults.refuse = False
        else:
            discord.join(stage.ada, stage.desk)
        await soon(lambda: not discord.gateway.once, what="the fault happens")
        if (phase, what) != ("accept", "reset"):  # then aiohttp by itself asks once more
            connections = 1 if way == "at the start" else 2
            await soon(lambda: tried(listener) >= connections, what="the connection is made anew")
        await stage.until_live(listener)
        rows = await stage.settled(listener, stays=1)
        stage.check(rows, stage.ada)
        await golden_stay(stage, listener)
        assert not [thread for thread in threading.enumerate() if type(thread).__module__.startswith("discord")]
