"""The programs, the people, and what happens to them."""

from __future__ import annotations

import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from db_client.records import ConsentDecision
from db_client.settings import StoreSettings
from db_client.snowflake import created_at, earliest
from db_client.statements import Statement
from db_client.store import Store
from demo.programs import ROOT, Fleet, Program, answers, free_port, with_this_python
from tests.gateway_listener.truth import FOREVER, Span, TrueDecision, TrueStay, Truth, within, without
from tests.simulated_discord.control import Control
from tests.simulated_discord.model import Impossible
from tests.simulated_discord.outcome import BadReply
from tests.soak.clocked import set_clock
from tests.waiting import eventually

HEARTBEAT_MS = 500
# What a loopback connection, a busy machine, and a clock known to a second may add to a moment that was seen.
SLACK_MS = 1500
# A watermark is an ACK or a dispatch, and is on the disk a second later: what lies behind it at a kill was not seen.
UNSURE_MS = 2 * HEARTBEAT_MS + 1500
# What waited has been read, and a heartbeat acknowledged behind it.
CATCHING_UP_MS = 3000
# The roll calls follow READY.
SETTLING_MS = 1000
# By so much (seconds) each machine's clock is beside Discord's, at most; it is set anew now and then.
CLOCKS = {"listener": 7200.0, "web": 200.0}
# Somebody who gives no sign of life for so long (seconds) is asked for.
ASK_PRESENCE_AFTER = 5.0
# A question so often; and with faults every few seconds, pauses that are made for rare ones would leave little to see.
TIMING = {"ask_every": 0.02, "between_identifies": 0.5, "longest_pause": 8.0}
RECONCILE_EVERY = 5


def _now() -> int:
    """Milliseconds since 1970 UTC, by Discord's clock."""
    return time.time_ns() // 1_000_000


class Scene:
    """One system against one simulated Discord; `seed` decides everything that is not the machine's affair."""

    def __init__(self, discord: Control, fleet: Fleet, folder: Path, *, seed: int, guilds: int, people: int) -> None:
        self.discord = discord
        self.random = random.Random(seed)
        self.began_at = _now()
        self.kills: dict[str, int] = {}
        self.faults: dict[str, int] = {}
        """How often each happened."""
        self.still: list[Span] = []
        """When what happened was read late, if at all."""
        self._still_since: int | None = None
        self.ask_after = ASK_PRESENCE_AFTER * max(1, people / 400)
        """The more people there are, the longer each of them is silent, and the more are asked about."""
        ports = {name: free_port() for name in ("sqlite", "web", "listener")}
        self.url = f"http://127.0.0.1:{ports['sqlite']}"
        self.pages = {name: f"http://127.0.0.1:{port}/readyz" for name, port in ports.items()}
        common = with_this_python({**os.environ, **discord.environment(), "SQLITE_SERVICE_URL": self.url})
        own: dict[str, tuple[str, dict[str, str]]] = {
            "sqlite": ("python -m sqlite_service", {"SQLITE_FILE": str(folder / "bigbrother.db")}),
            "web": (
                "gunicorn 'tests.soak.clocked:create_app()'",
                {"QUEUE_FILE": str(folder / "web.db"), "CLOCK_FILE": str(folder / "web.clock")},
            ),
            "listener": (
                "python -m tests.soak.clocked gateway_listener",
                {
                    "QUEUE_FILE": str(folder / "listener.db"),
                    "CLOCK_FILE": str(folder / "listener.clock"),
                    "METRICS_PORT": str(ports["listener"]),
                    "RECONCILE_EVERY": str(RECONCILE_EVERY),
                    "TIMING": json.dumps({**TIMING, "ask_presence_after": self.ask_after}),
                },
            ),
        }
        self.folder = folder
        for name in CLOCKS:
            set_clock(folder / f"{name}.clock", 0.0)
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
        moment = _now()
        records = [
            ConsentDecision(earliest(moment) + place, user, "in", "p", "P")
            for place, user in enumerate(self.users)
            if place % 10
        ]
        self.store.keep(records)
        eventually(self.store.idle, within=60, what="everybody's first decision is stored")
        self.answered: list[tuple[int, int]] = []
        """Who decided, and the interaction."""
        self.forgotten: list[Span] = []
        """What a restored backup did not know: of the decisions in it the newest of each person are sent again."""
        self.decided: dict[int, TrueDecision] = {}
        """Every decision that the service had when a backup was restored, and has now."""

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
            user = self.random.choice(self.users)
            outcome = self.discord.command(name, user, guild=self.random.choice(self.guilds))
        except Impossible:
            return
        except BadReply as none:
            if none.status is None:
                return  # nobody there, or too busy to answer
            raise
        if outcome.status == 200 and "NOT" not in (outcome.content or ""):
            self.answered.append((user, int(outcome.id)))

    def unstored(self) -> list[int]:
        """Decisions that were answered and are not stored, but for those that a restored backup took for good."""
        logged = {row["interaction_id"] for row in self.rows("consent_log")}
        newest = dict(sorted(self.answered, key=lambda made: made[1]))
        return [
            interaction
            for user, interaction in self.answered
            if interaction not in logged
            and (newest[user] == interaction or not any(a <= created_at(interaction) <= b for a, b in self.forgotten))
        ]

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
            "a clock is set": self._set_clock,
            "restored backup": self._restore_backup,
            "lost leave": self._lose_a_leave,
            "lost ack": self._lose_acks,
            "dead resume URL": self._resume_nowhere,
        }
        rarest = min(self.faults.get(name, 0) for name in faults)
        first = [f"kill {program}" for program in self.programs if program not in self.kills]
        name = self.random.choice(first or [name for name in faults if self.faults.get(name, 0) == rarest])
        faults[name]()
        self.faults[name] = self.faults.get(name, 0) + 1
        return name

    def _kill(self, name: str) -> None:
        program = self.programs[name]
        if program.running:
            program.kill()
            self.kills[name] = self.kills.get(name, 0) + 1

    def _fall_asleep(self) -> None:
        """The listener stands still, as on a machine that sleeps; what comes meanwhile waits in its socket."""
        self._still_since = _now()
        os.killpg(self.programs["listener"].process_group, signal.SIGSTOP)

    def _fall_silent(self) -> None:
        """The gateway says nothing, not even an ACK; what happens meanwhile flows when it speaks again."""
        self._still_since = _now()
        self.discord.set_faults(silent=True)

    def _set_clock(self) -> None:
        """While a program runs, or before it starts again."""
        name = self.random.choice(list(CLOCKS))
        set_clock(self.folder / f"{name}.clock", self.random.uniform(-CLOCKS[name], CLOCKS[name]))
        if self.random.random() < 0.5:
            self._kill(name)

    def _lose_a_leave(self) -> None:
        """One person leaves, and the bot is never told."""
        if not self.seats:
            return
        user = self.random.choice(list(self.seats))
        del self.seats[user]
        self.discord.act(
            [
                {"action": "set_faults", "lose": True},
                {"action": "leave", "user": user},
                {"action": "set_faults", "lose": False},
            ]
        )

    def _lose_acks(self) -> None:
        """The ACK of a heartbeat or two is lost; everything else flows."""
        began_at = _now()
        self.discord.set_faults(no_ack=True)
        time.sleep(1.2 * HEARTBEAT_MS / 1000)
        self.discord.set_faults(no_ack=False)
        self.still.append((began_at - 2 * HEARTBEAT_MS, _now() + CATCHING_UP_MS))

    def _resume_nowhere(self) -> None:
        """A new session is told to resume where nobody listens, and has to."""
        self.discord.set_faults(resume_url=f"ws://127.0.0.1:{free_port()}")
        self.discord.invalidate(False)
        time.sleep(3.0)
        self.discord.set_faults(resume_url=None)
        self.discord.reconnect()

    def _restore_backup(self) -> None:
        """Life goes on behind a backup, which is restored then, and today's consent with it, as README says."""
        noticed = "the consent log is not the one that was followed"
        listener, sqlite = self.programs["listener"], self.programs["sqlite"]
        self._wait_ready("sqlite", "web", "listener")
        eventually(self.store.idle, within=60, what="everything is stored")
        before = listener.log.read_text().count(noticed)
        with urllib.request.urlopen(f"{self.url}/db/backup", timeout=60) as answer:
            backup = answer.read()
        began_at, known = _now(), len(self.rows("consent_log"))
        until = time.monotonic() + 3.0
        while time.monotonic() < until or len(self.rows("consent_log")) == known:
            self.moves(3)
            self.decide()
            time.sleep(0.1)
        self._remember_decisions()
        remembered_at = time.monotonic()
        eventually(
            lambda: self._consent_age() < time.monotonic() - remembered_at - 0.5,
            within=60,
            what="the listener has read of these",
        )
        sqlite.stop()
        for file in self.folder.glob("bigbrother.db*"):
            file.unlink()
        (self.folder / "bigbrother.db").write_bytes(backup)
        sqlite.start()
        self._wait_ready("sqlite")
        variables = {**self.programs["web"].environment, "LOG_LEVEL": "warning"}
        reapply = [sys.executable, "-m", "db_client.reapply_consent"]
        subprocess.run(reapply, env=variables, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, timeout=60)
        self.forgotten.append((began_at, _now()))
        eventually(
            lambda: listener.log.read_text().count(noticed) > before, within=60, what="the listener sees another log"
        )

    def _consent_age(self) -> float:
        """For how long (seconds) the listener has not read the consent log; what it never heard of nobody knows."""
        with urllib.request.urlopen(self.pages["listener"].replace("readyz", "metrics"), timeout=5) as answer:
            figures = re.search(rb"^bigbrother_listener_consent_age_seconds (\S+)", answer.read(), re.MULTILINE)
        return float(figures[1]) if figures else math.inf

    def _remember_decisions(self) -> None:
        for row in self.rows("consent_log"):
            made = TrueDecision(row["interaction_id"], row["user_id"], row["decision"], row["at"])
            self.decided[made.interaction_id] = made

    def restart(self) -> None:
        """What a supervisor does: whoever has ended is started again; and what stood still goes on."""
        if self._still_since is not None:
            os.killpg(self.programs["listener"].process_group, signal.SIGCONT)
            self.discord.set_faults(silent=False)
            self.still.append((self._still_since - SLACK_MS, _now() + CATCHING_UP_MS))
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

    def every_decision(self) -> list[TrueDecision]:
        """Those too that a restored backup took."""
        self._remember_decisions()
        return list(self.decided.values())

    def truth(self) -> Truth:
        """What happened, by the simulated Discord's own record."""
        watches: list[Span] = [(watch["started_at"], watch["ended_at"] or FOREVER) for watch in self.discord.watches()]
        seen = [(a + SETTLING_MS, b - UNSURE_MS) for a, b in watches if b - a > SETTLING_MS + UNSURE_MS]
        outages: dict[int, list[Span]] = {}
        history = self.discord.history()
        for entry in history:
            if entry["kind"] == "guild" and entry["what"] in ("outage", "recovered"):
                outages.setdefault(entry["guild_id"], []).append((entry["at"] - SLACK_MS, entry["at"] + SLACK_MS))
        seen_in = {guild: without(seen, [*outages.get(guild, ()), *self.still]) for guild in self.guilds}
        unheard = self._unheard(history, seen_in)
        return Truth(
            now=_now(),
            stays=[
                TrueStay(s["user_id"], s["guild_id"], s["channel_id"], s["started_at"], s["ended_at"] or FOREVER)
                for s in self.discord.stays()
            ],
            decisions=[
                TrueDecision(d["interaction_id"], d["user_id"], d["decision"], d["at"])
                for d in self.rows("consent_log")
            ],
            seen=seen_in,
            looks=dict.fromkeys(self.guilds, watches),
            unheard=unheard,
            unsaid=unheard,
            slack=SLACK_MS,
        )

    def _unheard(self, history: list[dict[str, Any]], seen: dict[int, list[Span]]) -> dict[tuple[int, int], list[Span]]:
        """By person and guild: from a leave that was lost until something else is said of them there, or until they
        have been asked for (which takes time in which the guild is seen)."""
        unheard: dict[tuple[int, int], list[Span]] = defaultdict(list)
        said = [entry for entry in history if entry["kind"] == "voice"]
        for place, entry in enumerate(said):
            if not entry["lost"]:
                continue
            seat, left_at = (entry["user_id"], entry["guild_id"]), entry["at"]
            later = (e["at"] for e in said[place + 1 :] if (e["user_id"], e["guild_id"]) == seat)
            left, found_at = 2 * int(self.ask_after * 1000) + CATCHING_UP_MS, FOREVER
            for begin, end in sorted(within(seen[seat[1]], [(left_at, FOREVER)])):
                if end - begin >= left:
                    found_at = begin + left
                    break
                left -= end - begin
            unheard[seat].append((left_at, min(found_at, next(later, FOREVER))))
        return unheard
