"""TLS under Discord's own names, for a discord.py in which nothing is changed.

certificate.pem and key.pem are for discord.com and *.discord.gg on loopback, trusted by nobody else, and no secret.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from pathlib import Path

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

API_HOST = "discord.com"
GATEWAY_HOST = "gateway.discord.gg"
_CERTIFICATE = Path(__file__).with_name("certificate.pem")
_KEY = Path(__file__).with_name("key.pem")


def server_context() -> ssl.SSLContext:
    """For the server's side."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_CERTIFICATE, _KEY)
    return context


class _Resolver(AbstractResolver):
    def __init__(self, address: str, ports: Mapping[str, int]) -> None:
        self._address = address
        self._ports = ports

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if host not in self._ports:
            raise OSError(f"the simulated Discord has no {host}")
        return [
            ResolveResult(
                hostname=host,
                host=self._address,
                port=self._ports[host],
                family=socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        pass


def connector(address: str, ports: Mapping[str, int]) -> aiohttp.TCPConnector:
    """For the client's side: every host of `ports` is at `address`, on its port, and its certificate is trusted."""
    context = ssl.create_default_context(cafile=str(_CERTIFICATE))
    return aiohttp.TCPConnector(resolver=_Resolver(address, ports), ssl=context)
