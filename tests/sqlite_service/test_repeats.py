"""A request whose head was seen before means what it meant the first time, whatever came in between."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sqlite_service.repeats import head_of
from tests.services import RunningService, start_embedded
from tests.sqlite_service.conftest import COUNTING, count, execute, results


class Wire:
    """One kept connection on which requests are sent byte by byte as a test wants them."""

    def __init__(self, service: RunningService) -> None:
        self.socket = socket.create_connection(("127.0.0.1", service.port), timeout=10)
        self.stream = self.socket.makefile("rb")

    def send(self, *packets: bytes) -> None:
        for packet in packets:
            self.socket.sendall(packet)

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers in lower case, body."""
        status = int(self.stream.readline().split()[1])
        headers = {}
        while line := self.stream.readline().strip().decode():
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        return status, headers, self.stream.read(int(headers.get("content-length", "0")))


@pytest.fixture
def wire(service: RunningService) -> Iterator[Wire]:
    """A connection to a fresh service."""
    opened = Wire(service)
    with opened.socket, opened.stream:
        yield opened


def post(*statements: object, path: str = "/db/execute?transaction", more: str = "", version: str = "1.1") -> bytes:
    """A request as it goes over the wire."""
    body = json.dumps(statements).encode()
    return f"POST {path} HTTP/{version}\r\nHost: a\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


def insert(number: int) -> bytes:
    """A write of one row, whose length differs with the number's."""
    return post(["INSERT INTO kept VALUES (?, ?)", number, "x" * number])


def test_the_first_and_the_next_answers_are_the_same(wire: Wire) -> None:
    """gunicorn parses the first request, its memory serves the next: same status, headers and form of body."""
    shapes = set()
    for number in (1, 2, 3, 44, 555):
        wire.send(insert(number))
        status, headers, body = wire.answer()
        assert json.loads(body) == {"results": [{"last_insert_id": number, "rows_affected": 1}]}
        assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", headers.pop("date"))
        del headers["content-length"]
        shapes.add((status, *sorted(headers.items())))
    (shape,) = shapes
    assert shape == (
        200,
        ("connection", "keep-alive"),
        ("content-type", "application/json; charset=utf-8"),
        ("server", "gunicorn"),
        ("x-rqlite-version", "embedded-1"),
    )


def test_packets_may_end_anywhere(wire: Wire, service: RunningService) -> None:
    """A repeated request in two pieces, or two requests in one piece, are each answered once and in order."""
    wire.send(insert(1))
    assert wire.answer()[0] == 200
    request = insert(22)
    for number, cut in enumerate(range(1, len(request), 7), start=100):
        request = insert(number)
        wire.send(request[:cut], request[cut:])
        assert json.loads(wire.answer()[2])["results"][0]["last_insert_id"] == number
    wire.send(insert(2) + insert(3) + insert(4)[:40], insert(4)[40:])
    assert [json.loads(wire.answer()[2])["results"][0]["last_insert_id"] for _ in range(3)] == [2, 3, 4]
    assert count(service, "id IN (1, 2, 3, 4)") == 4


def test_large_bodies(wire: Wire) -> None:
    """A body larger than what is read at once is whole on the first request and on the next."""
    for number in range(3):
        wire.send(post(["INSERT INTO kept VALUES (?, ?)", number, "x" * 3_000_000]))
        assert json.loads(wire.answer()[2])["results"][0]["rows_affected"] == 1


def test_a_head_that_differs_is_another_head(wire: Wire) -> None:
    """Another path, flag, type or method is never taken for one that was seen, nor a malformed head for a good one."""
    selecting = ["SELECT 1 AS one"]
    answers = []
    for _ in range(2):
        for path in ("/db/query", "/db/query?associative", "/db/execute", "/nope"):
            wire.send(post(*selecting, path=path))
            answers.append(wire.answer())
        wire.send(post(*selecting, path="/db/query", more="Content-Type: text/plain\r\n"))
        answers.append(wire.answer())
    first, second = answers[:5], answers[5:]
    assert [(status, body) for status, _, body in first] == [(status, body) for status, _, body in second]
    assert [status for status, _, _ in first] == [200, 200, 200, 404, 200]
    assert "error" in json.loads(first[4][2])["results"][0]
    doubled = post(*selecting, path="/db/query").replace(b"Host: a\r\n", b"Host: a\r\nContent-Length: 3\r\n")
    wire.send(doubled)
    assert wire.answer()[0] == 400


@pytest.mark.parametrize(("more", "version"), [("Connection: close\r\n", "1.1"), ("", "1.0")])
def test_the_client_may_close(service: RunningService, more: str, version: str) -> None:
    """A connection is closed after its answer when the client asks for it, however often it did before."""
    for _ in range(3):
        wire = Wire(service)
        with wire.socket, wire.stream:
            wire.send(post("SELECT 1", path="/db/query", more=more, version=version))
            status, headers, _ = wire.answer()
            assert (status, headers["connection"]) == (200, "close")
            assert wire.stream.read() == b""


def test_a_client_that_waits_for_100(wire: Wire) -> None:
    """Expect: 100-continue gets its 100 every time."""
    request = post("SELECT 1", path="/db/query", more="Expect: 100-continue\r\n")
    head, body = request.split(b"\r\n\r\n")
    for _ in range(3):
        wire.send(head + b"\r\n\r\n")
        assert wire.answer()[0] == 100
        wire.send(body)
        assert wire.answer()[0] == 200


def test_a_body_cut_short_stores_nothing(service: RunningService) -> None:
    """A client that ends in the midst of a repeated request has asked for nothing."""
    results(execute(service, [["INSERT INTO kept VALUES (1, '')"]]))
    for number in range(3):
        wire = Wire(service)
        with wire.socket, wire.stream:
            wire.send(insert(10))
            assert wire.answer()[0] == 200
            results(execute(service, ["DELETE FROM kept WHERE id = 10"]))
            wire.send(insert(20 + number)[:-5])
            wire.socket.shutdown(socket.SHUT_WR)
            with contextlib.suppress(IndexError, ConnectionError):
                assert wire.answer()[0] == 400
    assert count(service) == 1


def test_every_request_shows_its_credentials(tmp_path: Path) -> None:
    """What was seen with the right password opens nothing without it."""
    right = base64.b64encode(b"bot:secret").decode()
    with start_embedded(tmp_path, SQLITE_USERNAME="bot", SQLITE_PASSWORD="secret") as service:
        wire = Wire(service)
        with wire.socket, wire.stream:
            for _ in range(3):
                for more, status in ((f"Authorization: Basic {right}\r\n", 200), ("", 401)):
                    wire.send(post(COUNTING, more=more))
                    assert wire.answer()[0] == status


@pytest.mark.parametrize(
    "received",
    [
        b"",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1 1\r\n\r\n",
        b"POST / HTTP/1.1\r\nX: " + b"x" * 5000 + b"\r\nContent-Length: 1\r\n\r\n",
    ],
)
def test_what_is_left_to_gunicorn(received: bytes) -> None:
    """Anything but the whole head of a POST with one plain length."""
    assert head_of(received) is None


def test_the_length_is_not_part_of_a_heads_identity() -> None:
    """Two requests that differ in Content-Length only share a head; a second length stays part of it."""
    first = head_of(b"POST / HTTP/1.1\r\ncontent-length: 12\r\nHost: a\r\n\r\nbody")
    second = head_of(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:3\r\n\r\n")
    doubled = head_of(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n")
    assert first is not None
    assert second is not None
    assert doubled is not None
    assert first.key == second.key != doubled.key
    assert (first.length, second.length, first.end) == (12, 3, 48 + 12)
