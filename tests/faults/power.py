"""Faults 3, 19 and 20: the power is cut under the queue file and the embedded service, whose parser is fuzzed."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import requests

from db_client.queue_file import QueueFile
from tests.faults.block_device import Device, mounted
from tests.faults.campaign import Figure, campaign
from tests.faults.life import MIB
from tests.faults.syscalls import Story
from tests.services import start_embedded
from tests.waiting import eventually

DISK = 24 * MIB


class Listener:
    """Reads the lines that a process writes, as they come."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.lines: list[str] = []
        self._process = process
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self.lines.append(line)

    def join(self) -> None:
        self._thread.join()


def folders(folder: Path, count: int) -> Iterator[Path]:
    """A new folder for each turn, gone when the turn is over."""
    for turn in range(count):
        here = folder / str(turn)
        here.mkdir()
        yield here
        shutil.rmtree(here)


@campaign(
    3,
    "power cut; of what was not flushed each write is there or not",
    references="0 lost in 25 cuts with FULL; 19..36 % by default; Vector: not crash safe",
    goal="100 cuts: 0 lost of acknowledged, 0 open failures",
    small=2,
    full=100,
)
def power_cuts(folder: Path, count: int, chance: random.Random) -> Figure:
    """Each cut is of a queue file at work, new and made anew; the disk is then mounted and opened as after a reboot."""
    acknowledged = 0
    for here in folders(folder, count):
        with Device(here, DISK) as device, mounted(device.path, here / "before", new=True):
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.life", str(here / "before"), "0"],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            told = Listener(process)
            eventually(lambda told=told: told.lines or None, what="the process to begin")
            time.sleep(chance.uniform(0, 0.5))  # the instant of the cut is what is random
            certain = len(told.lines)
            (here / "disk").write_bytes(device.cut(chance))
            process.kill()
            process.wait()
            told.join()
        with mounted(here / "disk", here / "after", new=False):
            story = Story(told.lines, certain)
            queue = QueueFile(here / "after" / "queue.db", 64 * MIB)
            try:
                story.check(queue, set())
                assert not queue.tallies()[3].get(("set_aside", "damaged")), "the file was damaged"
            finally:
                queue.close()
        acknowledged += len(story.must.get("put", ()))
    return Figure(f"{count} cuts, {acknowledged} acknowledged: 0 lost, nothing older back, 0 open failures")


@campaign(
    20,
    "the embedded service: bodies and query strings of any kind",
    references="beyond the table",
    goal="10,000 cases each: read, or refused with a reason",
    small=100,
    full=10_000,
)
def fuzz(folder: Path, count: int, chance: random.Random) -> Figure:
    program = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/sqlite_service/test_request.py"]
    variables = {**os.environ, "FUZZ_CASES": str(count)}
    done = subprocess.run([*program, "--timeout=1200"], env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return Figure(f"3 x {count} cases: each read or refused")


@campaign(
    19,
    "the embedded service: kill -9, or a power cut, under load",
    references="beyond the table",
    goal="100: nothing lost of what was answered 200",
    small=2,
    full=100,
)
def service_cuts(folder: Path, count: int, chance: random.Random) -> Figure:
    """Eight clients insert rows one by one; every other time it is a power cut."""
    answered = 0
    for turn, here in enumerate(folders(folder, count)):
        with Device(here, DISK) as device, mounted(device.path, here / "before", new=True):
            with start_embedded(here / "service", SQLITE_FILE=str(here / "before" / "service.db")) as service:
                load = Load(service.url)
                eventually(lambda load=load: load.answered or None, what="an answer")
                time.sleep(chance.uniform(0, 0.3))  # the instant is what is random
                certain = set(load.answered)
                power = turn % 2 == 0
                if power:
                    (here / "disk").write_bytes(device.cut(chance))
                service.kill()
                load.stop()
            if not power:
                found = stored(here / "before" / "service.db")
                assert set(load.answered) <= found, "a row that was answered 200 is lost"
        if power:
            with mounted(here / "disk", here / "after", new=False):
                found = stored(here / "after" / "service.db")
                assert certain <= found, "a row that was answered 200 is lost"
        answered += len(certain)
    return Figure(f"{count} ends, {answered} answered: 0 lost, every file whole")


class Load:
    """Clients that insert rows until the service is gone; `answered` are those that were answered 200."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.answered: list[int] = []
        requests.post(f"{url}/db/execute", data=b'["CREATE TABLE kept (id INTEGER PRIMARY KEY)"]', timeout=20)
        self._threads = [threading.Thread(target=self._run, args=(lane * 10**6,)) for lane in range(8)]
        for thread in self._threads:
            thread.start()

    def _run(self, number: int) -> None:
        with requests.Session() as session:
            while True:
                body = f'[["INSERT INTO kept VALUES (?)", {number}]]'.encode()
                try:
                    answer = session.post(f"{self._url}/db/execute?transaction", data=body, timeout=20)
                except requests.RequestException:
                    return
                if answer.status_code == 200 and "error" not in answer.text:
                    self.answered.append(number)
                number += 1

    def stop(self) -> None:
        """Waits for the clients; the service must be gone."""
        for thread in self._threads:
            thread.join()


def stored(path: Path) -> set[int]:
    """The rows of a file that a service left behind, which must be whole."""
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {row[0] for row in file.execute("SELECT id FROM kept")}
