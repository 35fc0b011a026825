"""The simulated Discord as a program of its own, and the people in it, by name."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from db_client.snowflake import created_at
from demo.check import Decision, Stay, Watch
from demo.programs import Fleet, Program
from demo.story import Step
from tests.simulated_discord.control import Control

HEARTBEAT_MS = 1000
"""How often the listener tells the simulated gateway that it is there; Discord itself asks for 41 s."""


def start_discord(
    fleet: Fleet,
    environment: Mapping[str, str],
    pause: Callable[[float], None],
    *,
    interactions_url: str,
    seed: int = 0,
) -> tuple[Control, dict[str, str]]:
    """Starts it; gives its control and the DISCORD_ variables that an operator would copy from the portal."""
    program = fleet.add(
        "discord",
        f"python -m tests.simulated_discord --port 0 --seed {seed} --heartbeat-interval {HEARTBEAT_MS}"
        f" --interactions-url {interactions_url}",
        environment,
    )
    program.start()
    announced = _announcement(program, pause)
    return Control(announced["control_url"]), dict(announced["environment"])


def _announcement(program: Program, pause: Callable[[float], None]) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while True:
        for line in program.last_lines(100):
            if line.startswith("{") and "control_url" in line:
                announced: dict[str, Any] = json.loads(line)
                return announced
        if not program.running or time.monotonic() > deadline:
            raise RuntimeError("the simulated Discord did not start:\n" + "\n".join(program.last_lines()))
        pause(0.05)


class Scene:
    """One guild with channels and people, who do as they are told; what they decided is noted with its moment."""

    def __init__(self, discord: Control, *, guild: str, channels: Iterable[str], people: Iterable[str]) -> None:
        self.discord = discord
        self.guild = discord.add_guild(guild)
        self.channels = {name: discord.add_channel(self.guild, name) for name in channels}
        self.people = {name: discord.add_user(name.lower(), display_name=name) for name in people}
        self.where: dict[str, str | None] = dict.fromkeys(self.people)
        self.decisions: list[Decision] = []

    @property
    def recorded(self) -> dict[str, bool]:
        """Who is to be recorded by their newest decision."""
        newest = {decision.user_id: decision.recorded for decision in self.decisions}
        return {name: newest.get(user_id, False) for name, user_id in self.people.items()}

    def perform(self, step: Step) -> str:
        """Does what the step says of a person; the endpoint's reply to a command, else nothing."""
        user = self.people[step.who]
        if step.deed == "join":
            self.discord.join(user, self.channels[step.where])
        elif step.deed == "switch":
            self.discord.switch(user, self.channels[step.where])
        elif step.deed == "leave":
            self.discord.leave(user)
        else:
            return self._command(step, user)
        self.where[step.who] = step.where or None
        return ""

    def _command(self, step: Step, user: int) -> str:
        outcome = self.discord.command(step.deed, user, guild=self.guild)
        at = created_at(int(outcome.interaction["id"]))
        self.decisions.append(Decision(user, at, recorded=step.deed == "opt_in"))
        return outcome.content or ""

    def stays(self) -> list[Stay]:
        """Who was where from when to when, by the simulated Discord's own record."""
        return [
            Stay(stay["user_id"], stay["guild_id"], stay["channel_id"], stay["started_at"], stay["ended_at"])
            for stay in self.discord.stays()
        ]

    def watches(self) -> list[Watch]:
        """From when to when a listener was connected."""
        return [Watch(watch["started_at"], watch["ended_at"]) for watch in self.discord.watches()]

    def name_of(self, snowflake: int) -> str:
        """The name behind an id of a person or a channel."""
        names = {**self.people, **self.channels}
        return next((name for name, known in names.items() if known == snowflake), str(snowflake))
