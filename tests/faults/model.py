"""Fault 17: a model test. Hypothesis chooses what happens to a queue file; a set and a list say what must be true."""

from __future__ import annotations

import itertools
import random
import time
from pathlib import Path

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from db_client.errors import QueueFull, ServiceUnavailable
from db_client.queue_file import NewEntry, QueueFile
from db_client.sending import Sender
from db_client.service import Service
from db_client.transport import Transport
from tests.db_client.made import NOON, decision, watermark
from tests.faults.bodies import start_service
from tests.faults.campaign import Figure, campaign
from tests.faults.nursery import LANE, Nursery
from tests.faults.proxy import Do, Fault, FaultProxy
from tests.faults.seen import arrivals, compare
from tests.services import RunningService
from tests.waiting import eventually

FAULTS = [Do.RESET, Do.SWALLOW, Do.CUT, Do.FAIL_BEFORE, Do.FAIL_AFTER, Do.TWICE, Do.STATUS, Do.GARBAGE]
BOUND = 300 * 1024


class World:
    """What all examples share: one service behind one proxy, and numbers that no two examples use."""

    def __init__(self, folder: Path, service: RunningService, proxy: FaultProxy, nursery: Nursery) -> None:
        self.folder = folder
        self.nursery = nursery
        self.service = service
        self.proxy = proxy
        self.examples = itertools.count(1)
        self.steps = 0


class Process:
    """One process's share in a queue file, without its thread: each turn is taken when the model says so."""

    def __init__(self, path: Path, url: str) -> None:
        self.queue = QueueFile(path, BOUND)
        self.sender = Sender(self.queue, Service(Transport(url)), lambda: NOON)

    def turn(self) -> bool:
        with self.queue.delivering(wait=False) as alone:
            return alone and self.sender.send_some().some


def machine(world: World) -> type[RuleBasedStateMachine]:
    class QueueModel(RuleBasedStateMachine):
        @initialize()
        def begin(self) -> None:
            world.proxy.plan = lambda path: Fault()
            self.lane = next(world.examples)
            self.folder = world.folder / str(self.lane)
            self.folder.mkdir()
            self.processes = [self.opened(), self.opened()]
            self.next = itertools.count(0)
            self.acknowledged: list[int] = []
            self.poison = 0
            self.crashed: list[int] = []

        def opened(self) -> Process:
            return Process(self.folder / "queue.db", world.proxy.url)

        @rule(process=st.integers(0, 1), count=st.integers(1, 5), poison=st.booleans(), size=st.sampled_from([0, 9000]))
        def keep(self, process: int, count: int, poison: bool, size: int) -> None:
            world.steps += 1
            numbers = [next(self.next) for _ in range(count)]
            records = [decision(self.lane * LANE + number, display_name="d" * size) for number in numbers]
            if poison:
                records.append(decision(self.lane * LANE + LANE // 2 + self.poison, "maybe"))  # type: ignore[arg-type]
            entries = [NewEntry(r.key, r.person, r.kind, r.to_json(), NOON) for r in records]
            try:
                self.processes[process].queue.put(entries, {"last": str(numbers[-1])})
            except QueueFull:
                return
            self.acknowledged += numbers
            self.poison += poison

        @rule(process=st.integers(0, 1), observed_at=st.integers(0, 10**6))
        def replace(self, process: int, observed_at: int) -> None:
            world.steps += 1
            mark = watermark(observed_at)
            try:
                self.processes[process].queue.put(
                    [NewEntry(mark.key, mark.person, mark.kind, mark.to_json(), NOON)], {}
                )
            except QueueFull:
                return

        @rule(process=st.integers(0, 1), fault=st.sampled_from([Do.PASS, Do.PASS, *FAULTS]), at=st.integers(0, 3))
        def turn(self, process: int, fault: Do, at: int) -> None:
            world.steps += 1
            requests = itertools.count()
            world.proxy.plan = lambda path: Fault(fault) if next(requests) == at else Fault()
            try:
                self.processes[process].turn()
            except ServiceUnavailable:
                return

        @rule(process=st.integers(0, 1))
        def reopen(self, process: int) -> None:
            world.steps += 1
            self.processes[process].queue.close()
            self.processes[process] = self.opened()

        @rule(delay=st.floats(0, 0.01))
        def crash(self, delay: float) -> None:
            """Another process keeps and delivers, and is killed at any instant of it."""
            world.steps += 1
            world.proxy.plan = lambda path: Fault()
            first = max(self.acknowledged, default=-1) + 1
            before = self.crashed
            pid = world.nursery.fork(0, self.lane * LANE + LANE // 4 + 3 * len(before) + first, self.folder)
            eventually(lambda: len(self.told()) > len(before), what="the producer to keep")
            time.sleep(delay)  # the instant of the kill is what is random
            world.nursery.kill(pid)
            self.crashed = self.told()

        def told(self) -> list[int]:
            return world.nursery.acknowledged(0, self.folder)

        @invariant()
        def only_what_was_put_waits(self) -> None:
            if hasattr(self, "processes"):
                waiting = [one.id for one in self.processes[0].queue.waiting(10_000)]
                assert waiting == sorted(set(waiting))

        def teardown(self) -> None:
            if not hasattr(self, "processes"):
                return
            world.proxy.plan = lambda path: Fault()
            while self.processes[0].queue.waiting(1):
                self.processes[0].turn()
            mine = [n % LANE for n in arrivals(self.folder, world.service.url) if n // LANE == self.lane]
            assert [n for n in mine if n < LANE // 4] == self.acknowledged
            killed = [n for n in mine if n >= LANE // 4]
            told = {n - self.lane * LANE for n in self.crashed}
            assert compare(told, killed) == {"lost": 0, "twice": 0, "out of order": 0}
            assert self.processes[0].queue.tallies()[2] == self.poison
            for process in self.processes:
                process.queue.close()

    return QueueModel


@campaign(
    17,
    "model test: keep, replace, deliver under faults, crash, reopen, second process, full",
    references="localqueue 20 x 25 steps without a crash; Vector's crash action not merged",
    goal="200 x 50 with crash, reopen, second process, full disk",
    small=8,
    full=200,
)
def model(folder: Path, count: int, chance: random.Random) -> Figure:
    with (
        start_service(folder / "service") as service,
        FaultProxy(service.url) as proxy,
        Nursery(folder, proxy.url) as nursery,
    ):
        world = World(folder, service, proxy, nursery)
        test = seed(chance.randrange(2**32))(machine(world))
        run_state_machine_as_test(
            test,
            settings=settings(
                max_examples=count,
                stateful_step_count=50,
                deadline=None,
                database=None,
                phases=(Phase.generate, Phase.shrink) if count < 50 else (Phase.generate,),
                suppress_health_check=list(HealthCheck),
            ),
        )
    return Figure(f"{count} examples of up to 50 steps, {world.steps} steps: every promise held")
