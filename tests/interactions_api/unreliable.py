"""An HTTP proxy before the SQLite service that can be told to misbehave, path by path."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

Rows = list[dict[str, Any]]


def _each(value: Callable[[Any], object]) -> Callable[[Rows], object]:
    return lambda rows: [{name: value(field) for name, field in row.items()} for row in rows]


ODD: dict[str, Callable[[Rows], object]] = {
    "no rows where there must be one": lambda rows: [],
    "null for rows": lambda rows: None,
    "an object for rows": lambda rows: dict(enumerate(rows)),
    "numbers for rows": lambda rows: [7],
    "an empty row": lambda rows: [{}],
    "a column is missing": lambda rows: [dict([*row.items()][1:]) for row in rows] or [{}],
    "null for values": _each(lambda field: None),
    "text for numbers": _each(lambda field: f"{field}x" if isinstance(field, int) else field),
    "lists for values": _each(lambda field: [field]),
    "halves for numbers": _each(lambda field: field + 0.5 if isinstance(field, int) else field),
    "truths for numbers": _each(lambda field: True if isinstance(field, int) else field),
    "every row many times": lambda rows: rows * 1000,
}
"""What an answer of status 200 can have in place of its rows. Some are right where there are none."""

FAULTS = ("hang", "drip", "reset", "garbage", "empty", "html", "error_in_200", "status_503", "answer_lost")
ERROR_IN_200 = b'{"results":[],"error":"leadership lost while committing log"}'


class Unreliable:
    """A context manager; `faults` maps a path, or '' for all others, to one of FAULTS. A hang ends with its fault.

    With `odd`, one of ODD, questions are answered so; `oddly_answered` counts them. "no element" leaves out the rows.
    """

    def __init__(self, behind: str) -> None:
        self.behind = behind
        self.faults: dict[str, str] = {}
        self.odd = ""
        self.oddly_answered = 0
        self.ended = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Unreliable:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                fault = proxy.fault_at(self.path)
                if fault in ("", "answer_lost"):
                    status, headers, answer = proxy.asked(self.path, body)
                    if proxy.odd and self.path.startswith("/db/query"):
                        answer = proxy.distorted(answer)
                    if not fault:
                        self.reply(status, answer, headers)
                elif fault == "drip":
                    self.drip()
                elif fault == "hang":
                    while proxy.fault_at(self.path) == fault and not proxy.ended.wait(0.02):
                        pass
                elif fault != "reset":
                    content = {"garbage": b"\x00\xff{", "html": b"<html>", "error_in_200": ERROR_IN_200}.get(fault, b"")
                    self.reply(503 if fault == "status_503" else 200, content, {"X-RQLITE-VERSION": "v10.3.6"})
                self.close_connection = self.close_connection or bool(fault)

            def reply(self, status: int, content: bytes, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def drip(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                while not proxy.ended.wait(0.2):
                    try:
                        self.wfile.write(b" ")
                    except OSError:
                        return

        return Handler

    def fault_at(self, path: str) -> str:
        """The fault that requests to a path have now; '' for none."""
        return self.faults.get(path.partition("?")[0], self.faults.get("", ""))

    def distorted(self, answer: bytes) -> bytes:
        """The answer, as odd as is wanted."""
        self.oddly_answered += 1
        results = [
            {} if self.odd == "no element" else {"types": {}, "rows": ODD[self.odd](result.get("rows", []))}
            for result in json.loads(answer)["results"]
        ]
        return json.dumps({"results": results}).encode()

    def asked(self, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """What the service behind answers."""
        request = urllib.request.Request(self.behind + path, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, _kept(answer.headers), answer.read()
        except urllib.error.HTTPError as problem:
            return problem.code, _kept(problem.headers), problem.read()


def _kept(headers: object) -> dict[str, str]:
    items = dict(headers.items())  # type: ignore[attr-defined]
    return {name: items[name] for name in ("Content-Type", "X-RQLITE-VERSION") if name in items}
