"""A listening port that loses no connection, whenever it is closed.

asyncio's own Server does: what it has accepted, but not begun to serve when it is closed, is never closed itself.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

Serve = Callable[[socket.socket], Awaitable[object]]


class Acceptor:
    """Keeps one port of `host` (0: any free one) and, while it accepts, awaits `serve` for each connection.

    To be used within one running event loop; `refuse` and `accept` are effective when they return. Whatever `serve`
    leaves open when it returns is its own affair.
    """

    def __init__(self, host: str, port: int, serve: Serve) -> None:
        self._host = host
        self._serve = serve
        self._socket = _bind(host, port)
        self._accepting = False
        self._begun: set[asyncio.Future[object]] = set()
        self.number: int = self._socket.getsockname()[1]

    def accept(self) -> None:
        """Connections are accepted from now on."""
        if not self._accepting:
            self._accepting = True
            self._socket.listen(1024)
            asyncio.get_running_loop().add_reader(self._socket, self._take)

    def refuse(self) -> None:
        """Connections are refused from now on; the number stays ours, and open connections stay open."""
        if self._accepting:
            self._stop()
            self._socket = _bind(self._host, self.number)

    async def drop(self) -> None:
        """Ends every `serve` that has not returned."""
        await asyncio.sleep(0)  # by then each has begun, and will close what it was given
        for one in self._begun:
            one.cancel()
        await asyncio.gather(*self._begun, return_exceptions=True)
        await asyncio.sleep(0)  # what was closed last is closed in the loop's next turn

    async def close(self) -> None:
        """Gives the port up and ends every `serve` that has not returned."""
        self._stop()
        await self.drop()

    def _stop(self) -> None:
        if self._accepting:
            self._accepting = False
            asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _take(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        connection.setblocking(False)
        begun = asyncio.ensure_future(self._serve(connection))
        self._begun.add(begun)
        begun.add_done_callback(self._begun.discard)


def _bind(host: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((host, port))
    bound.setblocking(False)
    return bound
