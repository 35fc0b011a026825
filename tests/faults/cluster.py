"""A cluster of three rqlited as processes, behind a balancer of connections to those that are ready."""

from __future__ import annotations

import json
import os
import signal
import threading
import urllib.request
from pathlib import Path
from types import TracebackType

from tests.faults.campaign import Skipped
from tests.faults.proxy import FaultProxy
from tests.services import NO_RQLITED, free_ports, rqlited_binary, spawn
from tests.waiting import eventually

NODES = 3
READY_SECONDS = 0.2  # how often readiness is asked for


class Balancer(FaultProxy):
    """Connections go to the ready nodes in turn; those to a node that is no longer ready stay, as in Kubernetes."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__("http://127.0.0.1:9")
        self._cluster = cluster
        self._turn = 0

    def _next(self) -> tuple[str, int]:
        ready = self._cluster.ready or [("127.0.0.1", 9)]
        self._turn += 1
        return ready[self._turn % len(ready)]


class Cluster:
    """Three nodes with foreign keys on; `url` is the balancer's. A context manager that ends them all."""

    def __init__(self, folder: Path) -> None:
        binary = rqlited_binary()
        if binary is None:
            raise Skipped(NO_RQLITED)
        ports = free_ports(2 * NODES)
        self._ports, raft = ports[:NODES], ports[NODES:]
        join = ",".join(f"127.0.0.1:{port}" for port in raft)
        self.ready: list[tuple[str, int]] = []
        self._over = threading.Event()
        self._commands = []
        for number in range(NODES):
            here = folder / f"node-{number}"
            here.mkdir(parents=True)
            options = [
                "-fk",
                f"-node-id={number}",
                f"-http-addr=127.0.0.1:{self._ports[number]}",
                f"-raft-addr=127.0.0.1:{raft[number]}",
                f"-bootstrap-expect={NODES}",
                f"-join={join}",
                str(here / "rqlite"),
            ]
            self._commands.append(([binary, *options], here / "log"))
        self._nodes = [spawn(command, log, {}) for command, log in self._commands]
        self._balancer = Balancer(self)
        self._watcher = threading.Thread(target=self._watch, name="readiness")

    @property
    def url(self) -> str:
        return self._balancer.url

    def leader(self) -> int | None:
        """The number of the node that leads, as a ready node says."""
        for _, port in list(self.ready):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/nodes", timeout=2) as answer:
                    for number, node in json.load(answer).items():
                        if node["leader"]:
                            return int(number)
            except OSError:
                continue
        return None

    def await_leader(self, *, but: int | None = None) -> int:
        """Waits until some node, another than `but`, leads."""
        eventually(lambda: self.leader() not in (None, but), within=60, what="a leader")
        leader = self.leader()
        assert leader is not None
        return leader

    def await_all(self) -> None:
        """Waits until every node is ready."""
        eventually(lambda: len(self.ready) == NODES, within=60, what="all nodes to be ready")

    def send(self, number: int, sign: signal.Signals) -> None:
        os.kill(self._nodes[number].pid, sign)
        if sign in (signal.SIGKILL, signal.SIGTERM):
            self._nodes[number].wait(60)

    def restart(self, number: int) -> None:
        self._nodes[number] = spawn(*self._commands[number], {})

    def _watch(self) -> None:
        while not self._over.wait(READY_SECONDS):
            self.ready = [("127.0.0.1", port) for port in self._ports if _is_ready(port)]

    def __enter__(self) -> Cluster:
        self._watcher.start()
        self._balancer.__enter__()
        self.await_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._watcher.join()
        self._balancer.__exit__(kind, error, trace)
        for node in self._nodes:
            if node.poll() is None:
                node.kill()
                node.send_signal(signal.SIGCONT)
            node.wait(20)


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=0.5) as answer:
            return answer.status == 200
    except OSError:
        return False
