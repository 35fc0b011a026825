"""What the service survives: kills, signals, a full disk, a second instance, slow and many clients."""

from __future__ import annotations

import contextlib
import resource
import signal
import socket
import sqlite3
import subprocess
import threading
from pathlib import Path

import pytest
import requests

from program.environment import SettingsError
from sqlite_service.settings import Settings
from tests.services import RunningService, start_embedded
from tests.sqlite_service.conftest import COUNTING, count, execute, results
from tests.waiting import eventually


class Load:
    """Threads that insert rows one by one and remember which were answered 200."""

    def __init__(self, service: RunningService, threads: int) -> None:
        self._service = service
        self._stop = threading.Event()
        self.answered: set[int] = set()
        self.failures: list[str] = []
        self._threads = [threading.Thread(target=self._run, args=(lane,)) for lane in range(threads)]

    def _run(self, lane: int) -> None:
        number = lane * 1_000_000
        with requests.Session() as session:
            while not self._stop.is_set():
                number += 1
                body = f'[["INSERT INTO kept VALUES (?, ?)", {number}, "text"]]'.encode()
                try:
                    answer = session.post(f"{self._service.url}/db/execute?transaction", data=body, timeout=30)
                except requests.RequestException as problem:
                    self.failures.append(type(problem).__name__)
                    return
                if answer.status_code == 200 and "error" not in answer.text:
                    self.answered.add(number)
                else:
                    self.failures.append(f"{answer.status_code} {answer.text}")

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def stored(folder: Path) -> set[int]:
    """The ids in the file of a service that has ended."""
    file = sqlite3.connect(folder / "bigbrother.db")
    with contextlib.closing(file):
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {row[0] for row in file.execute("SELECT id FROM kept")}


def test_a_kill_under_load_loses_nothing_answered(service: RunningService, tmp_path: Path) -> None:
    """After kill -9 and a restart on the same port, every row that was answered 200 is there; three times over."""
    answered: set[int] = set()
    for round_number in range(3):
        results(execute(service, [["DELETE FROM kept WHERE id > ?", 0]]))
        with Load(service, 6) as load:
            eventually(lambda: len(load.answered) > 60, what="some writes")
            service.kill()
        answered = load.answered
        service.restart()
        missing = [number for number in answered if not count(service, f"id = {number}")] if round_number == 2 else []
        assert not missing
        assert count(service) >= len(answered)
    assert service.stop() == 0
    assert answered <= stored(tmp_path)


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_gently(service: RunningService, tmp_path: Path, sign: signal.Signals) -> None:
    """What is in flight is answered, the rest is told 503 or finds the door closed, the file is whole, exit code 0."""
    with Load(service, 6) as load:
        eventually(lambda: len(load.answered) > 30, what="some writes")
        service.process.send_signal(sign)
        assert service.process.wait(40) == 0
    assert {failure for failure in load.failures if not failure.startswith("503 leader not found")} <= {
        "ConnectionError"
    }
    assert stored(tmp_path) == load.answered
    assert not (tmp_path / "bigbrother.db-wal").exists()
    assert "Traceback" not in service.log.read_text()


def test_a_full_disk_is_507_and_heals(service: RunningService, tmp_path: Path) -> None:
    """Without room, writes are refused with a clear text and reads go on; with room again all is well."""
    worker = requests.get(f"{service.url}/status", timeout=30).json()["os"]["pid"]
    fill = [["INSERT INTO kept (text) VALUES (hex(zeroblob(?)))", 200_000]]
    results(execute(service, fill))
    _, hard = resource.prlimit(worker, resource.RLIMIT_FSIZE)
    resource.prlimit(worker, resource.RLIMIT_FSIZE, (1_500_000, hard))
    answers = [execute(service, fill) for _ in range(12)]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert refused
    assert {answer.status_code for answer in refused} == {507}
    assert "disk is full: nothing of this request was stored" in refused[0].text
    accepted = 1 + len(answers) - len(refused)
    assert count(service) == accepted
    resource.prlimit(worker, resource.RLIMIT_FSIZE, (hard, hard))
    results(execute(service, fill))
    assert count(service) == accepted + 1
    assert service.stop() == 0
    assert len(stored(tmp_path)) == accepted + 1


def start_fails(folder: Path, **env: str) -> tuple[int, str]:
    """The exit code and the output of a service that cannot start."""
    with pytest.raises(AssertionError, match="ended with") as failure:
        start_embedded(folder, **env)
    text = str(failure.value)
    assert "Traceback" not in text
    return int(text.split("ended with ")[1].split(" ")[0]), text


def test_what_prevents_a_start_is_one_clear_message(service: RunningService, tmp_path: Path) -> None:
    """A port in use, a file in use, a folder that is a file, a file that is no database: exit code 1 and a sentence."""
    code, text = start_fails(tmp_path / "port", PORT=str(service.port))
    assert (code, "cannot listen on 127.0.0.1" in text) == (1, True)
    code, text = start_fails(tmp_path / "second", SQLITE_FILE=str(tmp_path / "bigbrother.db"))
    assert (code, "in use by another sqlite_service" in text) == (1, True)
    (tmp_path / "file").write_text("x")
    code, text = start_fails(tmp_path / "folder", SQLITE_FILE=str(tmp_path / "file" / "a.db"))
    assert (code, "Give the service a folder it may write to" in text) == (1, True)
    (tmp_path / "not.db").write_text("this is no database, and long enough to be sure of it" * 100)
    code, text = start_fails(tmp_path / "not", SQLITE_FILE=str(tmp_path / "not.db"))
    assert (code, "is not an SQLite database" in text) == (1, True)
    assert (tmp_path / "not.db").read_text().startswith("this is no database")
    assert service.ready()


def test_missing_folders_are_made(tmp_path: Path) -> None:
    """The folder of SQLITE_FILE need not exist."""
    with start_embedded(tmp_path, SQLITE_FILE=str(tmp_path / "a" / "b" / "c.db")):
        assert (tmp_path / "a" / "b" / "c.db").exists()


def test_settings_name_every_problem() -> None:
    """All that is wrong is said at once; beyond loopback a password is needed, or a word that none is meant."""
    with pytest.raises(SettingsError) as error:
        Settings.read({"PORT": "http", "SQLITE_USERNAME": "bot", "LOG_LEVEL": "loud"})
    assert [problem.split()[0] for problem in error.value.problems] == ["PORT", "LOG_LEVEL", "SQLITE_PASSWORD"]
    for host in ("0.0.0.0", "::", "10.1.2.3", "example.org"):
        with pytest.raises(SettingsError, match="ALLOW_UNAUTHENTICATED=1"):
            Settings.read({"HOST": host})
        assert Settings.read({"HOST": host, "ALLOW_UNAUTHENTICATED": "1"}).host == host
        assert Settings.read({"HOST": host, "SQLITE_USERNAME": "a", "SQLITE_PASSWORD": "b"}).host == host
    for host in ("127.0.0.1", "::1", "localhost", "127.9.9.9"):
        assert Settings.read({"HOST": host}).host == host


def test_sixty_four_clients(service: RunningService) -> None:
    """Sixty-four clients at once are all served."""
    with Load(service, 64) as load:
        eventually(lambda: len(load.answered) > 640, within=60, what="ten writes each")
        assert service.ready()
    assert load.failures == []
    assert count(service) == len(load.answered)


def test_slow_clients_take_nothing_from_others(tmp_path: Path) -> None:
    """More clients than there are threads say nothing, half a head, or half a body: others are served all the while."""
    beginnings = (
        b"",
        b"POST /db/execute HTTP/1.1\r\nHost:",
        b"POST /db/execute HTTP/1.1\r\nContent-Length: 1000\r\n\r\n[",
    )
    with start_embedded(tmp_path, SQLITE_READ_MS="3000") as service, contextlib.ExitStack() as stack:
        results(execute(service, [COUNTING]))
        connections = []
        for number in range(150):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=60))
            connection.sendall(beginnings[number % 3])
            connections.append(connection)
        for number in range(20):
            results(execute(service, [["INSERT INTO kept (id) VALUES (?)", number]]))
            assert requests.get(f"{service.url}/livez", timeout=30).status_code == 200
        for connection in connections[2::3]:
            with contextlib.suppress(ConnectionError):
                while connection.recv(4096):
                    pass
        assert count(service) == 20
        assert service.stop() == 0


def test_a_client_that_does_not_read_is_no_ones_problem(service: RunningService) -> None:
    """Answers that nobody takes keep no other client waiting."""
    body = b'["WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) SELECT i FROM n"]'
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=60))
            connection.sendall(b"POST /db/query HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        for number in range(10):
            results(execute(service, [["INSERT INTO kept (id) VALUES (?)", number]]))
        assert count(service) == 10


def test_a_killed_master_takes_its_worker_along(service: RunningService) -> None:
    """SIGKILL of the program alone leaves no worker behind that would hold the port and the file."""
    service.process.kill()
    service.process.wait(10)
    eventually(lambda: not service.ready(), what="the end of the worker")
    service.restart()
    assert count(service) == 0


def test_a_killed_worker_is_replaced(service: RunningService) -> None:
    """The death of the worker process alone costs a moment; what was answered stands."""
    results(execute(service, ["INSERT INTO kept (id) VALUES (1)"]))
    worker = requests.get(f"{service.url}/status", timeout=30).json()["os"]["pid"]
    subprocess.run(["kill", "-9", str(worker)], check=True)

    def replaced() -> bool:
        with contextlib.suppress(requests.RequestException):
            return bool(requests.get(f"{service.url}/status", timeout=5).json()["os"]["pid"] != worker)
        return False

    eventually(replaced, what="another worker")
    assert count(service) == 1
