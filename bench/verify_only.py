"""The floor of the endpoint: a Flask route that verifies Discord's signature and says the same to everybody."""

from __future__ import annotations

import os

from discord_interactions import verify_key
from flask import Flask, Response, request

ANSWER = '{"type":4,"data":{"content":"hello","flags":64}}'


def create_app() -> Flask:
    """The WSGI application; the key is DISCORD_PUBLIC_KEY."""
    app = Flask("verify_only")
    key = os.environ["DISCORD_PUBLIC_KEY"]

    @app.post("/interactions")
    def interactions() -> Response:
        signature = request.headers.get("X-Signature-Ed25519", "")
        timestamp = request.headers.get("X-Signature-Timestamp", "")
        if not verify_key(request.get_data(), signature, timestamp, key):
            return Response("invalid request signature", 401)
        return Response(ANSWER, mimetype="application/json")

    return app
