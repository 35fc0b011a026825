"""The Flask application: the data API before Flask, everything else in Flask's own routes.

https://rqlite.io/docs/api/
"""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, BinaryIO

import apsw
from flask import Flask, Response, abort, request
from werkzeug.exceptions import HTTPException

from sqlite_service.credentials import allowed_credentials, authorized
from sqlite_service.data_api import JSON, PROBLEMS, TEXT, DataApi, Lifecycle, refusal
from sqlite_service.engine import Engine
from sqlite_service.request import BadRequest, Flags, parse_flags
from sqlite_service.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

VERSION = "embedded-1"
_CHUNK = 256 * 1024
_OPEN = ("/readyz", "/livez")
_STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


def create_app(engine: Engine, settings: Settings, lifecycle: Lifecycle) -> Flask:
    """The WSGI application over an open engine."""
    return SqliteService(engine, settings, lifecycle)


class SqliteService(Flask):
    """A Flask application whose data API is answered before Flask makes its request, context and response:
    they took longer than a whole write (DESIGN.md, "What a request costs")."""

    def __init__(self, engine: Engine, settings: Settings, lifecycle: Lifecycle) -> None:
        super().__init__(__name__, static_folder=None)
        self._engine = engine
        self._lifecycle = lifecycle
        self._data = DataApi(engine, lifecycle, body_limit=settings.body_limit)
        self._allowed = allowed_credentials(settings.username, settings.password)
        self._started = time.monotonic()
        self.url_map.merge_slashes = False
        self.before_request(self._admit)
        self.after_request(_signed)
        self.register_error_handler(HTTPException, _bare)
        for problem in PROBLEMS:
            self.register_error_handler(problem, _refused)
        for path, view in {
            "/db/backup": self._backup,
            "/readyz": self._readyz,
            "/livez": self._livez,
            "/status": self._status,
        }.items():
            self.add_url_rule(path, path, view, methods=("GET",), provide_automatic_options=False)

    def wsgi_app(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """One request, one response. https://flask.palletsprojects.com/en/stable/api/#flask.Flask.wsgi_app"""
        if not (self._data.serves(environ["PATH_INFO"]) and self._may_enter(environ)):
            return super().wsgi_app(environ, start_response)
        reply = self._data.answer(environ)
        headers = [
            ("Content-Type", reply.content_type),
            ("Content-Length", str(len(reply.body))),
            ("X-RQLITE-VERSION", VERSION),
        ]
        start_response(_STATUS_LINES[reply.status], headers)
        return [reply.body]

    def _may_enter(self, environ: WSGIEnvironment) -> bool:
        return not self._allowed or authorized(environ.get("HTTP_AUTHORIZATION"), self._allowed)

    def _admit(self) -> None:
        """Before every view, and before it is said that there is none."""
        if request.path not in _OPEN and not self._may_enter(request.environ):
            abort(401)
        if request.method == "HEAD" and request.routing_exception is None:
            abort(405)

    def _backup(self) -> Response:
        flags = _flags()
        if flags.format.lower() not in ("binary", "delete"):
            raise BadRequest("unsupported backup format: fmt is binary or delete")
        copy = self._engine.backup(vacuum=flags.vacuum)
        if flags.compress:
            return Response(_compressed(_chunks(copy)), 200, content_type="application/octet-stream")
        size = os.fstat(copy.fileno()).st_size
        return Response(_chunks(copy), 200, {"Content-Length": str(size)}, content_type="application/octet-stream")

    def _readyz(self) -> Response:
        if _flags().noleader:
            return Response("[+]node ok", 200, content_type=TEXT)
        if self._lifecycle.draining:
            return Response("[+]node ok\n[-]leader not found", 503, content_type=TEXT)
        return Response("[+]node ok\n[+]leader ok\n[+]store ok\n[+]db ok", 200, content_type=TEXT)

    def _livez(self) -> Response:
        return Response("ok", 200, content_type=TEXT)

    def _status(self) -> Response:
        flags = _flags()
        document: Any = {
            "build": {"version": VERSION},
            "node": {
                "uptime_seconds": round(time.monotonic() - self._started, 3),
                "draining": self._lifecycle.draining,
            },
            "os": {"pid": os.getpid()},
            "store": {"ready": not self._lifecycle.draining, "sqlite3": self._engine.status()},
            "library": {"apsw": apsw.apsw_version()},
        }
        for name in filter(None, flags.key.split(".")):
            if isinstance(document, dict):
                document = document.get(name, {})
        return Response(json.dumps(document, indent=4), 200, content_type=JSON)


def _flags() -> Flags:
    return parse_flags(request.query_string.decode("latin-1"))


def _signed(response: Response) -> Response:
    response.headers["X-RQLITE-VERSION"] = VERSION
    return response


def _refused(problem: Exception) -> Response:
    reply = refusal(problem)
    return Response(reply.body, reply.status, content_type=reply.content_type)


def _bare(problem: HTTPException) -> Response:
    """401, 404 and 405 have no body, as in rqlite."""
    response = Response(b"", problem.code)
    del response.headers["Content-Type"]
    if problem.code == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Basic realm="rqlite"'
    elif problem.code == HTTPStatus.METHOD_NOT_ALLOWED and request.path.startswith("/db/"):
        response.headers["Content-Type"] = JSON
    return response


def _chunks(copy: BinaryIO) -> Iterator[bytes]:
    with copy:
        while chunk := copy.read(_CHUNK):
            yield chunk


def _compressed(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """As a gzip file."""
    compressor = zlib.compressobj(zlib.Z_BEST_SPEED, wbits=zlib.MAX_WBITS | 16)
    for chunk in chunks:
        yield compressor.compress(chunk)
    yield compressor.flush()
