"""The interactions endpoint: `gunicorn 'interactions_api.app:create_app()'`. The only file here that knows Flask."""

from __future__ import annotations

import atexit
import json
import os
import time
from collections.abc import Callable
from typing import Any

from flask import Flask, Response, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from db_client.errors import NotKept
from db_client.store import Store
from interactions_api.buttons import Buttons
from interactions_api.carrying_out import CarryingOut
from interactions_api.endpoint import Endpoint
from interactions_api.follow_ups import FollowUps
from interactions_api.interaction import Malformed
from interactions_api.metrics import CONTENT_TYPE, Metrics
from interactions_api.seldom import Seldom
from interactions_api.settings import Settings, settings_or_exit
from interactions_api.signature import Signature, Unauthorized
from interactions_api.upkeep import Upkeep
from interactions_api.words import Catalogues
from program.logs import set_up

BODY_LIMIT = 256 * 1024
BUDGET_S = 2.0
"""Our share of the three seconds after which Discord tells the person that we did not respond."""
STOP_S = 5.0
REFUSALS = {
    "unsigned": "a request without Discord's signature headers was refused",
    "malformed_signature": "a request whose signature headers are malformed was refused",
    "forged": "a request with a wrong signature was refused; Discord sends such to test us, but if nothing else comes"
    " through, DISCORD_PUBLIC_KEY is not this application's",
    "stale": "a request that Discord signed too long ago, or in the future, was refused; is our clock right?",
}


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
    background = Background(store, settings.api_url, clock)
    endpoint = Endpoint(
        CarryingOut(store), Catalogues.load(), Buttons(settings.public_keys), background.follow_ups.send
    )
    metrics = Metrics(store, clock)
    told = Seldom(REFUSALS, time.monotonic)
    app = Flask("interactions_api", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = BODY_LIMIT + 1  # a chunked body is cut there without a word
    app.extensions["background"] = background

    @app.post("/interactions")
    def interactions() -> Response:
        """401 unless Discord signed it, 400 unless it is an interaction; else 200 with the response to it."""
        received = time.monotonic()
        store.start()
        headers = request.headers
        try:
            signature = Signature.from_headers(headers.get("X-Signature-Ed25519"), headers.get("X-Signature-Timestamp"))
            body = request.get_data(cache=False)
            if len(body) > BODY_LIMIT:
                raise RequestEntityTooLarge
            signature.verify(body, settings.public_keys)
            signature.check_age(clock(), settings.max_age_s)
        except Unauthorized as refusal:
            metrics.refused(refusal.reason)
            told.about(refusal.reason)
            return _json({"error": "invalid request signature"}, 401)
        if request.mimetype not in ("application/json", ""):
            metrics.refused("content_type")
            return _json({"error": "the content type of an interaction is application/json"}, 415)
        try:
            answer = endpoint.answer(body, received + BUDGET_S)
        except Malformed as problem:
            metrics.refused("malformed")
            return _json({"error": f"not an interaction: {problem}"}, 400)
        metrics.answered(answer.kind, answer.end, time.monotonic() - received)
        return _json(answer.response)

    @app.get("/livez")
    def livez() -> Response:
        """200 while the process can answer at all."""
        return Response("ok\n", mimetype="text/plain")

    @app.get("/readyz")
    def readyz() -> Response:
        """200 while the queue file can be used. The service may be down: interactions are kept meanwhile."""
        store.start()
        try:
            store.statistics()
        except NotKept:
            return Response("[-]queue file: cannot be used\n", 503, mimetype="text/plain")
        return Response("[+]queue file: ok\n", mimetype="text/plain")

    @app.get("/metrics")
    def numbers() -> Response:
        """The counters in Prometheus's text format."""
        return Response(metrics.text(), content_type=CONTENT_TYPE)

    @app.errorhandler(HTTPException)
    def refused(problem: HTTPException) -> Response:
        """404, 405, 413 and their like, in JSON."""
        metrics.refused(f"http_{problem.code}")
        response = Response(headers=Headers(problem.get_headers()), status=problem.code)
        response.data = json.dumps({"error": problem.name.lower()})
        response.content_type = "application/json"
        return response

    return app


class Background:
    """What a process does beside answering: delivery, upkeep, messages that follow. gunicorn.conf.py calls both."""

    def __init__(self, store: Store, api_url: str, clock: Callable[[], int]) -> None:
        self.follow_ups = FollowUps(store, api_url)
        self._store = store
        self._upkeep = Upkeep(store, clock)

    def start(self) -> None:
        """Begins, in this process."""
        self._store.start()
        self._upkeep.start()

    def stop(self) -> None:
        """Finishes what follows, while the interpreter still lets threads work; the store stops at its exit."""
        self._upkeep.stop(within=0.0)
        self.follow_ups.stop(within=STOP_S)


def _json(body: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(body, separators=(",", ":")), status, mimetype="application/json")
