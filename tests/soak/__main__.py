"""`python -m tests.soak`: a whole system under random faults, and stored time beside true time at the end."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from demo.programs import Fleet
from tests.simulated_discord.control import start_process
from tests.soak.report import Report, compare
from tests.soak.scene import HEARTBEAT_MS, Scene


def soak(seconds: float, *, seed: int, guilds: int, people: int, folder: Path, faults_every: float = 7.0) -> Report:
    """Runs for that long, then waits until all is stored; what was answered as kept must be stored, too."""
    with (
        start_process(seed=seed, heartbeat_interval=HEARTBEAT_MS) as discord,
        Fleet(folder) as fleet,
        closing(Scene(discord, fleet, folder, seed=seed, guilds=guilds, people=people)) as scene,
    ):
        discord.wait_connected(within=60)
        until, next_fault = time.monotonic() + seconds, time.monotonic() + faults_every
        while time.monotonic() < until:
            scene.moves(max(2, people // 100))
            scene.decide()
            if time.monotonic() > next_fault:
                print(f"{until - time.monotonic():5.0f} s to go: {scene.fault()}", flush=True)
                next_fault = time.monotonic() + scene.random.uniform(0.6, 1.4) * faults_every
                time.sleep(scene.random.uniform(0.0, 1.5))
                scene.restart()
            time.sleep(0.2)
        scene.settle()
        rows = scene.rows("voice_sessions")
        report = compare(scene.truth(), rows, every_decision=scene.every_decision())
        lost = scene.unstored()
        report.problems.extend(f"a decision was answered and is not stored: {interaction}" for interaction in lost)
        print("killed:", ", ".join(f"{name} {count} times" for name, count in scene.kills.items()) or "nobody")
        print("faults:", ", ".join(f"{name} {count} times" for name, count in sorted(scene.faults.items())))
        return report


def main() -> int:
    """0 if nothing was lost, doubled or unexplained."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=None, help="any number; the same one makes the same choices")
    parser.add_argument("--guilds", type=int, default=200)
    parser.add_argument("--people", type=int, default=2000)
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(10_000) if options.seed is None else options.seed
    print(f"seed {seed}: {options.minutes:g} minutes, {options.guilds} guilds, {options.people} people")
    with tempfile.TemporaryDirectory() as folder:
        report = soak(
            options.minutes * 60, seed=seed, guilds=options.guilds, people=options.people, folder=Path(folder)
        )
    print(*report.lines(), sep="\n")
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
