"""How a payload's text becomes a WebSocket message: plain, zlib-stream, zstd-stream, or compressed one by one.

https://discord.com/developers/docs/events/gateway#encoding-and-compression
"""

from __future__ import annotations

import zlib
from typing import Any, Protocol

# discord.py asks for zstd-stream where it has zstd: from Python 3.14 on, or with the package `zstandard`.
try:
    from compression import zstd  # type: ignore[import-not-found]
except ImportError:
    zstd = None
try:
    import zstandard  # type: ignore[import-not-found]
except ImportError:
    zstandard = None


class Encoding(Protocol):
    """One connection's way of sending; may keep state from message to message."""

    def encode(self, text: str) -> str | bytes:
        """The message to send: text or binary."""


class Plain:
    """Text frames; after an IDENTIFY with `compress` each is a zlib document of its own."""

    def __init__(self) -> None:
        self.compress = False

    def encode(self, text: str) -> str | bytes:
        """The text itself, or compressed."""
        return zlib.compress(text.encode()) if self.compress else text


class ZlibStream:
    """One zlib context for the whole connection; each message ends with the flush 00 00 ff ff."""

    def __init__(self) -> None:
        self._context = zlib.compressobj(level=1)

    def encode(self, text: str) -> bytes:
        """The next piece of the stream."""
        return self._context.compress(text.encode()) + self._context.flush(zlib.Z_SYNC_FLUSH)


class ZstdStream:
    """One zstd frame for the whole connection; each message ends with a flushed block."""

    def __init__(self) -> None:
        if zstd is not None:
            self._context: Any = zstd.ZstdCompressor(level=1)
            self._flush: int = zstd.ZstdCompressor.FLUSH_BLOCK
        else:
            self._context = zstandard.ZstdCompressor(level=1).compressobj()
            self._flush = zstandard.COMPRESSOBJ_FLUSH_BLOCK

    def encode(self, text: str) -> bytes:
        """The next piece of the stream."""
        piece: bytes = self._context.compress(text.encode()) + self._context.flush(self._flush)
        return piece


def encoding_for(compress: str | None) -> Encoding | None:
    """The encoding that a connection URL's `compress` asks for; None for one that is not offered here."""
    if compress is None:
        return Plain()
    if compress == "zlib-stream":
        return ZlibStream()
    if compress == "zstd-stream" and (zstd or zstandard) is not None:
        return ZstdStream()
    return None
