"""A small interactions endpoint whose answers a test chooses; signatures are verified by Discord's own package."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from discord_interactions import verify_key

from tests.simulated_discord import SimulatedDiscord

Answer = Any | Callable[[dict[str, Any]], Awaitable[web.Response]]


class Endpoint:
    """`reply` is the JSON for every interaction but PING, or a coroutine function that makes a response of it."""

    def __init__(self, discord: SimulatedDiscord) -> None:
        self.reply: Answer = {"type": 4, "data": {"content": "Hello", "flags": 64, "allowed_mentions": {"parse": []}}}
        self.seen: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self._discord = discord

    async def __aenter__(self) -> Endpoint:
        app = web.Application(client_max_size=100 * 1024 * 1024)
        app.router.add_post("/interactions", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/interactions"
        self._discord.set_interactions_url(self.url)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        signature = request.headers.get("X-Signature-Ed25519", "")
        timestamp = request.headers.get("X-Signature-Timestamp", "")
        if not (
            timestamp and await asyncio.to_thread(verify_key, body, signature, timestamp, self._discord.public_key)
        ):
            return web.Response(status=401, text="invalid request signature")
        interaction = json.loads(body)
        self.headers.append(dict(request.headers))
        self.seen.append(interaction)
        if isinstance(interaction, dict) and interaction.get("type") == 1:
            return web.json_response({"type": 1})
        return await self.reply(interaction) if callable(self.reply) else web.json_response(self.reply)
