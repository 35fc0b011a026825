"""Fault 18, beyond the table: a cluster of real rqlited whose nodes are killed, stopped and restarted under load."""

from __future__ import annotations

import itertools
import random
import signal
import threading
import time
from pathlib import Path

from db_client.errors import ServiceUnavailable
from db_client.reading_statements import newest_decision
from db_client.settings import StoreSettings
from db_client.store import Store
from tests.db_client.made import decision
from tests.faults.campaign import Figure, campaign
from tests.faults.cluster import NODES, Cluster
from tests.faults.nursery import LANE
from tests.faults.seen import arrivals, compare, drained
from tests.waiting import eventually

BUDGET = 1.0
PAUSE = 0.02


class Service:
    """One program that writes without end: what it kept, and how long each of its calls took."""

    def __init__(self, folder: Path, url: str, lane: int, *, answers_people: bool) -> None:
        folder.mkdir()
        self.folder = folder
        self.lane = lane
        self.kept: list[int] = []
        self.longest = 0.0
        self.unread = 0
        self._answers_people = answers_people
        self._store = Store(StoreSettings(url, folder / "queue.db"))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self._store.start()
        for number in itertools.count():
            if self._over.wait(PAUSE):
                break
            made = decision(self.lane * LANE + number)
            began = time.monotonic()
            receipt = self._store.keep([made])
            self.kept.append(number)
            if self._answers_people:
                self._store.deliver(receipt, within=BUDGET)
                self._note(began)
                began = time.monotonic()
                try:
                    self._store.query(newest_decision(made.user_id), within=BUDGET)
                except ServiceUnavailable:
                    self.unread += 1
                self._note(began)

    def _note(self, began: float) -> None:
        self.longest = max(self.longest, time.monotonic() - began)

    def __enter__(self) -> Service:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._store.stop(within=1)

    def await_progress(self) -> None:
        """Waits until something that is kept from now on is stored."""
        seen = len(self.kept)

        def progress() -> bool:
            return len(self.kept) > seen + 5 and self._store.statistics().waiting < 20

        eventually(progress, within=60, what=f"progress (retried: {self._store.statistics().counters.get('retried')})")


@campaign(
    18,
    "three rqlited: leader killed, follower stopped, rolling restart, while two programs write",
    references="beyond the table",
    goal="0 lost, 0 twice, in order, every interaction answered within its budget",
    small=1,
    full=10,
)
def elections(folder: Path, count: int, chance: random.Random) -> Figure:
    with Cluster(folder / "cluster") as cluster:
        with (
            Service(folder / "interactions", cluster.url, 1, answers_people=True) as interactions,
            Service(folder / "listener", cluster.url, 2, answers_people=False) as listener,
        ):
            both = (interactions, listener)

            def go_on() -> None:
                cluster.await_all()
                for service in both:
                    service.await_progress()

            go_on()
            for _ in range(count):
                leader = cluster.await_leader()
                cluster.send(leader, signal.SIGKILL)
                cluster.await_leader(but=leader)
                cluster.restart(leader)
                go_on()
                follower = chance.choice([number for number in range(NODES) if number != cluster.await_leader()])
                cluster.send(follower, signal.SIGSTOP)
                time.sleep(chance.uniform(1, 3))  # how long a node stands still is what is random
                cluster.send(follower, signal.SIGCONT)
                go_on()
                for number in range(NODES):
                    cluster.send(number, signal.SIGTERM)
                    cluster.restart(number)
                    go_on()
        kept = lost = 0
        for service in both:
            after = drained(service.folder, cluster.url)
            assert after.dead == 0, after
        arrived = arrivals(interactions.folder, cluster.url)
        for service in both:
            mine = [number % LANE for number in arrived if number // LANE == service.lane]
            found = compare(set(service.kept), mine)
            assert found == {"lost": 0, "twice": 0, "out of order": 0}, found
            kept += len(service.kept)
            lost += found["lost"]
    text = (
        f"{count} leaders killed, {count} stops, {NODES * count} restarts, {kept} kept: {lost} lost, 0 twice, in order;"
        f" slowest answer {interactions.longest:.2f} s of {BUDGET:.0f} s, {interactions.unread} reads unavailable"
    )
    return Figure(text, interactions.longest <= BUDGET + 0.1)
