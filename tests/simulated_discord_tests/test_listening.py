"""The port of a simulation ends with every connection closed, whenever that is."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import threading
from collections.abc import Iterator

from aiohttp import web

from tests.faults.proxy import FaultProxy
from tests.simulated_discord.listening import Port

ROUNDS = 10


@contextlib.contextmanager
def callers(number: int) -> Iterator[threading.Event]:
    """Three threads that connect and hang up as fast as they can; the event says that one connection was made."""
    ended, connected = threading.Event(), threading.Event()

    def call() -> None:
        while not ended.is_set():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", number), timeout=1):
                connected.set()

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield connected
    finally:
        ended.set()
        for thread in threads:
            thread.join()


async def test_a_port_that_closes_while_it_is_called_leaves_no_connection_open() -> None:
    """A connection accepted in the last moment is closed too; an open one would warn when it is collected."""
    for _ in range(ROUNDS):
        port = Port(web.Application(), "127.0.0.1", 0)
        await port.open()
        with callers(port.number) as connected:
            await asyncio.to_thread(connected.wait, 10)
            port.refuse()
            port.accept()
            await port.close()
        gc.collect()


def test_a_fault_proxy_that_ends_while_it_is_called_leaves_no_connection_open() -> None:
    """The same for the proxy before a service, which retries as it likes."""
    for _ in range(ROUNDS):
        with contextlib.ExitStack() as stack, FaultProxy("http://127.0.0.1:1") as proxy:
            assert stack.enter_context(callers(proxy.port)).wait(10)
        gc.collect()
