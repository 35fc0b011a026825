"""The HTTP front: every path of the service in one route. The only Flask here.

https://rqlite.io/docs/api/
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO

import apsw
from flask import Flask, Request, Response
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from sqlite_service.engine import Engine
from sqlite_service.request import BadRequest, Flags, Statement, parse_flags, parse_statements
from sqlite_service.response import Answer, NotJson, render
from sqlite_service.settings import Settings
from sqlite_service.writer import Closed, DiskFull, NotApplied

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

VERSION = "embedded-1"
JSON = "application/json; charset=utf-8"
TEXT = "text/plain; charset=utf-8"
_CHUNK = 256 * 1024

_METHODS = {
    "/db/execute": ("POST",),
    "/db/request": ("POST",),
    "/db/query": ("POST", "GET"),
    "/db/backup": ("GET",),
    "/readyz": ("GET",),
    "/livez": ("GET",),
    "/status": ("GET",),
}
_OPEN = ("/readyz", "/livez")


class Lifecycle:
    """What the server around the application tells it: whether it is draining; and hears from it."""

    draining = False

    def body_read(self, environ: dict[str, object]) -> None:
        """The whole request of `environ` has arrived."""


class SqliteService(Flask):
    """A Flask application with one view for every path, called without the router, session and signals before it:
    they took as long as a whole write (DESIGN.md, "What a request costs")."""

    def __init__(self, front: _Front) -> None:
        super().__init__(__name__, static_folder=None)
        self._front = front

    def wsgi_app(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """One request, one response. https://flask.palletsprojects.com/en/stable/api/#flask.Flask.wsgi_app"""
        asked = self.request_class(environ)
        response = self._front.answer(asked, asked.path)
        response.headers["X-RQLITE-VERSION"] = VERSION
        return response(environ, start_response)


def create_app(engine: Engine, settings: Settings, lifecycle: Lifecycle) -> Flask:
    """The WSGI application over an open engine."""
    return SqliteService(_Front(engine, settings, lifecycle))


class _Front:
    def __init__(self, engine: Engine, settings: Settings, lifecycle: Lifecycle) -> None:
        self._engine = engine
        self._settings = settings
        self._lifecycle = lifecycle
        self._allowed = allowed_credentials(settings.username, settings.password)
        self._started = time.monotonic()
        self._routes: dict[str, Callable[[Request, Flags], Response]] = {
            "/db/execute": self._execute,
            "/db/request": self._request,
            "/db/query": self._query,
            "/db/backup": self._backup,
            "/readyz": self._readyz,
            "/livez": self._livez,
            "/status": self._status,
        }

    def answer(self, asked: Request, path: str) -> Response:
        """The response to one request, whatever goes wrong."""
        if self._allowed and path not in _OPEN and not authorized(asked.headers.get("Authorization"), self._allowed):
            return _empty(401, headers={"WWW-Authenticate": 'Basic realm="rqlite"'})
        handle = self._routes.get(path)
        if handle is None:
            return _empty(404)
        if asked.method not in _METHODS[path]:
            return _empty(405, JSON if path.startswith("/db/") else None)
        try:
            return handle(asked, parse_flags(asked.query_string.decode("latin-1")))
        except BadRequest as problem:
            return _text(f"{problem}\n", 400)
        except RequestEntityTooLarge:
            return _text(f"request body too large: at most {self._settings.body_limit} bytes\n", 413)
        except ClientDisconnected:
            return _text("the request ended early\n", 400)
        except Closed:
            return _text("leader not found\n", 503)
        except DiskFull as problem:
            return _text(f"{problem}\n", 507)
        except (NotApplied, NotJson) as problem:
            return _text(f"{problem}\n", 500)

    def _execute(self, asked: Request, flags: Flags) -> Response:
        return self._write(asked, flags, rows_of_reads=False)

    def _request(self, asked: Request, flags: Flags) -> Response:
        return self._write(asked, flags, rows_of_reads=True)

    def _write(self, asked: Request, flags: Flags, *, rows_of_reads: bool) -> Response:
        statements = self._statements(asked, raw_text=not rows_of_reads)
        if self._lifecycle.draining:
            raise Closed
        return self._timed(
            flags,
            lambda: self._engine.execute(
                statements,
                transaction=flags.transaction,
                rows_of_reads=rows_of_reads,
                statement_seconds=flags.db_timeout,
            ),
        )

    def _query(self, asked: Request, flags: Flags) -> Response:
        if asked.method == "GET":
            if not flags.sql:
                raise BadRequest("no statements: GET /db/query takes one statement as ?q=")
            statements = [Statement(flags.sql)]
        else:
            statements = self._statements(asked, raw_text=True)
        if self._lifecycle.draining:
            raise Closed
        return self._timed(flags, lambda: self._engine.query(statements, statement_seconds=flags.db_timeout))

    def _timed(self, flags: Flags, work: Callable[[], Answer]) -> Response:
        if not flags.timings:
            return Response(render(work(), flags), 200, content_type=JSON)
        started = time.perf_counter()
        answer = work()
        timed = Answer(answer.outcomes, answer.error, time.perf_counter() - started)
        return Response(render(timed, flags), 200, content_type=JSON)

    def _statements(self, asked: Request, *, raw_text: bool) -> list[Statement]:
        body = self._body(asked)
        if raw_text and asked.headers.get("Content-Type", "").startswith("text/plain"):
            return [Statement(body.decode("utf-8", "replace"))]
        return parse_statements(body)

    def _body(self, asked: Request) -> bytes:
        """The whole body, which gunicorn ends at its length or last chunk."""
        limit, length = self._settings.body_limit, asked.content_length
        if length is not None and length > limit:
            raise RequestEntityTooLarge
        body: bytes = asked.environ["wsgi.input"].read(limit + 1)
        if len(body) > limit:
            raise RequestEntityTooLarge
        if length is not None and len(body) < length:
            raise ClientDisconnected
        self._lifecycle.body_read(asked.environ)
        return body

    def _backup(self, asked: Request, flags: Flags) -> Response:
        form = asked.args.get("fmt", "binary")
        if form not in ("binary", "delete"):
            raise BadRequest("unsupported backup format: fmt is binary or delete")
        copy = self._engine.backup()
        size = os.fstat(copy.fileno()).st_size
        return Response(_chunks(copy), 200, {"Content-Length": str(size)}, content_type="application/octet-stream")

    def _readyz(self, asked: Request, flags: Flags) -> Response:
        if flags.noleader:
            return _text("[+]node ok", 200)
        if self._lifecycle.draining:
            return _text("[+]node ok\n[-]leader not found", 503)
        return _text("[+]node ok\n[+]leader ok\n[+]store ok\n[+]db ok", 200)

    def _livez(self, asked: Request, flags: Flags) -> Response:
        return _text("ok", 200)

    def _status(self, asked: Request, flags: Flags) -> Response:
        document = {
            "build": {"version": VERSION},
            "node": {
                "uptime_seconds": round(time.monotonic() - self._started, 3),
                "draining": self._lifecycle.draining,
            },
            "os": {"pid": os.getpid()},
            "store": {"ready": not self._lifecycle.draining, "sqlite3": self._engine.status()},
            "library": {"apsw": apsw.apsw_version()},
        }
        return Response(json.dumps(document, indent=4), 200, content_type=JSON)


def allowed_credentials(username: str, password: str) -> tuple[bytes, ...]:
    """The bytes that open the door: UTF-8, and Latin-1 where it can spell them, for clients differ."""
    if not username:
        return ()
    pair = f"{username}:{password}"
    encodings = [pair.encode()]
    if all(ord(character) < 256 for character in pair):
        encodings.append(pair.encode("latin-1"))
    return tuple(encodings)


def authorized(header: str | None, allowed: tuple[bytes, ...]) -> bool:
    """True if an Authorization header holds one of the allowed credentials; compared in constant time."""
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        given = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return False
    matches = [hmac.compare_digest(given, pair) for pair in allowed]  # all are compared, whichever matches
    return any(matches)


def _chunks(copy: BinaryIO) -> Iterator[bytes]:
    with copy:
        while chunk := copy.read(_CHUNK):
            yield chunk


def _text(text: str, status: int) -> Response:
    return Response(text, status, content_type=TEXT)


def _empty(status: int, content_type: str | None = None, headers: dict[str, str] | None = None) -> Response:
    response = Response(b"", status, headers)
    if content_type is None:
        del response.headers["Content-Type"]
    else:
        response.headers["Content-Type"] = content_type
    return response
