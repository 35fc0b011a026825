"""Faults 6, 9, 13 and 16: several processes, long outages, forks and clocks."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

from db_client.store import Store
from tests.db_client.made import NOON, decision
from tests.faults.bodies import start_service
from tests.faults.campaign import Figure, campaign
from tests.faults.nursery import Nursery
from tests.faults.seen import arrivals, compare, drained, settings
from tests.waiting import eventually

DAY = 24 * 3600 * 1000

WRITER = """
import sys, time
from pathlib import Path
from db_client.settings import StoreSettings
from db_client.store import Store
from tests.db_client.made import decision
store = Store(StoreSettings("http://127.0.0.1:9", Path(sys.argv[1])))
first, count = int(sys.argv[2]), int(sys.argv[3])
store.keep([], notes={"warm": "1"})
print("ready", flush=True)
sys.stdin.readline()
for number in range(first, first + count):
    began = time.perf_counter()
    store.keep([decision(number)])
    print((time.perf_counter() - began) * 1000, flush=True)
"""


@campaign(
    6,
    "4 writers and 1 deliverer",
    references="worst put 1,408..1,670 ms; 203 ms without durability",
    goal="worst put at most 100 ms, p99 at most 25 ms, 0 twice",
    small=50,
    full=500,
)
def writers(folder: Path, count: int, chance: random.Random) -> Figure:
    with start_service(folder / "service") as service:
        deliverer = Store(settings(folder, service.url))
        deliverer.start()
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, str(folder / "queue.db"), str(lane * count), str(count)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for lane in range(4)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        outputs: list[str] = []
        readers = [
            threading.Thread(target=lambda process=process: outputs.append(process.communicate("go\n")[0]))
            for process in processes
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        eventually(deliverer.idle, within=60, what="the queue to drain")
        deliverer.stop(within=1)
        arrived = arrivals(folder, service.url)
    assert sorted(arrived) == list(range(4 * count))
    taken = sorted(float(line) for output in outputs for line in output.split())
    worst, p99, p50 = taken[-1], taken[int(len(taken) * 0.99)], taken[len(taken) // 2]
    text = f"{4 * count} puts: worst {worst:.0f} ms, p99 {p99:.1f} ms, p50 {p50:.1f} ms, 0 twice"
    return Figure(text, worst <= 100 and p99 <= 25)


@campaign(
    9,
    "an outage of hours, with restarts",
    references="the collector gives up after 300 s; Fluent Bit after 1 retry; Prometheus loses all at a restart",
    goal="24 h simulated, 100,000 entries, 10 kills: 0 lost, 0 dead, in order; at least 1,000/s drained",
    small=2000,
    full=100_000,
)
def long_outage(folder: Path, count: int, chance: random.Random) -> Figure:
    clock = itertools.count(NOON, DAY // count)
    with start_service(folder / "service") as service:
        service.kill()
        with Nursery(folder, service.url) as nursery:
            for first in range(0, count, count // 10):
                store = Store(settings(folder, service.url), clock=lambda: next(clock))
                store.start()
                for number in range(first, first + count // 10, 50):
                    store.keep([decision(each) for each in range(number, min(number + 50, first + count // 10))])
                store.stop(within=0)
                pid = nursery.fork(1, first)  # another program of the same file, killed at its work
                eventually(lambda first=first: len(nursery.acknowledged(1)) > first // count, what="the producer")
                nursery.kill(pid)
            others = len(nursery.acknowledged(1))
        service.restart()
        began = time.monotonic()
        after = drained(folder, service.url, within=600)
        rate = (count + others) / (time.monotonic() - began)
        arrived = [number for number in arrivals(folder, service.url) if number < count]
    found = compare(set(range(count)), arrived)
    assert found == {"lost": 0, "twice": 0, "out of order": 0}, found
    assert after.dead == 0
    return Figure(f"{count} entries over 24 h, 10 kills: 0 lost, 0 dead, in order; {rate:,.0f}/s drained", rate >= 1000)


@campaign(
    13,
    "fork of a process whose client is warm (gunicorn --preload)",
    references="42 wrong and 51 errors in 300, plain requests",
    goal="0 in 3,000",
    small=20,
    full=1000,
)
def forks(folder: Path, count: int, chance: random.Random) -> Figure:
    with start_service(folder / "service") as service:
        program = [sys.executable, "-m", "tests.faults.forking", str(folder), service.url, str(count)]
        done = subprocess.run(program, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        arrived = arrivals(folder, service.url)
    assert sorted(arrived) == list(range(3 * count))
    return Figure(f"{3 * count} processes' turns: 0 wrong answers, 0 errors")


@campaign(
    16,
    "clock steps of a day, forwards and back",
    references="leases by the wall clock break",
    goal="no effect",
    small=100,
    full=2000,
)
def clock_steps(folder: Path, count: int, chance: random.Random) -> Figure:
    with start_service(folder / "service") as service:
        store = Store(settings(folder, service.url), clock=lambda: NOON + chance.randint(-DAY, DAY))
        store.start()
        for number in range(count):
            store.keep([decision(number)])
        eventually(store.idle, within=60, what="the queue to drain")
        after = store.statistics()
        store.stop(within=1)
        arrived = arrivals(folder, service.url)
    assert arrived == list(range(count))
    assert after.dead == 0
    assert not after.counters.get("retried")
    return Figure(f"{count} entries, a step at each: no effect")
