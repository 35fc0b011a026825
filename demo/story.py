"""What the people of the simulated Discord do: the story of `make demo`, and the everyday life of `make run`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Literal, TypeAlias

Deed: TypeAlias = Literal[
    "opt_in",
    "opt_out",
    "join",
    "switch",
    "leave",
    "service_killed",
    "service_back",
    "listener_killed",
    "listener_back",
]

UNRECORDED = "Dora"
"""The one person of the story who never opts in: nothing about her may be found anywhere."""


@dataclass(frozen=True)
class Step:
    """One deed; `pause` seconds pass before it."""

    pause: float
    deed: Deed
    who: str = ""
    where: str = ""


PEOPLE = ("Ada", "Ben", "Cleo", UNRECORDED)
CHANNELS = ("Desk", "Lounge")

STORY: tuple[Step, ...] = (
    Step(0.2, "opt_in", "Ada"),
    Step(0.2, "opt_in", "Ben"),
    Step(0.2, "opt_in", "Cleo"),
    Step(1.0, "join", "Ada", "Desk"),
    Step(0.8, "join", "Dora", "Desk"),
    Step(0.8, "join", "Ben", "Desk"),
    Step(1.2, "switch", "Ada", "Lounge"),
    Step(0.6, "switch", "Dora", "Lounge"),
    Step(0.6, "join", "Cleo", "Lounge"),
    Step(1.5, "opt_out", "Ben"),
    Step(2.5, "opt_in", "Ben"),
    Step(1.5, "service_killed"),
    Step(1.0, "switch", "Cleo", "Desk"),
    Step(0.5, "switch", "Dora", "Desk"),
    Step(0.8, "leave", "Ada"),
    Step(1.0, "opt_out", "Cleo"),
    Step(1.2, "join", "Ada", "Desk"),
    Step(1.0, "service_back"),
    Step(1.5, "opt_in", "Cleo"),
    Step(2.0, "listener_killed"),
    Step(1.0, "switch", "Ada", "Lounge"),
    Step(0.8, "leave", "Ben"),
    Step(0.5, "switch", "Dora", "Lounge"),
    Step(1.0, "listener_back"),
    Step(1.5, "join", "Ben", "Lounge"),
    Step(1.0, "leave", "Ada"),
    Step(0.7, "leave", "Dora"),
    Step(0.7, "leave", "Cleo"),
    Step(0.7, "leave", "Ben"),
)

INHABITANTS = ("Ada", "Ben", "Cleo", UNRECORDED, "Emil", "Fatima")
ROOMS = ("Desk", "Lounge", "Kitchen")


OPENING: tuple[Step, ...] = (
    Step(0.5, "opt_in", "Ada"),
    Step(0.5, "opt_in", "Ben"),
    Step(0.5, "join", "Ada", "Desk"),
    Step(0.5, "join", UNRECORDED, "Desk"),
    Step(0.8, "join", "Ben", "Lounge"),
    Step(0.8, "opt_in", "Cleo"),
    Step(0.5, "join", "Cleo", "Lounge"),
)


def next_step(where: Mapping[str, str | None], recorded: Mapping[str, bool], random: Random) -> Step:
    """What someone does next, given the channel each person is in (None: in none) and who is recorded now.

    Everybody but Dora opts in sooner or later, most stay so; nobody does what Discord would not let them do.
    """
    pause = random.uniform(0.8, 3.0)
    undecided = [who for who in where if not recorded[who] and who != UNRECORDED]
    if undecided and random.random() < 0.2:
        return Step(pause, "opt_in", random.choice(undecided))
    who = random.choice(sorted(where))
    if recorded[who] and random.random() < 0.04:
        return Step(pause, "opt_out", who)
    room = where[who]
    if room is None:
        return Step(pause, "join", who, random.choice(ROOMS))
    if random.random() < 0.55:
        return Step(pause, "switch", who, random.choice([other for other in ROOMS if other != room]))
    return Step(pause, "leave", who)


def sentence(step: Step) -> str:
    """The deed in words."""
    return {
        "opt_in": f"{step.who} says /opt_in",
        "opt_out": f"{step.who} says /opt_out",
        "join": f"{step.who} joins {step.where}",
        "switch": f"{step.who} switches to {step.where}",
        "leave": f"{step.who} leaves",
        "service_killed": "kill -9 of the SQLite service: what happens now waits in the queue file",
        "service_back": "the SQLite service is started again",
        "listener_killed": "kill -9 of the listener: nobody sees what happens now",
        "listener_back": "the listener is started again",
    }[step.deed]
