"""A simulated Discord in a process of its own, with people in voice who all opted in, and the listeners on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.programs import Fleet, Program, answers, free_port, start, wait_for
from db_client.records import ConsentDecision
from db_client.settings import StoreSettings
from db_client.snowflake import earliest
from db_client.statements import Statement
from db_client.store import Store
from tests.simulated_discord.control import Control, start_process

AT_ONCE = 5000


@dataclass(frozen=True)
class World:
    """Guilds with their voice channels and the people in them; `last` is one more person, who is not in voice."""

    discord: Control
    people: Sequence[Sequence[int]]
    channels: Sequence[Sequence[int]]
    last: int


@contextmanager
def world(guilds: int, people: int, voice_channels: int, text_channels: int) -> Iterator[World]:
    """That many guilds, each with that many people in voice, evenly over its voice channels."""
    with start_process(heartbeat_interval=600_000) as discord:
        guild_ids = _ids(discord, "add_guild", guilds)
        channels = [_ids(discord, "add_channel", voice_channels, guild=guild) for guild in guild_ids]
        for guild in guild_ids:
            _ids(discord, "add_channel", text_channels, guild=guild, kind="text")
        everyone = _ids(discord, "add_user", guilds * people + 1)
        groups = [everyone[number * people : (number + 1) * people] for number in range(guilds)]
        joins = [
            {"action": "join", "user": user, "channel": of_guild[place % voice_channels]}
            for of_guild, group in zip(channels, groups, strict=True)
            for place, user in enumerate(group)
        ]
        _act(discord, joins)
        yield World(discord, groups, channels, everyone[-1])


def _ids(discord: Control, action: str, count: int, **arguments: Any) -> list[int]:
    return [int(made) for made in _act(discord, [{"action": action, **arguments} for _ in range(count)])]


def _act(discord: Control, actions: Sequence[dict[str, Any]]) -> list[Any]:
    return [
        result
        for start in range(0, len(actions), AT_ONCE)
        for result in discord.act(list(actions[start : start + AT_ONCE]))
    ]


def everyone_opts_in(service_url: str, there: World, folder: Path) -> None:
    """Stores consent of all the people, decided before they joined."""
    before = earliest(min(stay["started_at"] for stay in there.discord.stays()) - 60_000)
    store = Store(StoreSettings(service_url=service_url, queue_file=folder / "consent.db"))
    store.start()
    people = [*(user for group in there.people for user in group), there.last]
    for begin in range(0, len(people), AT_ONCE):
        store.keep(
            [
                ConsentDecision(before + begin + number, user, "in", username="person", display_name="A Person")
                for number, user in enumerate(people[begin : begin + AT_ONCE])
            ]
        )
    if not store.stop(within=120):
        raise RuntimeError("the people's consent could not be stored")


def our_listener(fleet: Fleet, there: World, service_url: str) -> Program:
    """The listener, once the sessions of everyone in voice are in the service."""
    port = free_port()
    variables = {
        **there.discord.environment(),
        "SQLITE_SERVICE_URL": service_url,
        "QUEUE_FILE": str(fleet.folder / "queue.db"),
        "METRICS_HOST": "127.0.0.1",
        "METRICS_PORT": str(port),
    }
    program = start(fleet, "ours", "python -m gateway_listener", variables)
    wait_for(lambda: answers(f"http://127.0.0.1:{port}/readyz"), program, "the listener is ready", within=120)
    expected = sum(len(group) for group in there.people)
    store = Store(StoreSettings(service_url=service_url, queue_file=fleet.folder / "reader.db"))
    count = Statement("SELECT count(*) AS n FROM voice_sessions WHERE ended_at IS NULL", {})
    wait_for(
        lambda: store.query(count, within=30)[0][0]["n"] == expected,
        program,
        f"{expected} sessions are stored",
        within=180,
        step=0.2,
    )
    store.stop(within=0)
    return program


def bare_listener(fleet: Fleet, there: World) -> Program:
    """The floor, once discord.py says that it is ready."""
    program = start(fleet, "floor", f"python -m bench.bare_listener {there.last}", there.discord.environment())
    wait_for(lambda: "ready" in program.log.read_text(), program, "discord.py is ready", within=120)
    return program
