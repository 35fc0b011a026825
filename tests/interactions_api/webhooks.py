"""Discord's webhook endpoint for follow-ups, which keeps the files it is sent and can be told to misbehave.

The simulated Discord checks the form of such messages but keeps no file's content.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Webhooks:
    """A context manager; `answers` are the statuses of the next requests, then 200. `edits` is what was taken."""

    answers: list[int] = field(default_factory=list)
    edits: list[tuple[dict[str, Any], dict[str, bytes]]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        webhooks = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_PATCH(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                webhooks.paths.append(self.path)
                status = webhooks.answers.pop(0) if webhooks.answers else 200
                if status == 200:
                    webhooks.edits.append(_parts(self.headers["Content-Type"], body))
                self.send_response(status)
                self.send_header("Retry-After", "0.1")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Webhooks:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _parts(content_type: str, body: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    """`payload_json`, and the files by name."""
    parsed = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    message: dict[str, Any] = {}
    files: dict[str, bytes] = {}
    for part in parsed.iter_parts():  # type: ignore[attr-defined]
        assert isinstance(part, Message)
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        if part.get_filename():
            files[str(part.get_filename())] = content
        else:
            message = json.loads(content)
    return message, files
