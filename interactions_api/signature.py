"""Discord's signature on a request, checked on the raw bytes before anything is parsed.

https://discord.com/developers/docs/interactions/overview#setting-up-an-endpoint-validating-security-request-headers
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeAlias

import discord_interactions

Reason: TypeAlias = Literal["unsigned", "malformed_signature", "forged", "stale"]

_SIGNATURE = re.compile(r"[0-9a-fA-F]{128}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")


def _say_nothing(*_: object) -> None:
    """What the library's `print` of each bad signature becomes: anyone could fill the log with it."""


# The name shadows the built-in in that module alone.
vars(discord_interactions)["print"] = _say_nothing


class Unauthorized(Exception):
    """The request is not, or not now, from Discord; `reason` is a word for metrics. The answer is 401."""

    def __init__(self, reason: Reason) -> None:
        self.reason: Reason = reason
        super().__init__(reason)


class Signature(NamedTuple):
    """The two headers of a request, well-formed; nothing is proved until `verify` returns."""

    signature: str
    timestamp: str

    @classmethod
    def from_headers(cls, signature: str | None, timestamp: str | None) -> Signature:
        """The headers if they have the right form; raises Unauthorized before a byte of the body need be read."""
        if signature is None or timestamp is None:
            raise Unauthorized("unsigned")
        if not _SIGNATURE.fullmatch(signature) or not _TIMESTAMP.fullmatch(timestamp):
            raise Unauthorized("malformed_signature")
        return cls(signature, timestamp)

    def verify(self, body: bytes, public_keys: Iterable[str]) -> None:
        """Raises Unauthorized unless one of the keys made this signature of timestamp and body."""
        if not any(discord_interactions.verify_key(body, self.signature, self.timestamp, key) for key in public_keys):
            raise Unauthorized("forged")

    def check_age(self, now_ms: int, max_age_s: int) -> None:
        """Raises Unauthorized if the timestamp is more than `max_age_s` seconds before or after `now_ms`.

        Discord signs Unix seconds. Without this a request once seen could be sent again for ever.
        """
        if abs(now_ms // 1000 - int(self.timestamp)) > max_age_s:
            raise Unauthorized("stale")
