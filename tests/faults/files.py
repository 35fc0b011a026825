"""Faults 4, 11 and 12: full disks, damaged files, and files opened by many at once."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from db_client.errors import QueueFull
from db_client.queue_file import NewEntry, QueueFile
from db_client.records import Undecodable, from_json
from db_client.store import Store
from tests.db_client.made import decision
from tests.faults.bodies import Chosen, start_service
from tests.faults.campaign import Figure, Skipped, campaign
from tests.faults.seen import arrivals, compare, settings
from tests.waiting import eventually

MIB = 1024 * 1024
PEOPLE = 200  # the newest decisions of each are remembered, so people are what must be few on a small disk


def numbered(number: int, size: int = 300) -> NewEntry:
    return NewEntry(None, number, "test", f"{number}:" + "b" * size, number)


def numbers(queue: QueueFile, most: int = 1_000_000) -> list[int]:
    return [int(one.body.split(b":")[0]) for one in queue.waiting(most)]


NO_SMALL_DISK = "a small disk takes root, or user namespaces in which to be root (unshare -Urm)"


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A disk of that size, in memory; takes the right to mount it."""
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        raise Skipped(NO_SMALL_DISK)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def as_root_of_a_namespace(number: int, count: int, full: int, chance: random.Random) -> Figure:
    """The same campaign in a process that is root in a user namespace of its own, which takes no right."""
    unshare = ["unshare", "--user", "--map-root-user", "--mount"]
    here = shutil.which("unshare") is not None
    if not here or subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        raise Skipped(NO_SMALL_DISK)
    command = [*unshare, sys.executable, "-m", "tests.faults", "--only", str(number), "--body", Chosen.body]
    options = ["--scale", str(count / full), "--seed", str(chance.randrange(10**6))]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    figure = done.stdout.rstrip(" |\n").rpartition("| ")[2]
    assert done.returncode == 0, figure + done.stderr
    if figure.startswith("skipped"):
        raise Skipped(NO_SMALL_DISK)
    return Figure(figure)


@campaign(
    4,
    "disk full while queueing",
    references="0 % drained (all); the collector is stuck; Vector exits",
    goal="a named error, 0 acknowledged lost, 100 % drained while full, puts again without a restart",
    small=1,
    full=10,
)
def full_disk(folder: Path, count: int, chance: random.Random) -> Figure:
    if os.geteuid() != 0:
        return as_root_of_a_namespace(4, count, 10, chance)
    kept: list[int] = []
    number = 0
    with small_disk(folder, 8) as disk, start_service(folder / "service") as service:
        url = service.url
        store = Store(settings(disk, url))
        for _ in range(count):
            try:
                while True:
                    size = chance.randrange(100, 2000)
                    several = range(number, number + 20)
                    number += 20
                    store.keep([decision(each, user=each % PEOPLE, display_name="d" * size) for each in several])
                    kept += several
            except QueueFull:
                pass
            foreign = disk / "another program's"
            fill(foreign)
            if chance.random() < 0.5:  # the program may be started again on the full disk
                store.stop(within=0)
                store = Store(settings(disk, url))
            store.start()
            eventually(store.idle, within=120, what="the queue to drain while the disk is full")
            assert not store.statistics().dead
            store.stop(within=0)
            foreign.unlink()
            store = Store(settings(disk, url))
            store.keep([decision(number)])
            kept.append(number)
            number += 1
        assert store.statistics().waiting == 1
        store.start()
        eventually(store.idle, within=120, what="the last entry to arrive")
        store.stop(within=1)
        found = compare(set(kept), arrivals(folder, url))
    assert found == {"lost": 0, "twice": 0, "out of order": 0}, found
    return Figure(
        f"{count} rounds: QueueFull by name, {len(kept)} of {len(kept)} delivered while full, puts again at once"
    )


def fill(path: Path) -> None:
    """Takes what is left of the disk."""
    with path.open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while filler.write(b"x" * 4096):
            pass


@campaign(
    11,
    "queue file corrupt, truncated, header trashed",
    references="the collector: .backup, starts empty; Vector: by hand",
    goal="set aside, readable rows salvaged, none of them wrong, start within 1 s, counted",
    small=10,
    full=500,
)
def damage(folder: Path, count: int, chance: random.Random) -> Figure:
    rows = 2000
    records = [decision(number, display_name="b" * 150) for number in range(rows + 1)]
    entries = [NewEntry(r.key, r.person, r.kind, r.to_json(), number) for number, r in enumerate(records)]
    original = folder / "original.db"
    queue = QueueFile(original, 64 * MIB)
    for first in range(0, rows, 100):
        queue.put(entries[first : first + 100], {})
    with queue._file.locked() as connection:
        connection.wal_checkpoint(mode=3)
    queue.close()
    content = original.read_bytes()
    kept = hurt = noticed = 0
    right = set(records)
    slowest = 0.0
    for turn in range(count):
        path = folder / f"{turn}" / "queue.db"
        path.parent.mkdir()
        path.write_bytes(_damaged(content, turn, chance))
        began = time.monotonic()
        again = QueueFile(path, 64 * MIB)
        again.put(entries[rows:], {})
        slowest = max(slowest, time.monotonic() - began)
        waits = again.waiting(2 * rows)
        found = [entry.id for entry in waits]
        assert found == sorted(set(found)), "salvaged rows are in order, once"
        assert turn % KINDS == KINDS - 1 or set(found[:-1]) <= set(range(1, rows + 1)), "no row is made up"
        for entry in waits:  # a byte that was changed within one is not damage that SQLite could know of
            try:
                assert from_json(entry.body.decode("utf-8", "replace")) in right, "no entry says another thing"
            except Undecodable:
                noticed += 1
        asides = list(path.parent.glob("queue.db.damaged-*"))
        counted = again.tallies()[3].get(("set_aside", "damaged"), 0)
        assert counted == (1 if asides else 0)
        hurt += bool(asides)
        kept += len(found) - 1
        again.close()
    share = 100 * kept / (rows * count)
    return Figure(
        f"{count} damages, {hurt} set aside: {share:.1f} % of rows salvaged, of which {noticed} are known to be damaged"
        f" and none is wrong; slowest start {slowest:.2f} s",
        slowest <= 1,
    )


KINDS = 5  # of damage; the last changes single bytes, perhaps those of an id


def _damaged(content: bytes, turn: int, chance: random.Random) -> bytes:
    made = bytearray(content)
    match turn % KINDS:
        case 0:
            made[:100] = os.urandom(100)
        case 1:
            made[:4096] = os.urandom(4096)
        case 2:
            del made[chance.randrange(len(made) // 2, len(made)) :]
        case 3:
            page = chance.randrange(1, len(made) // 4096)
            made[page * 4096 : (page + 1) * 4096] = os.urandom(4096)
        case _:
            for _ in range(20):
                made[chance.randrange(len(made))] = chance.randrange(256)
    return bytes(made)


OPEN_AND_PUT = """
import sys
from pathlib import Path
from db_client.queue_file import QueueFile
from tests.faults.files import numbered
sys.stdin.readline()
for turn, line in enumerate(sys.stdin):
    QueueFile(Path(line.strip()), 1 << 26).put([numbered(int(sys.argv[1]))], {})
    print("ok", flush=True)
"""


@campaign(
    12,
    "six processes open a new file at once",
    references="0 failures in 150 (libraries), 2 in 150 (naive)",
    goal="0 in 600",
    small=10,
    full=100,
)
def opened_at_once(folder: Path, count: int, chance: random.Random) -> Figure:
    openers = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN_AND_PUT, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for number in range(6)
    ]
    try:
        for turn in range(-1, count):
            path = folder / f"{turn}.db"
            for opener in openers:
                assert opener.stdin is not None
                opener.stdin.write("begin\n" if turn < 0 else f"{path}\n")
                opener.stdin.flush()
            if turn >= 0:
                answers = [opener.stdout.readline() for opener in openers if opener.stdout is not None]
                assert answers == ["ok\n"] * 6, answers
                assert sorted(numbers(QueueFile(path, MIB))) == list(range(6))
    finally:
        for opener in openers:
            opener.communicate()
    return Figure(f"0 failures in {6 * count}")
