"""The load generator sends every request once and counts every answer, against a real server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bench.load import post, send_all


class Server(ThreadingHTTPServer):
    """Remembers the bodies it was sent."""

    daemon_threads = True
    bodies: list[bytes]


class Handler(BaseHTTPRequestHandler):
    """Answers with a length, in chunks, or and closes, as the path says."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(500 if self.path == "/broken" else 200)
        if self.path == "/chunks":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"5\r\nhello\r\n0\r\n\r\n")
            return
        if self.path == "/closes":
            self.send_header("Connection", "close")
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on a port of its own."""
    with Server(("127.0.0.1", 0), Handler) as running:
        running.bodies = []
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.mark.parametrize("path", ["/length", "/chunks", "/closes"])
def test_every_request_is_sent_once_and_answered(server: Server, path: str) -> None:
    """However the server ends its answers."""
    url = f"http://127.0.0.1:{server.server_port}{path}"
    bodies = [str(number).encode() for number in range(20)]
    load = send_all(url, [post(url, body) for body in bodies], connections=4)
    assert load.statuses == {200: 20}
    assert len(load.latencies) == 20
    assert load.rate > 0
    assert sorted(server.bodies) == sorted(bodies)


def test_failures_are_counted_as_such(server: Server) -> None:
    """A status is not taken for success."""
    url = f"http://127.0.0.1:{server.server_port}/broken"
    assert send_all(url, [post(url, b"")], connections=4).statuses == {500: 1}
