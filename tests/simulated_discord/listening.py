"""A listening port that can be closed and opened again, keeping its number."""

from __future__ import annotations

import asyncio
import socket
import ssl

from aiohttp import web


class Port:
    """Serves one aiohttp application on one port; `refuse` and `accept` are effective when they return."""

    def __init__(self, app: web.Application, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        self._host = host
        self._tls = tls
        self._socket = _bind(host, port)
        self._server: asyncio.AbstractServer | None = None
        self._refusing = False
        self._opening: asyncio.Task[None] | None = None
        self.number: int = self._socket.getsockname()[1]

    async def open(self) -> None:
        """Starts to serve."""
        await self._runner.setup()
        await self._serve()

    def refuse(self) -> None:
        """Connections are refused from now on; the number stays ours, and open connections stay open."""
        self._refusing = True
        if self._server is not None:
            self._server.close()
            self._server = None
            self._socket = _bind(self._host, self.number)

    def accept(self) -> None:
        """Connections are accepted again."""
        self._refusing = False
        if self._server is None and self._opening is None:
            self._socket.listen(1024)
            self._opening = asyncio.get_running_loop().create_task(self._serve())

    async def close(self) -> None:
        """Ends it and every connection that is still open."""
        if self._opening is not None:
            await self._opening
        if self._server is not None:
            self._server.close()
        self._socket.close()
        await self._runner.cleanup()

    async def _serve(self) -> None:
        protocols = self._runner.server
        assert protocols is not None
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(protocols, sock=self._socket, ssl=self._tls, backlog=1024)
        self._opening = None
        if self._refusing:
            self.refuse()


def _bind(host: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((host, port))
    bound.setblocking(False)
    return bound
