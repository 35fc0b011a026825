"""The three programs on this machine, as the Procfile says, and a look into what they recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from db_client.errors import DbClientError
from db_client.settings import StoreSettings
from db_client.store import QueueStatistics, Store
from demo import procfile, reading
from demo.check import Stored
from demo.plan import Plan
from demo.programs import ROOT, Fleet, Program, answers

NAMES = ("sqlite", "web", "listener")


class NotInTime(Exception):
    """Something that was waited for did not come; the text says what, and shows the end of the program's log."""


class System:
    """The programs of the Procfile in one fleet, each with its environment from the plan."""

    def __init__(self, fleet: Fleet, plan: Plan) -> None:
        self.plan = plan
        self.fleet = fleet
        for entry in procfile.parse((ROOT / "Procfile").read_text("utf-8")):
            if entry.name in plan.environments:
                fleet.add(entry.name, entry.command, plan.environments[entry.name])
        self._store: Store | None = None

    def programs(self) -> list[Program]:
        """Those that are ours to start, in the Procfile's order."""
        return [self.fleet[name] for name in NAMES if name in self.fleet.programs]

    def start(self) -> None:
        """Starts them all; returns without waiting."""
        for program in self.programs():
            program.start()

    def ready(self, name: str) -> bool:
        """Whether the program says of itself that it is ready."""
        return answers(self.plan.url(name, "/readyz"))

    def wait_ready(self, pause: Callable[[float], None], names: Iterable[str] = NAMES, *, within: float = 60.0) -> None:
        """Waits until each of them is ready; raises NotInTime, at once if one of them has ended."""
        for name in names:
            self.wait(pause, partial(self.ready, name), f"{name} is ready", within=within, program=name)

    def wait(
        self,
        pause: Callable[[float], None],
        condition: Callable[[], bool],
        what: str,
        *,
        within: float = 60.0,
        program: str = "",
    ) -> None:
        """Waits for the condition; raises NotInTime, at once if the program it depends on has ended."""
        deadline = time.monotonic() + within
        awaited = self.fleet.programs.get(program)
        while not condition():
            ended = awaited is not None and not awaited.running
            if ended or time.monotonic() > deadline:
                tail = "".join(f"\n  {line}" for line in (awaited.last_lines() if awaited else []))
                status = awaited.exit_status if awaited else None
                why = f"{program} ended with status {status}, and" if ended else f"In {within:.0f} s"
                raise NotInTime(f"{why} this did not come: {what}{tail}")
            pause(0.05)

    @property
    def store(self) -> Store:
        """A reader of the service and of the queue file; it delivers nothing."""
        if self._store is None:
            self._store = Store(StoreSettings(service_url=self.plan.sqlite_url, queue_file=self.plan.queue_file))
        return self._store

    def rows(self) -> list[Stored]:
        """All voice sessions that the service has; raises a DbClientError if it cannot be asked."""
        return reading.stored(self.store.query(reading.EVERYTHING, within=5.0)[0])

    def queue(self) -> QueueStatistics:
        """What the queue file holds."""
        return self.store.statistics()

    def settled(self) -> bool:
        """Whether nothing waits to be delivered and no session is open."""
        try:
            return self.queue().waiting == 0 and all(row.ended_at is not None for row in self.rows())
        except DbClientError:
            return False

    def close(self) -> None:
        """Lets go of the queue file."""
        if self._store is not None:
            self._store.stop(within=0.0)
            self._store = None


def traces(folder: Path, needles: Iterable[bytes]) -> list[Path]:
    """The files under the folder in which one of the byte strings stands."""
    wanted = tuple(needles)
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and any(needle in path.read_bytes() for needle in wanted)
    ]
