"""The backup script of the backup component, run as the CronJob runs it, against real services."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests

from tests.k8s.combinations import K8S
from tests.services import NO_RQLITED, RunningService, rqlited_binary, start_embedded, start_rqlited
from tests.waiting import eventually

SCRIPT = K8S / "components" / "backup" / "backup.py"


@pytest.fixture(params=["embedded", "rqlited"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningService]:
    """A service with one row in it."""
    if request.param == "rqlited" and rqlited_binary() is None:
        pytest.skip(NO_RQLITED)
    start = start_embedded if request.param == "embedded" else start_rqlited
    with start(tmp_path / "service") as running:
        statements = '["CREATE TABLE t (id INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (7)"]'
        requests.post(f"{running.url}/db/execute", statements, timeout=5).raise_for_status()
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where copies go."""
    folder = tmp_path / "backups"
    folder.mkdir()
    return folder


def start(url: str, folder: Path, *options: str) -> subprocess.Popen[str]:
    """One run of the script, begun."""
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(folder), *options],
        env={**os.environ, "SQLITE_SERVICE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def back_up(url: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """One run of the script."""
    with start(url, folder, *options) as run:
        stdout, stderr = run.communicate(timeout=60)
    return subprocess.CompletedProcess(run.args, run.returncode, stdout, stderr)


def names(folder: Path) -> list[str]:
    """What stands in the folder."""
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def slow() -> Iterator[tuple[str, threading.Event]]:
    """The URL of a service that sends the first bytes of a copy, and the rest, which is no database, once it may."""
    go_on = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + b"half" * 400_000)
            go_on.wait(60)
            connection.sendall(b"rest" * 100_000)

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", go_on
        go_on.set()


def test_a_copy_holds_what_the_service_holds(service: RunningService, folder: Path) -> None:
    """One database file, complete, and nothing beside it."""
    run = back_up(service.url, folder)
    assert (run.returncode, run.stderr) == (0, "")
    (copy,) = folder.iterdir()
    assert copy.name in run.stdout
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT id FROM t").fetchall() == [(7,)]


def test_only_the_newest_stay(service: RunningService, folder: Path) -> None:
    """Older copies than asked for are removed once a new one is safe; foreign files are left alone."""
    older = ["bigbrother-20200101T000000Z.db", "bigbrother-20200102T000000Z.db", "notes.txt"]
    for name in older:
        (folder / name).write_text("")
    assert back_up(service.url, folder, "--keep=2").returncode == 0
    left = sorted(path.name for path in folder.iterdir())
    assert len(left) == 3
    assert left[0] == older[1]
    assert left[-1] == older[2]


def test_a_failed_run_leaves_the_earlier_copies(folder: Path) -> None:
    """Without an answer there is a reason, without the password in it, and nothing is removed."""
    (folder / "bigbrother-20200101T000000Z.db").write_text("")
    run = back_up("http://backup:hunter2@127.0.0.1:9", folder, "--keep=1")
    assert run.returncode == 1
    assert "could not be reached" in run.stderr
    assert "hunter2" not in run.stderr
    assert [path.name for path in folder.iterdir()] == ["bigbrother-20200101T000000Z.db"]


def test_a_copy_holds_nothing_of_what_was_deleted(service: RunningService, folder: Path) -> None:
    """Neither on one body nor the other: a copy is the rows alone."""
    statements = '["CREATE TABLE u (t TEXT)", "INSERT INTO u VALUES (\'deleted-text\')", "DELETE FROM u"]'
    requests.post(f"{service.url}/db/execute", statements, timeout=5).raise_for_status()
    assert back_up(service.url, folder).returncode == 0
    (copy,) = folder.iterdir()
    assert b"deleted-text" not in copy.read_bytes()


def test_sigterm_leaves_no_half_copy(slow: tuple[str, threading.Event], folder: Path) -> None:
    """The script hears it itself, or it would not as a container's first process; and it says why there is no copy."""
    with start(slow[0], folder) as run:
        eventually(lambda: [name for name in names(folder) if name.endswith(".part")], what="half a copy")
        run.send_signal(signal.SIGTERM)
        _, stderr = run.communicate(timeout=30)
    assert run.returncode == 1
    assert stderr == "no backup was made: it was told to end; earlier copies are untouched\n"
    assert names(folder) == []


def test_the_next_run_removes_what_a_killed_one_left(slow: tuple[str, threading.Event], folder: Path) -> None:
    """Also one that fails itself; nothing else is touched."""
    (folder / "notes.part").write_text("")
    with start(slow[0], folder) as run:
        eventually(lambda: len(names(folder)) == 2, what="half a copy")
        run.kill()
    assert len(names(folder)) == 2
    assert back_up("http://127.0.0.1:9", folder).returncode == 1
    assert names(folder) == ["notes.part"]


def test_two_runs_leave_each_others_work_alone(slow: tuple[str, threading.Event], folder: Path) -> None:
    """The second says that there is another, and the first goes on with its own copy."""
    url, go_on = slow
    with start(url, folder) as first:
        (half,) = eventually(lambda: names(folder), what="half a copy")
        second = back_up(url, folder)
        assert second.returncode == 1
        assert "another run is making one" in second.stderr
        assert names(folder) == [half]
        go_on.set()
        _, stderr = first.communicate(timeout=30)
    assert "not a database" in stderr
    assert names(folder) == []
