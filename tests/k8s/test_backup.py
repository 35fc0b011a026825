"""The backup script of the backup component, run as the CronJob runs it, against real services."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests

from tests.k8s.combinations import K8S
from tests.services import NO_RQLITED, RunningService, rqlited_binary, start_embedded, start_rqlited

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


def back_up(url: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """One run of the script."""
    return subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), *options],
        env={**os.environ, "SQLITE_SERVICE_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


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
