"""What `make run` shows: read from the service, the queue file and the programs, turn by turn."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random

from db_client.errors import DbClientError
from demo import picture, reading
from demo.scene import Scene
from demo.screen import Event, Health, View, spoken
from demo.stage import GUILD
from demo.story import OPENING, Step, next_step
from demo.system import NAMES, System
from demo.terminal import Log, Page

KEPT_EVENTS = 200


@dataclass
class Life:
    """What happens by itself, besides the programs: the people of a simulation, or nothing."""

    title: str
    farewell: str
    scene: Scene | None = None
    opening: Iterator[Step] = field(default_factory=lambda: iter(OPENING))
    next_at: float = 0.0

    def go_on(self, dice: Random, tell: Callable[[str], None]) -> None:
        """Lets somebody do something, when it is time."""
        if self.scene is None or time.monotonic() < self.next_at:
            return
        step = next(self.opening, None) or next_step(self.scene.where, self.scene.recorded, dice)
        self.next_at = time.monotonic() + step.pause
        reply = self.scene.perform(step)
        if reply:
            tell(f"  {step.who} says /{step.deed}: {spoken(reply)}")

    def bystanders(self) -> list[tuple[str, str, str]]:
        """People in voice who are not to be recorded."""
        if self.scene is None:
            return []
        recorded = self.scene.recorded
        return [(GUILD, room, who) for who, room in self.scene.where.items() if room and not recorded[who]]


class Watcher:
    """Looks at the service, the queue file and the programs, and keeps what happened."""

    def __init__(self, life: Life, system: System) -> None:
        self.sessions = 0
        self._life = life
        self._system = system
        self._dice = Random()
        self._open: dict[str, reading.Session] = {}
        self._events: list[Event] = []
        self._shown = 0

    def tell(self, text: str, *, bad: bool = False) -> None:
        """Adds a line of now to what happened."""
        self._events.append(Event(_now(), text, bad))

    def tell_bad(self, text: str) -> None:
        """The same for what should not have happened."""
        self.tell(text, bad=True)

    def turn(self, shown: Page | Log) -> None:
        """One turn: life goes on, what is recorded is read, and the view is drawn."""
        self._life.go_on(self._dice, self.tell)
        with contextlib.suppress(DbClientError):  # shown as the service's health; the next turn reads it all
            self._read()
        queue = self._system.queue()
        view = View(
            title=self._life.title,
            rooms=picture.rooms(self._open.values(), self._life.bystanders()),
            programs=tuple(self._health(name) for name in NAMES),
            waiting=queue.waiting,
            dead=queue.dead,
            sessions=self.sessions,
            events=tuple(self._events),
        )
        shown.show(view, self._events[self._shown :], _now())
        self._events = self._events[-KEPT_EVENTS:]
        self._shown = len(self._events)

    def _read(self) -> None:
        rows = self._system.store.query(reading.OPEN, within=1.0)[0]
        now = {session.session_id: session for session in reading.sessions(rows)}
        opened, gone = picture.changed(self._open, now)
        closed = reading.sessions(self._system.store.query(reading.these(gone), within=1.0)[0]) if gone else []
        self._open = now
        self.sessions += len(opened)
        events = [picture.closing(session) for session in closed] + [picture.opening(session) for session in opened]
        self._events += sorted(events, key=lambda event: event.at)

    def _health(self, name: str) -> Health:
        program = self._system.fleet.programs.get(name)
        address = f":{getattr(self._system.plan.ports, name)}"
        if self._system.ready(name):
            return Health(name, "ready" if program else "elsewhere", address if program else "")
        return Health(name, "not ready" if program is None or program.running else "down", address)


def _now() -> int:
    return time.time_ns() // 1_000_000
