"""Faults 1 and 7: processes that are killed."""

from __future__ import annotations

import os
import random
import statistics
import time
from pathlib import Path

from db_client.statements import Statement
from db_client.store import Store
from tests.db_client.made import decision
from tests.faults.bodies import start_service
from tests.faults.campaign import Figure, campaign
from tests.faults.nursery import LANE, Nursery
from tests.faults.seen import arrivals, compare, drained, settings
from tests.waiting import eventually


@campaign(
    1,
    "kill -9 at random, producer and deliverer",
    references="0 lost in 100 kills; 17..34 out of order; 0.4 sent again a kill",
    goal="1,000 kills: 0 lost, 0 applied twice, 0 out of order in a lane",
    small=20,
    full=1000,
)
def random_kills(folder: Path, count: int, chance: random.Random) -> Figure:
    lanes = (1, 2)
    with start_service(folder / "service") as service, Nursery(folder, service.url) as nursery:
        running = {lane: nursery.fork(lane, 0) for lane in lanes}
        for kill in range(count):
            lane = lanes[kill % 2]
            time.sleep(chance.uniform(0.002, 0.12))  # the instant of the kill is what is random
            nursery.kill(running[lane])
            first = max(nursery.acknowledged(lane), default=-1) + 4
            running[lane] = nursery.fork(lane, first)
        for lane in lanes:
            nursery.kill(running[lane])
        after = drained(folder, service.url)
        arrived = arrivals(folder, service.url)
        acknowledged = {lane: set(nursery.acknowledged(lane)) for lane in lanes}
    total = {"lost": 0, "twice": 0, "out of order": 0}
    for lane in lanes:
        found = compare(acknowledged[lane], [number % LANE for number in arrived if number // LANE == lane])
        total = {what: total[what] + n for what, n in found.items()}
    assert total == {"lost": 0, "twice": 0, "out of order": 0}, total
    assert after.dead == 0, after
    kept = sum(map(len, acknowledged.values()))
    return Figure(f"{count} kills, {kept} kept: 0 lost, 0 twice, 0 out of order")


@campaign(
    7,
    "deliverer killed, a standby takes over",
    references="823 ms with a 1 s lease; 30 s by default; River 1 h",
    goal="at most 50 ms, order kept",
    small=5,
    full=100,
)
def takeover(folder: Path, count: int, chance: random.Random) -> Figure:
    """Entries are left by a process that died; the time until a standby's delivery of them ends is taken."""
    times = []
    with start_service(folder / "service") as service, Nursery(folder, service.url) as nursery:
        standby = Store(settings(folder, service.url))
        standby.start()
        standby.deliver(standby.keep([decision(0)]), within=20)
        for turn in range(count):
            pid = nursery.fork(1, turn * 10_000)
            eventually(lambda turn=turn: len(nursery.acknowledged(1)) > turn * 30, what="the producer to keep")
            time.sleep(chance.uniform(0.01, 0.05))  # the instant of the kill is what is random
            os.kill(pid, 9)
            began = time.monotonic()
            while not standby.idle():
                time.sleep(0.0005)
            times.append((time.monotonic() - began) * 1000)
            nursery._ask(f"wait {pid}")
        (rows,) = standby.query(Statement("SELECT count(*) AS n FROM consent_log", {}), within=10)
        acknowledged = set(nursery.acknowledged(1))
        standby.stop(within=5)
        arrived = [number % LANE for number in arrivals(folder, service.url) if number // LANE == 1]
    found = compare(acknowledged, arrived)
    assert found == {"lost": 0, "twice": 0, "out of order": 0}, found
    assert rows[0]["n"] > len(acknowledged)
    median, worst = statistics.median(times), max(times)
    return Figure(f"{count} kills: median {median:.0f} ms, worst {worst:.0f} ms, order kept", worst <= 50)
