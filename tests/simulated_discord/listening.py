"""A listening port that can be closed and opened again, keeping its number."""

from __future__ import annotations

import asyncio
import socket
import ssl

from aiohttp import web

from tests.accepting import Acceptor


class Port:
    """Serves one aiohttp application on one port; `refuse` and `accept` are effective when they return."""

    def __init__(self, app: web.Application, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        self._tls = tls
        self._acceptor = Acceptor(host, port, self._serve)
        self.number = self._acceptor.number
        self.accept, self.refuse = self._acceptor.accept, self._acceptor.refuse

    async def open(self) -> None:
        """Starts to serve."""
        await self._runner.setup()
        self.accept()

    async def close(self) -> None:
        """Ends it and every connection that is still open."""
        await self._acceptor.close()
        await self._runner.cleanup()

    async def _serve(self, connection: socket.socket) -> None:
        protocols = self._runner.server
        assert protocols is not None
        try:
            await asyncio.get_running_loop().connect_accepted_socket(protocols, connection, ssl=self._tls)
        except (OSError, asyncio.CancelledError):
            connection.close()
