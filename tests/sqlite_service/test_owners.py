"""The service's one thread has an owner: its error ends the worker, and gunicorn's master starts another one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from db_client.settings import StoreSettings
from db_client.statements import Statement
from db_client.store import Store
from program import exits
from tests.failing import SECRET
from tests.services import RunningService, spawn
from tests.waiting import eventually


def failing(folder: Path, **variables: str) -> RunningService:
    def start(port: int, log: Path) -> subprocess.Popen[bytes]:
        settings = {
            "SQLITE_FILE": str(folder / "bigbrother.db"),
            "PORT": str(port),
            "FAILS_WHILE": str(folder / "it fails"),
            **variables,
        }
        return spawn([sys.executable, "-m", "tests.failing", "sqlite_service"], log, settings)

    return RunningService(folder, start)


def test_an_error_in_the_thread_that_cleans(tmp_path: Path):
    """The place is in the log; what was written stays, and the service answers on the same port."""
    with failing(tmp_path, FAILS="sqlite_service.writer:Writer.checkpoint") as service:
        store = Store(StoreSettings(service.url, tmp_path / "queue.db"))
        asked = Statement("SELECT count(*) AS n FROM consent_log", {})
        assert store.query(asked, within=10) == [[{"n": 0}]]
        (tmp_path / "it fails").touch()
        eventually(lambda: "CRITICAL program.threads" in service.log.read_text(), within=30)
        (tmp_path / "it fails").unlink()
        eventually(service.ready, what="another worker answers")
        assert store.query(asked, within=10) == [[{"n": 0}]]
        store.stop(within=1)
        assert service.stop() == exits.ASKED
    assert "problem=ValueError" in service.log.read_text()
    assert SECRET not in service.log.read_text()


def test_without_its_thread_it_does_not_begin(tmp_path: Path):
    """Status 1, and not gunicorn's 3 for a worker that did not come up."""
    (tmp_path / "it fails").touch()
    settings = {"SQLITE_FILE": str(tmp_path / "bigbrother.db"), "PORT": "0", "NO_THREADS": "checkpoints"}
    settings["FAILS_WHILE"] = str(tmp_path / "it fails")
    process = spawn([sys.executable, "-m", "tests.failing", "sqlite_service"], tmp_path / "log", settings)
    assert process.wait(60) == exits.AGAIN
