"""What the running service answers where the recorded exchanges do not reach."""

from __future__ import annotations

import base64
import socket
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from sqlite_service.credentials import allowed_credentials, authorized
from tests.services import RunningService, start_embedded
from tests.sqlite_service.conftest import count, execute, query, results

FOREIGN = [
    "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
    "CREATE TABLE child (parent INTEGER REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED)",
]


def test_a_deferred_violation_fails_its_own_request_only(service: RunningService) -> None:
    """A transaction that would fail at COMMIT is undone and told so; others in the same group stand."""
    results(execute(service, FOREIGN))
    barrier = threading.Barrier(9)
    answers: dict[int, dict[str, object]] = {}

    def send(number: int) -> None:
        barrier.wait()
        sql = "INSERT INTO child VALUES (1)" if number == 0 else f"INSERT INTO kept (id) VALUES ({number})"
        answers[number] = execute(service, [sql]).json()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers[0] == {"results": [], "error": "FOREIGN KEY constraint failed"}
    assert count(service) == 8
    fixed = ["INSERT INTO child VALUES (1)", "INSERT INTO parent VALUES (1)"]
    assert len(results(execute(service, fixed))) == 2
    alone = execute(service, ["INSERT INTO child VALUES (9)", "INSERT INTO kept VALUES (100, '')"], flags="").json()
    assert alone["results"][0] == {"error": "FOREIGN KEY constraint failed"}
    assert "error" not in alone["results"][1]


@pytest.mark.parametrize(
    "sql",
    [
        "BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT a", "RELEASE request", "ROLLBACK TO request",
        "/* c */ BEGIN IMMEDIATE", "ATTACH '/etc/passwd' AS p", "DETACH main", "VACUUM", "VACUUM INTO 'never.db'",
        "SELECT load_extension('x')", "INSERT INTO kept VALUES (1, ''); INSERT INTO kept VALUES (2, '')",
        "SELECT 1; COMMIT",
    ],
)  # fmt: skip
def test_transaction_control_and_other_files_are_refused(service: RunningService, sql: str) -> None:
    """What would reach beyond the request is an error of its statement, on both endpoints, and nothing of it stays."""
    for flags in ("", "transaction"):
        answer = execute(service, [sql], flags)
        assert answer.status_code == 200
        assert answer.json()["results"][0]["error"]
    assert query(service, sql).json()["results"][0]["error"]
    assert count(service) == 0
    results(execute(service, ["INSERT INTO kept VALUES (5, 'still works')"]))


@pytest.mark.parametrize(
    "sql",
    ["PRAGMA journal_mode=DELETE", "PRAGMA synchronous=OFF", "PRAGMA wal_checkpoint", "PRAGMA wal_autocheckpoint=0",
     "PRAGMA query_only=0", "PRAGMA writable_schema=1", "PRAGMA locking_mode=EXCLUSIVE", "PRAGMA foreign_keys=0"],
)  # fmt: skip
def test_breaking_pragmas_are_disallowed(service: RunningService, sql: str) -> None:
    """A pragma that would change how the file is kept fails the whole request."""
    disallowed = {"results": [], "error": "disallowed pragma"}
    for flags in ("", "transaction"):
        assert execute(service, ["INSERT INTO kept VALUES (1, '')", sql], flags).json() == disallowed
    assert query(service, sql).json() == disallowed
    assert count(service) == 0


def test_or_rollback_fails_its_own_statement_only(service: RunningService) -> None:
    """A conflict clause that undoes SQLite's transaction does not undo what others, or other statements, stored."""
    answer = execute(
        service,
        [
            "INSERT INTO kept VALUES (1, '')",
            "INSERT OR ROLLBACK INTO kept VALUES (1, '')",
            "INSERT INTO kept VALUES (2, '')",
        ],
        flags="",
    )
    first, second, third = answer.json()["results"]
    assert second == {"error": "UNIQUE constraint failed: kept.id"}
    assert first["rows_affected"] == third["rows_affected"] == 1
    assert count(service) == 2


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "


def test_sql_that_never_ends_is_stopped(tmp_path: Path) -> None:
    """Reads and writes have a time limit; the write is undone, those beside it stand, others are served meanwhile."""
    with start_embedded(tmp_path, SQLITE_STATEMENT_MS="300") as service:
        results(execute(service, ["CREATE TABLE kept (id INTEGER PRIMARY KEY, text TEXT)"]))
        forever = ENDLESS + "INSERT INTO kept SELECT i, '' FROM n"
        answer = execute(service, ["INSERT INTO kept VALUES (-1, '')", forever, "INSERT INTO kept VALUES (-2, '')"], "")
        assert answer.json()["results"][1] == {"error": "execute timeout"}
        assert count(service) in (1, 2)
        answer = execute(service, ["INSERT INTO kept VALUES (-3, '')", forever])
        assert answer.json()["results"][1] == {"error": "execute timeout"}
        assert count(service, "id = -3") == 0
        answer = query(service, ENDLESS + "SELECT sum(i) FROM n", "SELECT 1")
        assert answer.json()["results"][0] == {"error": "query timeout"}


def test_db_timeout_is_honoured(service: RunningService) -> None:
    """A client may ask for less time than the service's own limit."""
    answer = query(service, ENDLESS + "SELECT sum(i) FROM n", "SELECT 1 AS one", flags="db_timeout=50ms")
    assert answer.json()["results"][0] == {"error": "query timeout"}
    assert answer.json()["results"][1]["values"] == [[1]]


def test_a_result_without_end_is_refused(service: RunningService) -> None:
    """A result larger than the limit is an error, not the service's memory."""
    answer = query(service, ENDLESS + "SELECT hex(zeroblob(1000000)) FROM n", "SELECT 1 AS one")
    assert "ask for fewer rows" in answer.json()["results"][0]["error"]
    assert answer.json()["results"][1]["values"] == [[1]]


def test_bodies_beyond_the_limit(tmp_path: Path) -> None:
    """413 with and without Content-Length, and the connection's neighbours are served."""
    with start_embedded(tmp_path, SQLITE_BODY_LIMIT="100000") as service:
        huge = b'["' + b"x" * 200_000 + b'"]'
        assert requests.post(f"{service.url}/db/execute", data=huge, timeout=30).status_code == 413
        chunked = requests.post(f"{service.url}/db/execute", data=iter([huge]), timeout=30)
        assert chunked.status_code == 413
        assert "at most 100000 bytes" in chunked.text
        assert service.ready()


def test_a_backup_under_load_is_whole(service: RunningService, tmp_path: Path) -> None:
    """A backup taken while writes go on is one moment's state: pairs written together are both in it."""
    results(execute(service, ["CREATE TABLE pairs (n INTEGER PRIMARY KEY, twin INTEGER UNIQUE)"]))
    stop = threading.Event()

    def write(lane: int) -> None:
        number = lane * 1_000_000 + 1
        while not stop.is_set():
            results(
                execute(
                    service, [["INSERT INTO pairs VALUES (?, ?)", sign * number, -sign * number] for sign in (1, -1)]
                )
            )
            number += 1

    threads = [threading.Thread(target=write, args=(lane,)) for lane in range(3)]
    for thread in threads:
        thread.start()
    try:
        for attempt, form in enumerate(("", "?fmt=delete", "?fmt=binary")):
            answer = requests.get(f"{service.url}/db/backup{form}", timeout=30)
            assert answer.status_code == 200
            assert answer.headers["Content-Type"] == "application/octet-stream"
            copy = tmp_path / f"copy{attempt}.db"
            copy.write_bytes(answer.content)
            restored = sqlite3.connect(copy)
            assert restored.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert restored.execute("PRAGMA journal_mode").fetchall() == [("delete",)]
            [(rows, total)] = restored.execute("SELECT count(*), coalesce(sum(n), 0) FROM pairs").fetchall()
            restored.close()
            assert rows % 2 == 0
            assert total == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not list(tmp_path.glob(".bigbrother.db-backup-*"))
    assert requests.get(f"{service.url}/db/backup?fmt=sql", timeout=30).status_code == 400


def test_status_says_what_runs(service: RunningService) -> None:
    """Version, SQLite's version, sizes and counters, as JSON."""
    status = requests.get(f"{service.url}/status", timeout=30).json()
    assert status["build"]["version"] == "embedded-1"
    assert status["store"]["sqlite3"]["version"] >= "3.51.3"
    assert status["store"]["sqlite3"]["db_size"] > 0
    assert status["store"]["sqlite3"]["counters"]["write_requests"] == 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("HEAD", "/readyz", 405),
        ("POST", "/livez", 405),
        ("GET", "/", 404),
        ("PUT", "/db/query", 405),
        ("GET", "/db/query", 400),
    ],
)
def test_other_methods_and_paths(service: RunningService, method: str, path: str, status: int) -> None:
    """What is not served is 404 or 405 without a body, and says who answered."""
    answer = requests.request(method, service.url + path, timeout=30)
    assert answer.status_code == status
    assert status == 400 or answer.content == b""
    assert answer.headers["X-RQLITE-VERSION"] == "embedded-1"


def test_credentials(tmp_path: Path) -> None:
    """Everything but the probes asks for the password, any Unicode in it; wrong ones get an empty 401."""
    with start_embedded(tmp_path, SQLITE_USERNAME="bot", SQLITE_PASSWORD="pässwörd☃") as service:
        assert requests.get(f"{service.url}/livez", timeout=30).status_code == 200
        assert service.ready()
        right = base64.b64encode("bot:pässwörd☃".encode()).decode()
        wrong = (None, "Basic", "Basic !!", "Bearer x", "Basic " + base64.b64encode(b"bot:no").decode(), "Basic \u00ff")
        for header in wrong:
            headers = {} if header is None else {"Authorization": header.encode("latin-1")}
            answer = requests.post(f"{service.url}/db/query", data=b'["SELECT 1"]', headers=headers, timeout=30)
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == 'Basic realm="rqlite"'
            assert answer.content == b""
        for path in ("/status", "/db/backup", "/nope"):
            assert requests.get(service.url + path, timeout=30).status_code == 401
        answer = requests.post(
            f"{service.url}/db/query", data=b'["SELECT 1"]', headers={"Authorization": f"Basic {right}"}, timeout=30
        )
        assert answer.status_code == 200
        assert "pässwörd" not in service.log.read_text()


def test_credentials_in_either_encoding() -> None:
    """Clients send UTF-8 or Latin-1; both open the door where the password can be spelt so."""
    allowed = allowed_credentials("bot", "pässwörd")
    for encoding in ("utf-8", "latin-1"):
        assert authorized("Basic " + base64.b64encode("bot:pässwörd".encode(encoding)).decode(), allowed)
    assert not authorized("Basic " + base64.b64encode(b"bot:passwort").decode(), allowed)
    assert not authorized(None, allowed)


def test_a_malformed_request_line_is_answered(service: RunningService) -> None:
    """Bytes that are no HTTP get a 400 and cost nobody else anything."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(b"\x00\x01\x02 nonsense\r\n\r\n")
        assert b" 400 " in connection.recv(4096)
    assert service.ready()


def test_pretty_only_spreads_the_json(service: RunningService) -> None:
    """The document is the same."""
    answer = query(service, "SELECT 1 AS one", flags="pretty")
    assert len(answer.text.splitlines()) > 1
    assert answer.json() == query(service, "SELECT 1 AS one").json()


# Every flag that rqlite reads anywhere (http/query_params.go), each with a value that it takes.
REFUSED = ("queue", "retries=3", "raft_index", "qualify_columns", "tables=kept")
DONE_OR_WITHOUT_EFFECT = (
    *("associative", "blob_array", "bypass", "compress", "db_timeout=9s", "fmt=delete", "freshness=1s"),
    *("freshness=1s&freshness_strict", "key=store", "level=strong", "linearizable_timeout=1s", "noleader", "nonvoters"),
    *("noparse", "norwrandom", "norwtime", "pretty", "q=SELECT%201", "redirect", "sync", "timeout=9s", "timings"),
    *("trailing_logs=1", "transaction", "vacuum", "ver=2", "wait", "something_else"),
)


@pytest.mark.parametrize("path", ["/db/execute", "/db/query", "/db/request", "/db/backup", "/readyz", "/status"])
def test_a_flag_is_honoured_or_refused(service: RunningService, path: str) -> None:
    """On every endpoint: what is not done though it would change the answer is 400 by its name; all else is 200."""
    method, body = (
        ("POST", b'["SELECT 1 AS one"]') if path.startswith("/db/") and path != "/db/backup" else ("GET", b"")
    )
    for flag in (*REFUSED, *DONE_OR_WITHOUT_EFFECT):
        answer = requests.request(method, f"{service.url}{path}?{flag}", data=body, timeout=30)
        assert answer.status_code == (400 if flag in REFUSED else 200), (flag, answer.text)
        if flag in REFUSED:
            assert answer.text == f"unsupported flag: {flag.partition('=')[0]}\n"


def test_a_part_of_the_status_by_its_key(service: RunningService) -> None:
    """As in rqlite: names with dots between them; what is not there is empty."""
    for key, expected in (("build.version", "embedded-1"), ("store.nothing", {}), ("os.pid.beyond", int)):
        part = requests.get(f"{service.url}/status?key={key}", timeout=30).json()
        assert part == expected or type(part) is expected


def test_reads_of_one_transaction_see_one_state(service: RunningService) -> None:
    """However much is written between the first and the last of them; without the flag they see it."""
    counting = "SELECT count(*) AS n FROM kept"
    slow = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000) SELECT sum(i) FROM n"
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            results(execute(service, ["INSERT INTO kept (text) VALUES ('x')"]))

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            for flags, equal in (("transaction", True), ("", False)):
                before, _, after = results(query(service, counting, slow, counting, flags=flags))
                assert (before["values"] == after["values"]) is equal
        finally:
            done.set()
        writing.result()
