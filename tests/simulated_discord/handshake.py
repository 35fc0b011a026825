"""What the gateway thinks of a client's frame, IDENTIFY or RESUME: pure, and each refusal is Discord's own close code.

https://discord.com/developers/docs/topics/opcodes-and-status-codes#gateway-gateway-close-event-codes
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.simulated_discord.session import MEMBERS

UNKNOWN_OPCODE, DECODE_ERROR, NOT_AUTHENTICATED, AUTHENTICATION_FAILED, ALREADY_AUTHENTICATED = range(4001, 4006)
INVALID_SEQUENCE, RATE_LIMITED, TIMED_OUT, INVALID_SHARD, SHARDING_REQUIRED = range(4007, 4012)
INVALID_VERSION, INVALID_INTENTS, DISALLOWED_INTENTS = range(4012, 4015)

HEARTBEAT, IDENTIFY, RESUME = 1, 2, 6
# Presence, voice state, request members, soundboard sounds, channel info: accepted, and nothing comes of them here.
IGNORED = frozenset({3, 4, 8, 31, 43})

LARGEST_FRAME = 4096
_ALL_INTENTS = (1 << 26) - 1
_PRESENCES, _MESSAGE_CONTENT = 1 << 8, 1 << 15
_PRIVILEGED = MEMBERS | _PRESENCES | _MESSAGE_CONTENT


class Refused(Exception):
    """The connection is to be closed with `code`."""

    def __init__(self, code: int, why: str) -> None:
        self.code = code
        super().__init__(why)


@dataclass(frozen=True)
class Identify:
    """An IDENTIFY that is in order."""

    shard: tuple[int, int]
    intents: int
    compress: bool


@dataclass(frozen=True)
class Resume:
    """A RESUME that is in order as far as one can say without knowing the sessions."""

    session_id: str
    sequence: int


def read_frame(data: str | bytes) -> tuple[int, Any]:
    """The opcode and `d` of a client's frame, text or binary."""
    if len(data) > LARGEST_FRAME:
        raise Refused(DECODE_ERROR, "the frame is larger than 4096 bytes")
    try:
        frame = json.loads(data)
    except ValueError:
        raise Refused(DECODE_ERROR, "the frame is not JSON") from None
    if not isinstance(frame, dict) or type(frame.get("op")) is not int:
        raise Refused(DECODE_ERROR, "the frame has no opcode")
    return frame["op"], frame.get("d")


def read_identify(data: Any, *, token: str, shards: int, privileged: bool) -> Identify:
    """Checks an IDENTIFY's `d` against the bot's token, the shards that are required and the intents it may have."""
    if not isinstance(data, dict) or not isinstance(data.get("properties"), dict):
        raise Refused(DECODE_ERROR, "IDENTIFY has no properties")
    if data.get("token") != token:
        raise Refused(AUTHENTICATION_FAILED, "the token is wrong")
    intents = data.get("intents")
    if type(intents) is not int or not 0 <= intents <= _ALL_INTENTS:
        raise Refused(INVALID_INTENTS, "there are no such intents")
    if intents & _PRIVILEGED and not privileged:
        raise Refused(DISALLOWED_INTENTS, "the application may not have privileged intents")
    shard = data.get("shard", [0, 1])
    if not (isinstance(shard, list) and len(shard) == 2 and all(type(n) is int for n in shard)):
        raise Refused(INVALID_SHARD, "shard is not [id, count]")
    if not 0 <= shard[0] < shard[1]:
        raise Refused(INVALID_SHARD, "there is no such shard")
    if shard[1] < shards:
        raise Refused(SHARDING_REQUIRED, f"this bot needs {shards} shards")
    return Identify((shard[0], shard[1]), intents, bool(data.get("compress")))


def read_resume(data: Any, *, token: str) -> Resume:
    """Checks a RESUME's `d`."""
    if not isinstance(data, dict) or type(data.get("seq")) is not int or not isinstance(data.get("session_id"), str):
        raise Refused(DECODE_ERROR, "RESUME has no session or no sequence number")
    if data.get("token") != token:
        raise Refused(AUTHENTICATION_FAILED, "the token is wrong")
    return Resume(data["session_id"], data["seq"])
