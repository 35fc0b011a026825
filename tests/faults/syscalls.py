"""Faults 2 and 5: killed at a system call that changes the disk, and errors of such calls, both made by strace."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import apsw

from db_client import salvage
from db_client.queue_file import QueueFile
from tests.faults.campaign import Figure, Skipped, campaign
from tests.faults.life import MIB, number_of, numbered

# Every call by which the queue file, or a file beside it, comes to be, changes, becomes durable, is named or locked.
DURABLE = (
    "pwrite64,write,fdatasync,fsync,ftruncate,unlink,unlinkat,rename,renameat,link,linkat,mkdir,mkdirat"
    ",fallocate,sendfile,copy_file_range,flock"
)
SYNCED = ("put", "buried", "revived", "dropped")


def trace(folder: Path, inject: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a life under strace; `inject` as of strace's option of that name, or empty to only write down the calls."""
    if shutil.which("strace") is None:
        raise Skipped("there is no strace")
    strace = ["strace", "-f", "--seccomp-bpf", "-qq", "-o", str(folder / "calls")]
    wanted = ["-e", f"inject={inject}"] if inject else ["-e", f"trace={DURABLE}"]
    done = subprocess.run(
        [*strace, *wanted, sys.executable, "-m", "tests.faults.life", str(folder), *arguments],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if "ptrace" in done.stderr or "not permitted" in done.stderr:
        raise Skipped("strace may not trace here")
    return done


def calls(folder: Path) -> Counter[str]:
    """How often each of the calls was made in the life that was written down."""
    made = re.findall(r"^\d+ +(\w+)\(", (folder / "calls").read_text(), re.MULTILINE)
    return Counter(call for call in made if call in DURABLE.split(","))


class Story:
    """What a life told: `may` may have happened to a number, `must` has.

    After a power cut (`cut_after`: so many lines were sure to have been told before it) only what was synced must have:
    a settlement is as soon as anything else is done after it.
    """

    def __init__(self, lines: list[str], cut_after: int | None = None) -> None:
        self.may: dict[str, set[int]] = {}
        self.must: dict[str, set[int]] = {}
        told = [(what, set(map(int, numbers))) for what, *numbers in map(str.split, lines)]
        certain = told[:cut_after]
        synced = max((place for place, (what, _) in enumerate(certain) if what in SYNCED), default=-1)
        for what, numbers in told:
            if what.endswith("ing"):
                self.may.setdefault(what, set()).update(numbers)
        for place, (what, numbers) in enumerate(certain):
            if cut_after is None or what in SYNCED or place < synced:
                self.must.setdefault(what, set()).update(numbers)

    @classmethod
    def told(cls, folder: Path) -> Story:
        """The story of a life in that folder."""
        path = folder / "told"
        return cls(path.read_text().splitlines() if path.exists() else [])

    def check(self, queue: QueueFile, before: set[int]) -> None:
        """Raises AssertionError unless the file holds what the story allows; `before`: what it held at first."""
        waiting = [number_of(entry.body) for entry in queue.waiting(10_000)]
        dead = [number_of(letter.body) for letter in queue.letters(dead=True, most=10_000)]
        here = waiting + dead
        assert len(here) == len(set(here)), "something is there twice"
        put = before | self.must.get("put", set())
        assert set(here) <= put | self.may.get("putting", set()), "something was made up"
        assert put - set(here) <= self.may.get("settling", set()), "an acknowledged put is missing"
        assert not set(here) & self.must.get("settled", set()), "a settled entry is back"
        assert not set(here) & self.must.get("dropped", set()), "a dropped letter is back"
        assert set(dead) <= self.may.get("burying", set()), "a dead letter of what was not refused"
        assert self.must.get("buried", set()) & set(waiting) <= self.may.get("reviving", set()), "the dead are back"
        assert not self.must.get("revived", set()) & set(dead), "a revived letter is dead"
        revived = self.may.get("reviving", set())
        in_order = [number for number in waiting if number not in revived]
        assert in_order == sorted(in_order), "out of order"


def check(folder: Path, before: set[int], *, damaged: bool) -> None:
    """Opens what a killed life left, in this process, and holds it to its story."""
    queue = QueueFile(folder / "queue.db", 64 * MIB)
    try:
        Story.told(folder).check(queue, before)
        asides = queue.tallies()[3].get(("set_aside", "damaged"), 0)
        assert asides == damaged, "set aside without need"
        assert queue.put([numbered(9999)], {}), "puts do not work any more"
    finally:
        queue.close()
    connection = apsw.Connection(str(folder / "queue.db"))
    assert salvage.is_sound(connection, thorough=True)
    connection.close()


def new(folder: Path) -> set[int]:
    folder.mkdir()
    return set()


def spoilt(folder: Path) -> set[int]:
    """A queue file of fifty entries whose header is trashed."""
    folder.mkdir()
    queue = QueueFile(folder / "queue.db", 64 * MIB)
    queue.put([numbered(number) for number in range(50)], {})
    with queue._file.locked() as connection:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    queue.close()
    with (folder / "queue.db").open("r+b") as file:
        file.write(os.urandom(100))
    return set(range(50))


@campaign(
    2,
    "killed at each durable system call",
    references="localqueue: 8 points",
    goal="every point of open, put, drain, bury, replay, drop, clean, salvage (at least 228): 0 broken",
    small=12,
    full=100_000,
)
def killed_at_each_call(folder: Path, count: int, chance: random.Random) -> Figure:
    """`count` of all points, spread evenly over them."""
    points = []
    for make in (new, spoilt):
        make(folder / make.__name__)
        done = trace(folder / make.__name__, "")
        assert done.returncode == 0, done.stderr
        points += [
            (make, call, n)
            for call, times in sorted(calls(folder / make.__name__).items())
            for n in range(1, times + 1)
        ]
    step = max(1, len(points) // count)
    chosen = points[chance.randrange(step) :: step]
    for turn, (make, call, n) in enumerate(chosen):
        here = folder / str(turn)
        before = make(here)
        done = trace(here, f"{call}:signal=KILL:when={n}")
        assert done.returncode != 0, f"{make.__name__}: nothing happened at {call} {n}"
        try:
            check(here, before, damaged=make is spoilt)
        except AssertionError as problem:
            raise AssertionError(f"{make.__name__}, killed at {call} {n}: {problem}") from problem
        shutil.rmtree(here)
    return Figure(f"{len(chosen)} of {len(points)} points: 0 broken")


@campaign(
    5,
    "EIO on writes and fsyncs, 10 %",
    references="3 %: 0 acknowledged missing",
    goal="10 %: 0 missing, 0 crashes",
    small=100,
    full=5000,
)
def failing_disk(folder: Path, count: int, chance: random.Random) -> Figure:
    """A tenth of SQLite's writes and syncs fail, not done, half done or done; the process goes on."""
    failures = 0
    told: Counter[str] = Counter()
    for turn in range(max(1, count // 100)):
        here = folder / str(turn)
        here.mkdir()
        program = [sys.executable, "-m", "tests.faults.life", str(here), "100", str(chance.randrange(2**32))]
        done = subprocess.run(program, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        failures += int(done.stdout)
        story = Story.told(here)
        put, refused = story.must.get("put", set()), story.must.get("refused", set())
        queue = QueueFile(here / "queue.db", 64 * MIB)
        found = {number_of(entry.body) for entry in queue.waiting(10_000)}
        queue.close()
        assert not put - found - story.may.get("settling", set()), "an acknowledged put is missing"
        assert not found & story.must.get("settled", set()), "a settled entry is back"
        assert found <= put | refused, "something was made up"
        told.update(
            kept=len(put), refused=len(refused), stood=len(refused & found), salvaged=len(list(here.glob("*.damaged*")))
        )
    assert told["kept"], "nothing was kept"
    refusals = f"{told['refused']} refused by name ({told['stood']} of them stood all the same)"
    return Figure(
        f"{failures} errors: {told['kept']} kept, {refusals}, {told['salvaged']} set aside: 0 missing, 0 crashes"
    )
