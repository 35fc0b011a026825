"""Fault 18, beyond the table: a cluster of real rqlited whose nodes are killed, stopped and restarted under load."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

from tests.faults.campaign import Figure, campaign
from tests.faults.cluster import NODES, Cluster
from tests.faults.seen import compare
from tests.faults.two_programs import TwoPrograms, two_programs

DISCORD_WAITS_MS = 3000


@campaign(
    18,
    "three rqlited: leader killed, follower stopped, rolling restart, while endpoint and listener write",
    references="beyond the table",
    goal="0 lost, 0 twice, in order, every interaction answered within 3 s",
    small=1,
    full=10,
)
def elections(folder: Path, count: int, chance: random.Random) -> Figure:
    with Cluster(folder / "cluster") as cluster, two_programs(folder, cluster.url, chance) as programs:
        with programs.busy():
            _go_on(cluster, programs)
            for _ in range(count):
                _kill_leader(cluster)
                _go_on(cluster, programs)
                _stop_follower(cluster, chance)
                _go_on(cluster, programs)
                for number in range(NODES):
                    cluster.send(number, signal.SIGTERM)
                    cluster.restart(number)
                    _go_on(cluster, programs)
        assert [after.dead for after in programs.finish()] == [0, 0]
        arrived = programs.decisions()
        for caller in (*programs.callers, *programs.guests):
            found = compare(set(caller.answered), [number for user, number in arrived if user == caller.user])
            assert found == {"lost": 0, "twice": 0, "out of order": 0}, found
        pairs = programs.sessions()
    wrong = [str(pair) for pair in pairs if pair.problems]
    assert not wrong, "\n".join(wrong)
    answered = sum(len(caller.answered) for caller in programs.callers)
    kept = sum(caller.kept for caller in programs.callers)
    slowest_ms = max(caller.slowest_ms for caller in programs.callers)
    text = (
        f"{count} leaders killed, {count} stops, {NODES * count} restarts: {answered} interactions and {len(pairs)}"
        f" stays, 0 lost, 0 twice, in order; slowest answer {slowest_ms / 1000:.2f} s, {kept} answered as kept"
    )
    return Figure(text, slowest_ms <= DISCORD_WAITS_MS)


def _go_on(cluster: Cluster, programs: TwoPrograms) -> None:
    cluster.await_all()
    programs.await_progress()


def _kill_leader(cluster: Cluster) -> None:
    leader = cluster.await_leader()
    cluster.send(leader, signal.SIGKILL)
    cluster.await_leader(but=leader)
    cluster.restart(leader)


def _stop_follower(cluster: Cluster, chance: random.Random) -> None:
    leader = cluster.await_leader()
    follower = chance.choice([number for number in range(NODES) if number != leader])
    cluster.send(follower, signal.SIGSTOP)
    time.sleep(chance.uniform(1, 3))  # how long a node stands still is what is random
    cluster.send(follower, signal.SIGCONT)
