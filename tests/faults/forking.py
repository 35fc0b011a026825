"""A program with a warm store that forks: each child keeps, delivers and reads, at the same time as its sibling."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from db_client.settings import StoreSettings
from db_client.statements import Statement
from db_client.store import Fate, Store
from tests.db_client.made import decision


def child(store: Store, number: int) -> int:
    if store.deliver(store.keep([decision(number)]), within=20) is not Fate.STORED:
        return 1
    for _ in range(3):
        (rows,) = store.query(Statement("SELECT :number AS number", {"number": number}), within=20)
        if rows != [{"number": number}]:
            return 2
    return 0


def main(folder: Path, url: str, count: int) -> int:
    store = Store(StoreSettings(url, folder / "queue.db"))
    store.start()
    wrong = 0
    for turn in range(count):
        warm = child(store, 3 * turn)
        pids = []
        for sibling in (1, 2):
            pid = os.fork()
            if pid == 0:
                try:
                    os._exit(child(store, 3 * turn + sibling))
                finally:
                    os._exit(3)
            pids.append(pid)
        wrong += warm + sum(os.waitpid(pid, 0)[1] != 0 for pid in pids)
    store.stop(within=20)
    return min(wrong, 100)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
