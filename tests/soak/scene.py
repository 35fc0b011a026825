"""The programs, the people, and what happens to them."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from db_client.records import ConsentDecision
from db_client.settings import StoreSettings
from db_client.snowflake import earliest
from db_client.statements import Statement
from db_client.store import Store
from demo.programs import Fleet, Program, answers, free_port, with_this_python
from tests.gateway_listener.truth import FOREVER, Span, TrueDecision, TrueStay, Truth, without
from tests.simulated_discord.control import Control
from tests.simulated_discord.model import Impossible
from tests.simulated_discord.outcome import BadReply
from tests.waiting import eventually

HEARTBEAT_MS = 500
# What two clocks, a loopback connection and a busy machine may add to a moment that was seen.
SLACK_MS = 1000
# A watermark is an ACK or a dispatch, and is on the disk a second later: what lies behind it at a kill was not seen.
UNSURE_MS = 2 * HEARTBEAT_MS + 1500
# What waited has been read, and a heartbeat acknowledged behind it.
CATCHING_UP_MS = 3000
# The roll calls follow READY.
SETTLING_MS = 1000


class Scene:
    """One system against one simulated Discord; `seed` decides everything that is not the machine's affair."""

    def __init__(self, discord: Control, fleet: Fleet, folder: Path, *, seed: int, guilds: int, people: int) -> None:
        self.discord = discord
        self.random = random.Random(seed)
        self.began_at = time.time_ns() // 1_000_000
        self.kills: dict[str, int] = {}
        self.still: list[Span] = []
        """When what happened was read late, if at all."""
        self._still_since: int | None = None
        ports = {name: free_port() for name in ("sqlite", "web", "listener")}
        self.url = f"http://127.0.0.1:{ports['sqlite']}"
        self.pages = {name: f"http://127.0.0.1:{port}/readyz" for name, port in ports.items()}
        common = with_this_python({**os.environ, **discord.environment(), "SQLITE_SERVICE_URL": self.url})
        own: dict[str, tuple[str, dict[str, str]]] = {
            "sqlite": ("python -m sqlite_service", {"SQLITE_FILE": str(folder / "bigbrother.db")}),
            "web": ("gunicorn 'interactions_api.app:create_app()'", {"QUEUE_FILE": str(folder / "web.db")}),
            "listener": (
                "python -m gateway_listener",
                {"QUEUE_FILE": str(folder / "listener.db"), "METRICS_PORT": str(ports["listener"])},
            ),
        }
        self.programs: dict[str, Program] = {
            name: fleet.add(name, command, {**common, "PORT": str(ports[name]), **variables})
            for name, (command, variables) in own.items()
        }
        self.store = Store(StoreSettings(self.url, folder / "soak.db"))
        self.store.start()
        for program in self.programs.values():
            program.start()
        self._wait_ready("sqlite", "web", "listener")
        discord.set_interactions_url(f"http://127.0.0.1:{ports['web']}/interactions")
        made = discord.act([{"action": "add_guild", "name": f"Guild {number}"} for number in range(guilds)])
        rooms = discord.act([{"action": "add_channel", "guild": guild} for guild in made for _ in range(2)])
        self.guilds: list[int] = made
        self.rooms = {guild: rooms[2 * place : 2 * place + 2] for place, guild in enumerate(made)}
        self.users: list[int] = discord.act([{"action": "add_user", "name": f"p{number}"} for number in range(people)])
        self.seats: dict[int, int] = {}
        moment = time.time_ns() // 1_000_000
        records = [
            ConsentDecision(earliest(moment) + place, user, "in", "p", "P")
            for place, user in enumerate(self.users)
            if place % 10
        ]
        self.store.keep(records)
        eventually(self.store.idle, within=60, what="everybody's first decision is stored")
        self.answered: list[int] = []

    def _wait_ready(self, *names: str) -> None:
        for name in names:
            eventually(partial(answers, self.pages[name]), within=90, what=f"{name} is ready")

    # --- what happens ---

    def moves(self, count: int) -> None:
        """So many people join, switch or leave."""
        actions: list[dict[str, Any]] = []
        for user in self.random.sample(self.users, count):
            room = self.seats.get(user)
            if room is None:
                guild = self.random.choice(self.guilds)
                self.seats[user] = self.random.choice(self.rooms[guild])
                actions.append({"action": "join", "user": user, "channel": self.seats[user]})
            elif self.random.random() < 0.5:
                self.seats.pop(user)
                actions.append({"action": "leave", "user": user})
            else:
                other = next(r for rooms in self.rooms.values() if room in rooms for r in rooms if r != room)
                self.seats[user] = other
                actions.append({"action": "switch", "user": user, "channel": other})
        self.discord.act(actions)

    def decide(self) -> None:
        """A slash command; it may find nobody at home."""
        name = self.random.choice(("opt_in", "opt_out"))
        try:
            outcome = self.discord.command(name, self.random.choice(self.users), guild=self.random.choice(self.guilds))
        except Impossible:
            return
        except BadReply as none:
            if none.status is None:
                return  # nobody there, or too busy to answer
            raise
        if outcome.status == 200 and "NOT" not in (outcome.content or ""):
            self.answered.append(int(outcome.id))

    def fault(self) -> str:
        """Something goes wrong, and is put right by the one whose task that is. Every program is killed once first."""
        guild = self.random.choice(self.guilds)
        faults: dict[str, Callable[[], object]] = {
            "kill listener": lambda: self._kill("listener"),
            "kill sqlite": lambda: self._kill("sqlite"),
            "kill web": lambda: self._kill("web"),
            "reconnect": self.discord.reconnect,
            "new session": lambda: self.discord.invalidate(False),
            "invalid": lambda: self.discord.invalidate(True),
            "close": lambda: self.discord.close(self.random.choice((1000, 1001, 4000, 4007, 4009))),
            "abort": self.discord.abort,
            "old frames": lambda: self.discord.resend(20),
            "malformed": lambda: self.discord.malformed("bad_snowflake"),
            "outage": lambda: (self.discord.outage(guild), self.discord.recover(guild)),
            "asleep": self._fall_asleep,
            "silence": self._fall_silent,
        }
        first = [f"kill {program}" for program in self.programs if program not in self.kills]
        name = self.random.choice(first or list(faults))
        faults[name]()
        return name

    def _kill(self, name: str) -> None:
        program = self.programs[name]
        if program.running:
            program.kill()
            self.kills[name] = self.kills.get(name, 0) + 1

    def _fall_asleep(self) -> None:
        """The listener stands still, as on a machine that sleeps; what comes meanwhile waits in its socket."""
        self._still_since = time.time_ns() // 1_000_000
        os.killpg(self.programs["listener"].process_group, signal.SIGSTOP)

    def _fall_silent(self) -> None:
        """The gateway says nothing, not even an ACK; what happens meanwhile flows when it speaks again."""
        self._still_since = time.time_ns() // 1_000_000
        self.discord.set_faults(silent=True)

    def restart(self) -> None:
        """What a supervisor does: whoever has ended is started again; and what stood still goes on."""
        if self._still_since is not None:
            os.killpg(self.programs["listener"].process_group, signal.SIGCONT)
            self.discord.clear_faults()
            self.still.append((self._still_since - SLACK_MS, time.time_ns() // 1_000_000 + CATCHING_UP_MS))
            self._still_since = None
        for program in self.programs.values():
            if not program.running:
                program.start()

    # --- the end ---

    def settle(self) -> None:
        """Everybody leaves, and what waits is delivered."""
        self.restart()
        self._wait_ready("sqlite", "web", "listener")
        self.discord.wait_connected(within=60)
        self.discord.act([{"action": "leave", "user": user} for user in self.seats])
        self.seats.clear()
        still_open = Statement("SELECT count(*) AS n FROM voice_sessions WHERE ended_at IS NULL", {})
        eventually(
            lambda: self.store.query(still_open, within=5)[0][0]["n"] == 0, within=60, what="every session is ended"
        )
        for name in ("listener", "web"):
            self.programs[name].stop(within=30)

    def close(self) -> None:
        """Ends what is the scene's own; the programs are the fleet's."""
        self.store.stop(within=1)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """All of a table."""
        (rows,) = self.store.query(Statement(f"SELECT * FROM {table}", {}), within=30)
        return rows

    def truth(self) -> Truth:
        """What happened, by the simulated Discord's own record."""
        watches: list[Span] = [(watch["started_at"], watch["ended_at"] or FOREVER) for watch in self.discord.watches()]
        seen = [(a + SETTLING_MS, b - UNSURE_MS) for a, b in watches if b - a > SETTLING_MS + UNSURE_MS]
        outages: dict[int, list[Span]] = {}
        for entry in self.discord.history():
            if entry["kind"] == "guild" and entry["what"] in ("outage", "recovered"):
                outages.setdefault(entry["guild_id"], []).append((entry["at"] - SLACK_MS, entry["at"] + SLACK_MS))
        return Truth(
            now=time.time_ns() // 1_000_000,
            stays=[
                TrueStay(s["user_id"], s["guild_id"], s["channel_id"], s["started_at"], s["ended_at"] or FOREVER)
                for s in self.discord.stays()
            ],
            decisions=[
                TrueDecision(d["interaction_id"], d["user_id"], d["decision"], d["at"])
                for d in self.rows("consent_log")
            ],
            seen={guild: without(seen, [*outages.get(guild, ()), *self.still]) for guild in self.guilds},
            looks=dict.fromkeys(self.guilds, watches),
            slack=SLACK_MS,
        )
