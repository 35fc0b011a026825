"""A simulated Discord and our three programs in front of it, all ready; everything ends with the `with` block."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from demo.plan import Ports, is_ours, plan, wanted_ports
from demo.programs import ROOT, Fleet, free_port, with_this_python
from demo.scene import Scene, start_discord
from demo.system import System

GUILD = "Study room"


def usual_ports(variables: Mapping[str, str]) -> Ports:
    """The ports that the settings or the README name where they are free, others where they are not."""
    wanted = wanted_ports(variables)
    return Ports(free_port(wanted.web), free_port(wanted.sqlite), free_port(wanted.listener))


def any_ports() -> Ports:
    """Ports that nobody else uses."""
    return Ports(free_port(), free_port(), free_port())


@contextlib.contextmanager
def stage(
    folder: Path,
    variables: Mapping[str, str],
    pause: Callable[[float], None],
    *,
    ports: Ports,
    channels: Iterable[str],
    people: Iterable[str],
    seed: int = 0,
    sqlite_url: str = "",
) -> Iterator[tuple[Scene, System]]:
    """Yields when every program is ready, the commands are published and the endpoint passed Discord's checks.

    All that our programs write is under `folder`/recorded; the simulated Discord, which knows everybody, logs to
    `folder`/discord. Of `variables` our own are left out. With `sqlite_url` that service is used instead of ours.
    Raises NotInTime if something does not come up.
    """
    recorded, outside = folder / "recorded", folder / "discord"
    for place in (recorded, outside, recorded / "tmp"):
        place.mkdir()
    base = with_this_python({name: value for name, value in variables.items() if not is_ours(name)})
    with Fleet(outside) as world, Fleet(recorded) as fleet:
        discord, settings = start_discord(
            world, base, pause, interactions_url=f"http://127.0.0.1:{ports.web}/interactions", seed=seed
        )
        given = {**base, **settings, "TMPDIR": str(recorded / "tmp")}
        system = System(fleet, plan(given, ports, recorded, sqlite_url=sqlite_url))
        scene = Scene(discord, guild=GUILD, channels=channels, people=people)
        publish_commands(given)
        system.start()
        try:
            system.wait_ready(pause)
            discord.verify_endpoint()
            yield scene, system
        finally:
            system.close()


def publish_commands(environment: Mapping[str, str]) -> None:
    """Publishes the commands, as an operator does once; raises CalledProcessError if they are refused."""
    command = [sys.executable, "-m", "interactions_api.register"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
