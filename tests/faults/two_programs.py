"""The endpoint and the listener as processes, a queue file each, and people who use both without end."""

from __future__ import annotations

import io
import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from db_client.errors import ServiceUnavailable
from db_client.settings import StoreSettings
from db_client.statements import Statement
from db_client.store import QueueStatistics, Store
from demo import reading
from demo.check import Decision, Pair, Stay, Watch, compare, consented
from demo.programs import Fleet, answers, free_port, with_this_python
from interactions_api.register import main as register
from tests.faults.seen import drained
from tests.simulated_discord.control import Control, start_process
from tests.waiting import eventually

CALLERS, GUESTS = 4, 12
PAUSE = 0.02
HEARTBEAT_MS = 5000
ANY_TIME_MS = 10**9  # what is compared is which sessions there are, not how fast this machine is
ACKNOWLEDGED = ("You are opted", "is kept and will be stored", "is stored.")


class Caller:
    """A person who opts in and out again and again: every interaction that was answered, with its time."""

    def __init__(self, discord: Control, name: str, guild: int) -> None:
        self.user = discord.add_user(name)
        self.answered: list[int] = []
        self.kept = 0
        self.slowest_ms = 0
        self._discord, self._guild = discord, guild

    def run(self, over: threading.Event) -> None:
        while not over.wait(PAUSE):
            self.decide("opt_out" if len(self.answered) % 2 else "opt_in")

    def decide(self, command: str) -> None:
        outcome = self._discord.command(command, self.user, guild=self._guild)
        assert any(part in outcome.content for part in ACKNOWLEDGED), outcome.content
        self.answered.append(outcome.id)
        self.kept += ACKNOWLEDGED[1] in outcome.content
        self.slowest_ms = max(self.slowest_ms, outcome.took_ms)


class TwoPrograms:
    """`gunicorn` and `python -m gateway_listener` on the service at `url`, with Discord simulated around them."""

    def __init__(self, fleet: Fleet, discord: Control, folder: Path, url: str, chance: random.Random) -> None:
        self.discord = discord
        self.queues = {name: folder / name for name in ("web", "listener")}
        self.problems: list[BaseException] = []
        self._fleet, self._url, self._chance = fleet, url, chance
        self._over = threading.Event()
        environment = discord.environment()
        assert register((), environment, io.StringIO(), io.StringIO()) == 0
        ports = {name: free_port() for name in self.queues}
        common = with_this_python({**os.environ, **environment, "SQLITE_SERVICE_URL": url})
        commands = {"web": "gunicorn 'interactions_api.app:create_app()'", "listener": "python -m gateway_listener"}
        for name, command in commands.items():
            self.queues[name].mkdir()
            own = {
                "QUEUE_FILE": str(self.queues[name] / "queue.db"),
                "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{ports['web']}",
                "METRICS_PORT": str(ports["listener"]),
            }
            fleet.add(name, command, {**common, **own}).start()
        discord.set_interactions_url(f"http://127.0.0.1:{ports['web']}/interactions")
        for name, port in ports.items():
            page = f"http://127.0.0.1:{port}/readyz"
            eventually(partial(answers, page), within=90, what=f"{name} is ready")
        discord.wait_connected(within=60)
        self.guild = discord.add_guild("Study room")
        self.rooms = [discord.add_channel(self.guild, name) for name in ("Desk", "Lounge", "Kitchen")]
        self.guests = [Caller(discord, f"guest{number}", self.guild) for number in range(GUESTS)]
        self.callers = [Caller(discord, f"caller{number}", self.guild) for number in range(CALLERS)]
        self._reader = Store(StoreSettings(url, folder / "reader.db"))
        for guest in self.guests:
            guest.decide("opt_in")

    @contextmanager
    def busy(self) -> Iterator[None]:
        """People decide and move about, until the block ends; then they leave."""
        loops = [partial(caller.run, self._over) for caller in self.callers]
        threads = [threading.Thread(target=self._guarded, args=(loop,)) for loop in (*loops, self._move)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()
        assert not self.problems, self.problems

    def _guarded(self, loop: partial[None]) -> None:
        try:
            loop()
        except BaseException as problem:  # noqa: BLE001 - an interaction that was not answered fails the campaign
            self.problems.append(problem)

    def _move(self) -> None:
        """One guest after the other joins, switches, or leaves; at the end all leave."""
        where = dict.fromkeys((guest.user for guest in self.guests), 0)
        while not self._over.wait(PAUSE):
            user = self._chance.choice(list(where))
            there = self._chance.choice([room for room in (0, *self.rooms) if room != where[user]])
            self._go(user, where[user], there)
            where[user] = there
        for user, room in where.items():
            if room:
                self._go(user, room, 0)

    def _go(self, user: int, here: int, there: int) -> None:
        if not there:
            self.discord.leave(user)
        elif here:
            self.discord.switch(user, there)
        else:
            self.discord.join(user, there)

    def await_progress(self) -> None:
        """Waits until what both programs take from now on is stored."""
        decided = sum(len(caller.answered) - caller.kept for caller in self.callers)
        ended = self._count("voice_sessions WHERE ended_at IS NOT NULL")

        def progress() -> bool:
            stored = sum(len(caller.answered) - caller.kept for caller in self.callers)
            now = self._count("voice_sessions WHERE ended_at IS NOT NULL")
            return bool(self.problems) or (stored > decided + 5 and now > ended + 5)

        eventually(progress, within=60, what="both programs to store what is new")
        assert not self.problems, self.problems

    def _count(self, what: str) -> int:
        return int(self._ask(Statement(f"SELECT count(*) AS n FROM {what}", {}))[0]["n"])

    def _ask(self, question: Statement) -> list[dict[str, Any]]:
        """The rows, asked for until a node answers."""

        def answer() -> list[list[dict[str, Any]]]:
            with suppress(ServiceUnavailable):
                return self._reader.query(question, within=5)
            return []

        (rows,) = eventually(answer, within=60, what="an answer")
        return rows

    def finish(self) -> list[QueueStatistics]:
        """Waits for the last session to end, ends the programs, and delivers what their queue files still hold."""
        eventually(
            lambda: (
                self._count("voice_sessions") >= len(self.discord.stays())
                and not self._count("voice_sessions WHERE ended_at IS NULL")
            ),
            within=60,
            what="every stay to be stored",
        )
        for name in self.queues:
            self._fleet[name].stop(within=30)
        return [drained(folder, self._url) for folder in self.queues.values()]

    def decisions(self) -> list[tuple[int, int]]:
        """Who decided in which interaction, in the order in which they arrived at the service."""
        rows = self._ask(Statement("SELECT user_id, interaction_id FROM consent_log ORDER BY seq", {}))
        return [(row["user_id"], row["interaction_id"]) for row in rows]

    def sessions(self) -> list[Pair]:
        """Every stay beside its stored session, and sessions that nobody had."""
        stays = [
            Stay(stay["user_id"], stay["guild_id"], stay["channel_id"], stay["started_at"], stay["ended_at"])
            for stay in self.discord.stays()
        ]
        opted_in = [Decision(guest.user, 0, recorded=True) for guest in self.guests]
        watches = [Watch(watch["started_at"], watch["ended_at"]) for watch in self.discord.watches()]
        return compare(
            consented(stays, opted_in),
            reading.stored(self._ask(reading.EVERYTHING)),
            watches,
            heartbeat_ms=HEARTBEAT_MS,
            tolerance_ms=ANY_TIME_MS,
        )

    def close(self) -> None:
        self._reader.stop(within=0)


@contextmanager
def two_programs(folder: Path, url: str, chance: random.Random) -> Iterator[TwoPrograms]:
    """Both programs ready, and everybody who will be in voice opted in; all of it ends with the block."""
    with start_process(seed=5, heartbeat_interval=HEARTBEAT_MS) as discord, Fleet(folder) as fleet:
        made = TwoPrograms(fleet, discord, folder, url, chance)
        try:
            yield made
        finally:
            made.close()
