"""The interactions endpoint: `gunicorn 'interactions_api.app:create_app()'`. The only file here that knows Flask."""

from __future__ import annotations

import atexit
import json
import os
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Flask, Response
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException

from db_client.errors import NotKept
from db_client.store import Store
from interactions_api.buttons import Buttons
from interactions_api.carrying_out import CarryingOut
from interactions_api.discord_time import DiscordTime
from interactions_api.endpoint import Endpoint
from interactions_api.follow_ups import FollowUps
from interactions_api.metrics import CONTENT_TYPE, Metrics
from interactions_api.receiving import PATH, Receiving
from interactions_api.settings import Settings, settings_or_exit
from interactions_api.upkeep import Upkeep
from interactions_api.words import Catalogues
from program.logs import set_up
from program.threads import NoThread

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

STOP_S = 5.0
_STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


def wall_clock() -> int:
    """Milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


def create_app(
    settings: Settings | None = None, store: Store | None = None, clock: Callable[[], int] = wall_clock
) -> Flask:
    """The WSGI application. Without settings they are read from the environment; what is wrong there is printed, one
    problem a line, and ends the program. Safe to make before gunicorn forks its workers (`--preload`).
    """
    if settings is None:
        settings = settings_or_exit(os.environ)
        set_up(settings.logs)
    if store is None:
        store = Store(settings.store, clock=clock)
        atexit.register(store.stop, within=STOP_S)  # in each forked worker too, as atexit is inherited
    discord_time = DiscordTime(clock)
    background = Background(store, settings.api_url, clock, discord_time)
    endpoint = Endpoint(
        CarryingOut(store),
        Catalogues.load(operator=settings.operator),
        Buttons(settings.public_keys),
        background.follow_ups.send,
        discord_time.signed,
    )
    metrics = Metrics(store, clock, discord_time)
    receiving = Receiving(settings, store, endpoint, metrics, clock, discord_time)
    app = Application(receiving)
    app.extensions["background"] = background

    @app.get("/livez")
    def livez() -> Response:
        """200 while the process can answer at all."""
        return Response("ok\n", mimetype="text/plain")

    @app.get("/readyz")
    def readyz() -> Response:
        """200 while the queue file can be used, and the clock is not what everything is refused for.

        The service may be down: interactions are kept meanwhile.
        """
        checks = {"queue file": None, "delivery": None, "clock": discord_time.complaint()}
        try:
            store.start()
            store.statistics()
        except NotKept:
            checks["queue file"] = "cannot be used"
        except NoThread:
            checks["delivery"] = "no thread can be started"
        lines = "".join(f"[{'-' if said else '+'}]{name}: {said or 'ok'}\n" for name, said in checks.items())
        return Response(lines, 503 if any(checks.values()) else 200, mimetype="text/plain")

    @app.get("/metrics")
    def numbers() -> Response:
        """The counters in Prometheus's text format."""
        return Response(metrics.text(), content_type=CONTENT_TYPE)

    @app.errorhandler(HTTPException)
    def refused(problem: HTTPException) -> Response:
        """404, 405 and their like, in JSON."""
        metrics.refused(f"http_{problem.code}")
        response = Response(headers=Headers(problem.get_headers()), status=problem.code)
        response.data = json.dumps({"error": problem.name.lower()})
        response.content_type = "application/json"
        return response

    return app


class Application(Flask):
    """A Flask application whose one busy path is answered before Flask makes its request, context and response."""

    def __init__(self, receiving: Receiving) -> None:
        super().__init__("interactions_api", static_folder=None)
        self._receiving = receiving
        self.add_url_rule(PATH, methods=("POST",), endpoint="interactions")  # so that Flask refuses the others (405)

    def wsgi_app(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """One request, one response. https://flask.palletsprojects.com/en/stable/api/#flask.Flask.wsgi_app"""
        if environ["REQUEST_METHOD"] != "POST" or environ["PATH_INFO"] != PATH:
            return super().wsgi_app(environ, start_response)
        reply = self._receiving.reply(environ)
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(reply.body)))]
        start_response(_STATUS_LINES[reply.status], headers)
        return [reply.body]


class Background:
    """What a process does beside answering: delivery, upkeep, messages that follow. gunicorn.conf.py calls both."""

    def __init__(self, store: Store, api_url: str, clock: Callable[[], int], discord_time: DiscordTime) -> None:
        self.follow_ups = FollowUps(store, api_url)
        self._store = store
        self._upkeep = Upkeep(store, clock, lambda: discord_time.newest)

    def start(self) -> None:
        """Begins, in this process."""
        self._store.start()
        self._upkeep.start()

    def stop(self) -> None:
        """Finishes what follows, while the interpreter still lets threads work; the store stops at its exit."""
        self._upkeep.stop(within=0.0)
        self.follow_ups.stop(within=STOP_S)
