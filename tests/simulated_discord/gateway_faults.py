"""What the gateway does wrong once, at once; README.md lists it. `shard` None means every shard."""

from __future__ import annotations

from typing import Any

from tests.simulated_discord.connection import Close, Connection
from tests.simulated_discord.gateway import RECONNECT, Gateway
from tests.simulated_discord.history import History
from tests.simulated_discord.model import Impossible
from tests.simulated_discord.session import Session

# Frames (or, for the last kind, bytes) as no gateway should send them..
_FRAMES = {
    "not_json": '{"op":0,"t":"VOICE_STATE_UPDATE","s":',
    "not_object": "[1,2,3]",
    "no_op": '{"t":"VOICE_STATE_UPDATE","d":{}}',
    "unknown_op": '{"op":99,"d":null,"t":null,"s":null}',
}
# Dispatches: `%` stands for a guild of the shard.
_DISPATCHES = {
    "null_data": ("RESUMED", "null"),
    "bad_snowflake": (
        "VOICE_STATE_UPDATE",
        '{"guild_id":"%","channel_id":"nowhere","user_id":"nobody","session_id":"s","deaf":false,"mute":false,'
        '"self_deaf":false,"self_mute":false,"self_video":false,"suppress":false,"request_to_speak_timestamp":null}',
    ),
    "unknown_event": ("SOMETHING_NEW", '{"guild_id":"%","what":"nobody knows"}'),
}
PHASES = ("accept", "upgrade", "hello", "identify", "ready", "guild", "resume", "replay", "resumed")
MISHAPS = ("reset", "close", "op 7", "op 9 true", "op 9 false", "silence", "lost ack")
KINDS = (*_FRAMES, *_DISPATCHES, "bad_compression")


class GatewayFaults:
    """Mishaps that happen once, to the living connections of one shard or of all."""

    def __init__(self, gateway: Gateway, history: History) -> None:
        self._gateway = gateway
        self._history = history

    def reconnect(self, shard: int | None = None) -> int:
        """Op 7; returns to how many connections."""
        return self._send(RECONNECT, self._told(shard, "reconnect"))

    def invalidate(self, resumable: bool, shard: int | None = None) -> int:
        """Op 9; false also forgets the session."""
        connections = self._told(shard, "invalidate", resumable=resumable)
        for connection in connections:
            self._gateway.invalidate_connection(connection, resumable=resumable)
        return len(connections)

    def close(self, code: int, shard: int | None = None) -> int:
        """A close frame with that code, behind what was sent before."""
        return self._send(Close(code), self._told(shard, "close", code=code))

    def abort(self, shard: int | None = None) -> int:
        """TCP reset, at once."""
        connections = self._told(shard, "abort")
        for connection in connections:
            connection.abort()
        return len(connections)

    def once(self, phase: str, what: str) -> None:
        """The next connection that comes as far as `phase` meets `what`, and no other does."""
        if phase not in PHASES or what not in MISHAPS or (phase == "accept" and what not in ("reset", "silence")):
            raise Impossible(f"{what} at {phase} cannot be had")
        self._gateway.once.append((phase, what))

    def forget_sessions(self, shard: int | None = None) -> int:
        """Every session, connected or not, cannot be resumed any more; nobody is told."""
        self._told(shard, "forget_sessions")
        gone = self._sessions(shard)
        for session in gone:
            del self._gateway.sessions[session.id]
        return len(gone)

    def resend(self, count: int, shard: int | None = None) -> int:
        """The last `count` dispatches of each session again, with their old sequence numbers; returns how many."""
        self._told(shard, "resend", count=count)
        return sum(session.resend(count) for session in self._sessions(shard))

    def send_text(self, text: str, shard: int | None = None) -> int:
        """That text as a frame."""
        return self._send(text, self._told(shard, "send_text"))

    def malformed(self, kind: str, shard: int | None = None) -> int:
        """A frame that is wrong in that way; returns to how many connections it went."""
        if kind not in KINDS:
            raise Impossible(f"no such malformed frame: {kind}; there are {', '.join(KINDS)}")
        connections = self._told(shard, "malformed", malformed=kind)
        if kind == "bad_compression":
            return self._send(b"this is not compressed\x00\x00\xff\xff", connections)
        if kind in _FRAMES:
            return self._send(_FRAMES[kind], connections)
        name, data = _DISPATCHES[kind]
        sessions = [session for session in self._sessions(shard) if session.connection is not None]
        for session in sessions:
            session.dispatch_once(name, data.replace("%", str(self._gateway.a_guild_of(session))))
        return len(sessions)

    def _told(self, shard: int | None, what: str, **fields: Any) -> list[Connection]:
        self._history.add("fault", what=what, shard=shard, **fields)
        return self._connections(shard)

    def _send(self, message: str | bytes | Close, connections: list[Connection]) -> int:
        for connection in connections:
            connection.send(message)
        return len(connections)

    def _connections(self, shard: int | None) -> list[Connection]:
        living = [connection for connection in self._gateway.connections if not connection.closing]
        return [each for each in living if shard is None or (each.shard is not None and each.shard[0] == shard)]

    def _sessions(self, shard: int | None) -> list[Session]:
        return [each for each in self._gateway.sessions.values() if shard is None or each.shard[0] == shard]
