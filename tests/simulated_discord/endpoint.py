"""The way to the interactions endpoint: one POST, three seconds, and whatever comes back."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

import aiohttp

from tests.simulated_discord.interaction_store import DEADLINE_MS
from tests.simulated_discord.model import Impossible
from tests.simulated_discord.outcome import BadReply, Outcome


class Endpoint:
    """The application's interactions endpoint at `url`; every request has a connection of its own."""

    def __init__(self) -> None:
        self.url: str | None = None
        self._http: aiohttp.ClientSession | None = None

    async def post(self, body: bytes, headers: Mapping[str, str], interaction: dict[str, Any] | None) -> Outcome:
        """Sends a body as it is; BadReply if nothing comes within three seconds."""
        if self.url is None:
            raise Impossible("no interactions endpoint URL is set")
        if self._http is None:
            connector = aiohttp.TCPConnector(force_close=True, limit=0)
            self._http = aiohttp.ClientSession(connector=connector, skip_auto_headers=("User-Agent", "Content-Type"))
        started = time.monotonic()
        timeout = aiohttp.ClientTimeout(total=DEADLINE_MS / 1000)
        try:
            async with self._http.post(self.url, data=body, headers=headers, timeout=timeout) as response:
                raw = await response.read()
        except asyncio.TimeoutError:
            raise BadReply(["no reply within 3 seconds: the application did not respond"]) from None
        except aiohttp.ClientError as error:
            raise BadReply([f"the endpoint could not be reached: {type(error).__name__}"]) from error
        took_ms = round((time.monotonic() - started) * 1000)
        names = {name.lower(): value for name, value in response.headers.items()}
        return Outcome(response.status, names, _decoded(raw), took_ms, interaction)

    async def close(self) -> None:
        """Closes what is open."""
        if self._http is not None:
            await self._http.close()


def _decoded(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode("utf-8", "replace")
