"""A gateway client without opinions: it says what it is told to say, and reports each frame as it came."""

from __future__ import annotations

import asyncio
import json
import zlib
from typing import Any

import aiohttp

from tests.simulated_discord import SimulatedDiscord

PATIENCE = 5.0


class RawClient:
    """One connection; `async with RawClient(discord) as client`."""

    def __init__(self, discord: SimulatedDiscord, query: str = "v=10&encoding=json") -> None:
        self.discord = discord
        self._url = f"{discord.gateway_url}/?{query}"
        self._inflater = zlib.decompressobj() if "zlib-stream" in query else None

    async def __aenter__(self) -> RawClient:
        self._http = aiohttp.ClientSession()
        try:
            self.ws = await self._http.ws_connect(self._url)
        except BaseException:
            await self._http.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.ws.close(code=4000)
        await self._http.close()

    async def frame(self) -> dict[str, Any]:
        """The next frame; fails if the connection ends instead."""
        message = await self.ws.receive(timeout=PATIENCE)
        if message.type is aiohttp.WSMsgType.BINARY:
            assert self._inflater is not None
            return json.loads(self._inflater.decompress(message.data))
        assert message.type is aiohttp.WSMsgType.TEXT, f"{message.type} {message.data}"
        return json.loads(message.data)

    async def text(self) -> str:
        """The next frame, as it is."""
        return (await self.ws.receive(timeout=PATIENCE)).data

    async def until(self, name: str) -> list[dict[str, Any]]:
        """The frames up to and with the next dispatch of that name."""
        frames = [await self.frame()]
        while frames[-1]["t"] != name:
            frames.append(await self.frame())
        return frames

    async def end(self) -> int | None:
        """Reads until the connection ends; its close code (1006 when there was no close frame)."""
        while not self.ws.closed:
            await self.ws.receive(timeout=PATIENCE)
        return self.ws.close_code

    async def quiet(self) -> bool:
        """Whether nothing comes for a moment."""
        try:
            await self.ws.receive(timeout=0.1)
        except asyncio.TimeoutError:
            return True
        return False

    async def say(self, op: int, d: Any = None) -> None:
        await self.ws.send_json({"op": op, "d": d})

    async def identify(self, **more: Any) -> None:
        properties = {"os": "linux", "browser": "test", "device": "test"}
        await self.say(2, {"token": self.discord.bot_token, "intents": 129, "properties": properties, **more})

    async def resume(self, session_id: str, seq: int) -> None:
        await self.say(6, {"token": self.discord.bot_token, "session_id": session_id, "seq": seq})

    async def ready(self, **more: Any) -> dict[str, Any]:
        """HELLO, IDENTIFY, READY; READY's `d`."""
        assert (await self.frame())["op"] == 10
        await self.identify(**more)
        frame = await self.frame()
        assert frame["t"] == "READY"
        return frame["d"]
