"""A whole listener in the test's own event loop: real discord.py, real store, real service, simulated Discord."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from db_client.records import ChannelRecording, ConsentDecision, Record
from db_client.settings import StoreSettings
from db_client.snowflake import earliest
from db_client.statements import Statement
from db_client.store import Fate, Store
from gateway_listener.clock import Clock
from gateway_listener.listener import Listener
from gateway_listener.settings import Settings, Timing
from tests.services import RunningService
from tests.simulated_discord.server import SimulatedDiscord, wall_clock
from tests.waiting import soon

QUICK = Timing(
    answer_within=1.0,
    between_identifies=0.05,
    longest_pause=1.0,
    follow_every=0.1,
    share_every=0.2,
    last_delivery_within=5.0,
)
# What the loop, the sockets and a busy machine may add to a moment that was seen live.
SLACK_MS = 250
# After an outage the next attempt at delivery may be so far away (seconds).
DELIVERED_WITHIN = 60.0


def in_order(row: dict[str, Any]) -> tuple[int, int, int]:
    """By person and time; of what has no length, first what ended first."""
    return row["user_id"], row["started_at"], 2**63 if row["ended_at"] is None else row["ended_at"]


class Scene:
    """A simulated Discord with a guild of two rooms, three people, and the SQLite service beside it."""

    def __init__(self, discord: SimulatedDiscord, service: RunningService, folder: Path) -> None:
        self.discord, self.service, self.folder = discord, service, folder
        self.store = Store(StoreSettings(service.url, folder / "endpoint.db"))
        self.store.start()
        self.guild = discord.add_guild("Study room")
        self.desk, self.sofa = (discord.add_channel(self.guild, name) for name in ("Desk", "Sofa"))
        self.ada, self.bob, self.cat = (discord.add_user(name) for name in ("ada", "bob", "cat"))
        self._interactions = 0

    def settings(self, *, timing: Timing = QUICK, **variables: str) -> Settings:
        environment = {
            **self.discord.environment(),
            "METRICS_PORT": "0",
            "METRICS_HOST": "127.0.0.1",
            "SQLITE_SERVICE_URL": self.service.url,
            "QUEUE_FILE": str(self.folder / "queue.db"),
            **variables,
        }
        return replace(Settings.read(environment), timing=timing)

    @asynccontextmanager
    async def listening(
        self, *, connected: bool = True, timing: Timing = QUICK, clock: Clock | None = None, **variables: str
    ) -> AsyncIterator[Listener]:
        """A listener that runs inside the block and is stopped as by SIGTERM at its end."""
        listener = Listener(self.settings(timing=timing, **variables), clock=clock)
        running = asyncio.create_task(listener.run())
        try:
            if connected:
                await self.until_live(listener)
            yield listener
        finally:
            listener.stop()
            await running

    async def until_live(self, listener: Listener) -> None:
        """Until every guild is seen and everything before is on the disk."""

        def live() -> bool:
            unseen = listener.condition().gauges["unseen_guilds"][1]
            return all(listener.condition().ready.values()) and not unseen

        await self.discord.wait_connected()
        await soon(live, what="the listener sees every guild")

    # --- the endpoint's part ---

    async def write(self, *records: Record) -> None:
        receipt = self.store.keep(records)
        assert await asyncio.to_thread(self.store.deliver, receipt, within=10) is Fate.STORED

    async def decide(self, user: int, decision: str, at: int | None = None) -> None:
        self._interactions += 1
        moment = wall_clock() if at is None else at
        await self.write(
            ConsentDecision(earliest(moment) + self._interactions, user, decision, "name", "Name")  # type: ignore[arg-type]
        )

    async def record(self, channel: int, *, recorded: bool) -> None:
        self._interactions += 1
        interaction = earliest(wall_clock()) + self._interactions
        await self.write(ChannelRecording(interaction, self.guild, channel, recorded))

    async def followed(self, listener: Listener, user: int, *, is_in: bool = True) -> None:
        await soon(
            lambda: (listener._tracker._ledger.consents.standing(user) is not None) is is_in,
            what="the listener follows the decision",
        )

    def seated(self, listener: Listener) -> int:
        """How many people the listener sees in voice, whoever they are; it tells nobody."""
        return sum(len(guild.seats) for guild in listener._tracker._guilds.values())

    async def moment(self) -> None:
        """Until the clock shows another time, so that what follows is later."""
        now = wall_clock()
        await soon(lambda: wall_clock() > now + 5)

    # --- looking ---

    async def query(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        (rows,) = await asyncio.to_thread(self.store.query, Statement(sql, parameters), within=5)
        return rows

    async def rows(self) -> list[dict[str, Any]]:
        return await self.query("SELECT * FROM voice_sessions ORDER BY user_id, started_at, session_id")

    async def settled(self, listener: Listener, *, stays: int) -> list[dict[str, Any]]:
        """The rows, once everything the listener knows is delivered and they are as many as the stays given."""
        rows: list[dict[str, Any]] = []
        until = time.monotonic() + DELIVERED_WITHIN
        while time.monotonic() < until:
            if listener.idle and listener._store.idle():
                rows = await self.rows()
                if len(rows) == stays:
                    return rows
            await asyncio.sleep(0.02)
        raise AssertionError(f"{len(rows)} rows instead of {stays}: {rows}; truth: {self.discord.stays()}")

    def check(self, rows: list[dict[str, Any]], *people: int) -> None:
        """Every stay of these people is a row and every row a stay, within what the row itself allows."""
        truth = [stay for stay in self.discord.stays() if stay["user_id"] in people]
        truth.sort(key=in_order)
        rows = sorted(rows, key=in_order)
        assert [(row["user_id"], row["channel_id"]) for row in rows] == [
            (stay["user_id"], stay["channel_id"]) for stay in truth
        ]
        for row, stay in zip(rows, truth, strict=True):
            assert abs(row["started_at"] - stay["started_at"]) <= row["started_within_ms"] + SLACK_MS
            assert (row["ended_at"] is None) == (stay["ended_at"] is None)
            if row["ended_at"] is not None:
                assert abs(row["ended_at"] - stay["ended_at"]) <= row["ended_within_ms"] + SLACK_MS


@asynccontextmanager
async def scene(folder: Path, service: RunningService, **options: Any) -> AsyncIterator[Scene]:
    async with SimulatedDiscord(**{"seed": 7, "heartbeat_interval": 300, **options}) as discord:
        made = Scene(discord, service, folder)
        try:
            yield made
        finally:
            await asyncio.to_thread(made.store.stop, within=0)
