"""A queue file's whole life in one process, which says before each step what it begins and after it what is done.

`python -m tests.faults.life FOLDER`: open (or salvage), put, drain, bury, replay, drop, clean, close; it may be killed
at any instant. `python -m tests.faults.life FOLDER PUTS SEED`: puts, drains and cleans on a disk where one write or
sync in ten fails with EIO; it goes on whatever is refused. `python -m tests.faults.life FOLDER 0`: lives for ever,
telling its output.
"""

from __future__ import annotations

import itertools
import os
import random
import sys
from pathlib import Path

import apsw

from db_client.errors import NotKept
from db_client.queue_file import NewEntry, QueueFile

MIB = 1024 * 1024
PEOPLE = 7


def numbered(number: int) -> NewEntry:
    return NewEntry(None, number % PEOPLE, "test", f"{number}:" + "b" * 2000, number)


def number_of(body: bytes) -> int:
    return int(body.split(b":")[0])


class Teller:
    """Writes words and numbers to a file; what it wrote stays when the process is killed."""

    def __init__(self, file: Path) -> None:
        self._file = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def __call__(self, what: str, *numbers: int) -> None:
        os.write(self._file, f"{what} {' '.join(map(str, numbers))}\n".encode())


class FailingDisk(apsw.VFS):
    """SQLite's way to the disk, on which writes and syncs fail by chance: not done, half done, or done."""

    def __init__(self, chance: random.Random, rate: float) -> None:
        super().__init__("failing", "unix", makedefault=True)
        self.chance = chance
        self.rate = rate
        self.failures = 0

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        return FailingFile(self, name, flags)

    def fails(self) -> bool:
        failed = self.chance.random() < self.rate
        self.failures += failed
        return failed


class FailingFile(apsw.VFSFile):
    def __init__(self, disk: FailingDisk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__("unix", name, flags)
        self.disk = disk

    def xWrite(self, data: bytes, offset: int) -> None:
        if self.disk.fails():
            written = bytes(data)[: int(self.disk.chance.choice([0, 0.5, 1]) * len(data))]
            if written:
                super().xWrite(written, offset)
            raise failure(apsw.SQLITE_IOERR_WRITE)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        if self.disk.fails():
            raise failure(apsw.SQLITE_IOERR_FSYNC)
        super().xSync(flags)


def failure(code: int) -> apsw.IOError:
    made = apsw.IOError()
    made.extendedresult = code
    return made


def live(queue: QueueFile, tell: Teller, first: int, *, revive: bool = True) -> None:
    for number in range(first, first + 3):
        tell("putting", number)
        queue.put([numbered(number)], {"last": str(number)})
        tell("put", number)
    several = range(first + 3, first + 8)
    tell("putting", *several)
    queue.put([numbered(number) for number in several], {})
    tell("put", *several)
    drained = queue.waiting(3)
    numbers = [number_of(entry.body) for entry in drained]
    tell("settling", *numbers)
    queue.settle(drained, [], 0, {("delivered", "test"): 3})
    tell("settled", *numbers)
    refused = queue.waiting(3)
    numbers = [number_of(entry.body) for entry in refused]
    tell("burying", *numbers)
    queue.settle([], [(entry, "refused") for entry in refused], 0, {("dead", "refused"): 3})
    tell("buried", *numbers)
    if revive:
        tell("reviving", numbers[0])
        queue.replay([refused[0].id])
        tell("revived", numbers[0])
    tell("settling", numbers[1])
    queue.drop([refused[1].id])
    tell("dropped", numbers[1])
    queue.left_traces()
    queue.clean()
    queue.close()


def go_on(queue: QueueFile, tell: Teller, count: int) -> None:
    for number in range(count):
        try:
            queue.put([numbered(number)], {})
            tell("put", number)
        except NotKept:
            tell("refused", number)
        if number % 5 == 4:
            try:
                drained = queue.waiting(3)
                numbers = [number_of(entry.body) for entry in drained]
                tell("settling", *numbers)
                queue.settle(drained, [], 0, {("delivered", "test"): len(drained)})
                tell("settled", *numbers)
                queue.left_traces()
                queue.clean()
            except NotKept:
                continue
    queue.close()


def go_on_for_ever(queue: QueueFile, tell: Teller) -> None:
    """A turn puts some one by one and some at once, drains some, and buries and drops some."""
    for turn in itertools.count():
        live(queue, tell, 8 * turn, revive=False)


def main(folder: Path, *numbers: int) -> None:
    queue = QueueFile(folder / "queue.db", 64 * MIB)
    if numbers == (0,):
        go_on_for_ever(queue, Teller(Path("/dev/fd/1")))
    if not numbers:
        live(queue, Teller(folder / "told"), 100)
        return
    puts, seed = numbers
    disk = FailingDisk(random.Random(seed), 0.1)
    go_on(queue, Teller(folder / "told"), puts)
    print(disk.failures)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
