"""`make run`: all programs on this machine, and a view of what they record, until Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from random import Random

from demo import dotenv
from demo.interruption import Interrupted, Interruption
from demo.plan import Plan, plan, wanted_ports
from demo.programs import Fleet, is_free, with_this_python
from demo.requirements import problems_of
from demo.stage import stage, usual_ports
from demo.story import INHABITANTS, ROOMS
from demo.supervision import Supervisor
from demo.system import System
from demo.terminal import display, to_nowhere
from demo.watcher import Life, Watcher
from program.environment import SettingsError

STEP_SECONDS = 0.5


def live(interruption: Interruption) -> int:
    """Runs until Ctrl-C, SIGTERM or the end of the terminal: 0; 1 if a program will not stay up; 2 for settings."""
    try:
        variables = {**_dotenv(), **{name: value for name, value in os.environ.items() if value.strip()}}
        with _life(variables, interruption) as (life, system):
            return _watch(life, system, interruption)
    except Interrupted:
        return 0
    except SettingsError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        print("Settings are read from the environment and from .env; .env.example lists them all.", file=sys.stderr)
        return 2


def _dotenv() -> dict[str, str]:
    path = Path(".env")
    try:
        return dotenv.parse(path.read_text("utf-8")) if path.exists() else {}
    except (dotenv.Malformed, UnicodeDecodeError, OSError) as problem:
        raise SettingsError([f"cannot read .env: {problem}"]) from problem


@contextlib.contextmanager
def _life(variables: Mapping[str, str], interruption: Interruption) -> Iterator[tuple[Life, System]]:
    if variables.get("DISCORD_BOT_TOKEN", "").strip():
        with _real(variables) as made:
            yield made
    else:
        with _simulated(variables, interruption.pause) as made:
            yield made


@contextlib.contextmanager
def _real(variables: Mapping[str, str]) -> Iterator[tuple[Life, System]]:
    folder = Path("data").resolve()
    ports = wanted_ports(variables)
    made = plan(with_this_python(variables), ports, folder)
    problems = problems_of(made.environments)
    problems += [] if problems else _taken(made)
    if problems:
        raise SettingsError(problems)
    folder.mkdir(exist_ok=True)
    print("Connecting to Discord. Its interactions must reach this machine through a public https address that")
    print(f"forwards to {made.url('web', '/interactions')}: see README.md, Connecting a real application.", flush=True)
    with Fleet(folder) as fleet:
        system = System(fleet, made)
        system.start()
        farewell = f"What was recorded is in {folder}; what still waits in the queue file is delivered next time."
        yield Life("Discord", farewell), system


def _taken(made: Plan) -> list[str]:
    wanted = [("PORT", made.ports.web), ("METRICS_PORT", made.ports.listener)]
    if "sqlite" in made.environments:
        wanted.append(("the port in SQLITE_SERVICE_URL", made.ports.sqlite))
    return [
        f"Port {port} is in use on this machine: stop the program that has it, or set {name} to another."
        for name, port in wanted
        if not is_free(port)
    ]


@contextlib.contextmanager
def _simulated(variables: Mapping[str, str], pause: Callable[[float], None]) -> Iterator[tuple[Life, System]]:
    print("DISCORD_BOT_TOKEN is not set, so this is a simulated Discord with simulated people; nothing leaves this")
    print("machine. To connect a real application see README.md. Starting ...", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="bigbrotherbot-run-"))
    seed = Random().randrange(2**31)
    try:
        ports = usual_ports(variables)
        raised = stage(folder, variables, pause, ports=ports, channels=ROOMS, people=INHABITANTS, seed=seed)
        with raised as (scene, system):
            yield Life("a simulated Discord", "It was simulated: what was recorded is deleted.", scene), system
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _watch(life: Life, system: System, interruption: Interruption) -> int:
    watcher = Watcher(life, system)
    supervisor = Supervisor(system.programs())
    try:
        with display(os.environ) as shown:
            while not (given_up := supervisor.look_after(time.monotonic(), watcher.tell_bad)):
                watcher.turn(shown)
                interruption.pause(STEP_SECONDS)
    except Interrupted:
        given_up = ""
    except OSError:  # the terminal is gone, or the reader of a pipe
        to_nowhere()
        given_up = ""
    print(given_up or f"Ending. {watcher.sessions} sessions were seen. {life.farewell}", flush=True)
    system.close()
    return 1 if given_up else 0
