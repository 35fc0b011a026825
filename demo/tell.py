"""`make demo`: the story, told once, and checked."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from demo.check import Pair, agreed, compare, consented, encodings
from demo.interruption import Interruption
from demo.programs import Fleet
from demo.scene import HEARTBEAT_MS, Scene
from demo.screen import spoken, table, time_of_day
from demo.stage import any_ports, stage
from demo.story import CHANNELS, PEOPLE, STORY, UNRECORDED, Step, sentence
from demo.system import System, traces

# The listener writes its watermark so often.
KEPT_MS = 1000


def tell(interruption: Interruption) -> int:
    """Plays the story and prints what was stored beside what was played; 0 if they agree, else 1."""
    folder = Path(tempfile.mkdtemp(prefix="bigbrotherbot-demo-"))
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:5.1f} s  {text}", flush=True)

    agrees = False
    try:
        agrees = _play(folder, interruption.pause, say)
    finally:
        if agrees:
            shutil.rmtree(folder)
        else:
            print(f"The files and logs of this run are kept in {folder}", flush=True)
    return 0 if agrees else 1


def _play(folder: Path, pause: Callable[[float], None], say: Callable[[str], None]) -> bool:
    say("A simulated Discord starts, then the SQLite service, the interactions endpoint and the listener.")
    with stage(folder, os.environ, pause, ports=any_ports(), channels=CHANNELS, people=PEOPLE) as (scene, system):
        say("All are ready; the endpoint passed the checks that Discord makes when its URL is saved.")
        for step in STORY:
            pause(step.pause)
            perform(step, scene, system, pause, say)
        say("The story is told; what still waits is delivered.")
        system.wait(pause, system.settled, "every write is delivered and every session has ended", within=30)
        pairs = compare(
            consented(scene.stays(), scene.decisions),
            system.rows(),
            scene.watches(),
            watermark_ms=HEARTBEAT_MS + KEPT_MS,
        )
        dead = system.queue().dead
        system.close()
        system.fleet.stop()
        problems = endings(system.fleet, scene.people[UNRECORDED])
    if dead:
        problems.append(f"{dead} writes were refused for good")
    return _report(pairs, scene, problems)


def perform(
    step: Step, scene: Scene, system: System, pause: Callable[[float], None], say: Callable[[str], None]
) -> None:
    """Does one step of the story, and says so."""
    say(f"{sentence(step)}.")
    if step.deed == "service_killed":
        system.fleet["sqlite"].kill()
    elif step.deed == "service_back":
        system.fleet["sqlite"].start()
        system.wait(pause, lambda: system.queue().waiting == 0, "what waited is delivered", program="sqlite")
        say("   Everything that waited is delivered.")
    elif step.deed == "listener_killed":
        system.fleet["listener"].kill()
    elif step.deed == "listener_back":
        system.fleet["listener"].start()
        system.wait_ready(pause, ["listener"])
    elif reply := scene.perform(step):
        say(f"   “{spoken(reply)}”")


def endings(fleet: Fleet, unrecorded: int) -> list[str]:
    """What is wrong with how the programs ended and with what they left behind."""
    problems = [
        f"{program.name} ended with status {program.exit_status}"
        for program in fleet.programs.values()
        if program.exit_status != 0
    ]
    found = traces(fleet.folder, encodings(unrecorded))
    return problems + [f"{UNRECORDED}'s id stands in {path.name}" for path in found]


def _report(pairs: Sequence[Pair], scene: Scene, problems: Sequence[str]) -> bool:
    head = ["who", "where", "played from", "to", "stored from", "to", "off (ms)", "sure to within (ms)", "ended by", ""]
    print("\nWhat was played (and consented to), beside what was stored:\n")
    print("\n".join(table(head, [_row(pair, scene) for pair in pairs])))
    for problem in problems:
        print(f"\nWrong: {problem}.")
    agrees = agreed(pairs) and not problems and bool(pairs)
    print()
    if agrees:
        print(f"Agreed: all {len(pairs)} sessions are stored as they were played.")
        print(f"{UNRECORDED}, who did not opt in, is in no file and no log.")
    else:
        print("What was stored is not what was played.")
    return agrees


def _row(pair: Pair, scene: Scene) -> list[str]:
    played, stored = pair.played, pair.stored
    one = played or stored
    who, where = (scene.name_of(one.user_id), scene.name_of(one.channel_id)) if one else ("", "")
    return [
        who,
        where,
        *_moments(played.started_at if played else None, played.ended_at if played else None),
        *_moments(stored.started_at if stored else None, stored.ended_at if stored else None),
        f"{_number(pair.start_off_ms)} / {_number(pair.end_off_ms)}",
        f"{stored.started_within_ms} / {_number(stored.ended_within_ms)}" if stored else "",
        (stored.ended_by or "") if stored else "",
        "; ".join(pair.problems) or "agrees",
    ]


def _moments(start: int | None, end: int | None) -> tuple[str, str]:
    return ("" if start is None else _moment(start), "" if end is None else _moment(end))


def _moment(at: int) -> str:
    return f"{time_of_day(at)}.{at % 1000:03}"


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)
