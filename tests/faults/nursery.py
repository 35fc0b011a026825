"""A process that forks producers on command: `fork LANE FIRST FOLDER` and `wait PID`, a line each on standard input.

A producer keeps decisions with growing numbers, writes each number to its lane's file once it is kept, and delivers.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from db_client.settings import StoreSettings
from db_client.store import Store
from tests.db_client.made import decision

LANE = 1_000_000  # numbers per lane


def produce(store: Store, folder: Path, lane: int, first: int) -> None:
    store.start()
    acknowledged = os.open(folder / f"lane-{lane}", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for number in itertools.count(first, 3):
        store.keep([decision(lane * LANE + each) for each in range(number, number + 3)])
        os.write(acknowledged, b"%d\n%d\n%d\n" % (number, number + 1, number + 2))


def main(folder: Path, url: str) -> None:
    stores = {folder: Store(StoreSettings(url, folder / "queue.db"))}
    for line in sys.stdin:
        command, number, *rest = line.rstrip("\n").split(" ", 3)
        if command == "wait":
            os.waitpid(int(number), 0)
            print("gone", flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            there = Path(rest[1])
            store = stores.get(there) or Store(StoreSettings(url, there / "queue.db"))
            produce(store, there, int(number), int(rest[0]))
        print(pid, flush=True)


class Nursery:
    """Starts and ends producers; they work on folder/queue.db, of the folder given here unless another one is named."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        with (folder / "nursery.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.nursery", str(folder), url],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def fork(self, lane: int, first: int, folder: Path | None = None) -> int:
        return int(self._ask(f"fork {lane} {first} {folder or self.folder}"))

    def kill(self, pid: int) -> None:
        os.kill(pid, 9)
        assert self._ask(f"wait {pid}") == "gone"

    def acknowledged(self, lane: int, folder: Path | None = None) -> list[int]:
        path = (folder or self.folder) / f"lane-{lane}"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def _ask(self, line: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def __enter__(self) -> Nursery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)
        assert self._process.stdout is not None
        self._process.stdout.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
