"""Every interaction that was sent: its token, whether it was answered in time, and the messages that came of it."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.simulated_discord import payloads
from tests.simulated_discord.api_errors import ApiError, bad_form
from tests.simulated_discord.identity import Identity
from tests.simulated_discord.message_rules import EPHEMERAL
from tests.simulated_discord.reply_rules import DEFERRED, MESSAGE, UPDATE, problems_with_message, problems_with_reply
from tests.simulated_discord.snowflakes import Snowflakes

DEADLINE_MS = 3_000
LIFETIME_MS = 15 * 60 * 1000
_LOADING = 1 << 7
_REMEMBERED = 10_000

Message = dict[str, Any]


@dataclass
class Held:
    """One interaction: the request as it was sent, and what became of it."""

    interaction: dict[str, Any]
    body: bytes
    headers: dict[str, str]
    made_at: int
    answer: dict[str, Any] | None = None
    expired: bool = False
    original: Message | None = None
    messages: list[Message] = field(default_factory=list)


@dataclass(frozen=True)
class File:
    """An uploaded file, as far as anyone looks at it here."""

    name: str
    size: int
    content_type: str


class InteractionStore:
    """Interactions by id and by token; the last 10,000 are remembered."""

    def __init__(self, identity: Identity, snowflakes: Snowflakes, clock: Callable[[], int]) -> None:
        self._identity = identity
        self._snowflakes = snowflakes
        self._clock = clock
        self._held: dict[int, Held] = {}
        self._by_token: dict[str, Held] = {}

    def open(self, interaction: dict[str, Any], body: bytes, headers: dict[str, str]) -> Held:
        """Remembers an interaction that is about to be sent."""
        held = Held(interaction, body, headers, self._clock())
        self._held[int(interaction["id"])] = self._by_token[interaction["token"]] = held
        if len(self._held) > _REMEMBERED:
            oldest = self._held.pop(next(iter(self._held)))
            self._by_token.pop(oldest.interaction["token"], None)
        return held

    def held(self, interaction_id: int) -> Held:
        """The interaction with that id, or KeyError."""
        return self._held[interaction_id]

    def expire(self, held: Held) -> None:
        """No answer came within three seconds: the token is worth nothing."""
        held.expired = held.answer is None

    def answer(self, held: Held, reply: dict[str, Any], files: Sequence[File] = ()) -> None:
        """Takes a response that is in order: messages appear or change as it says."""
        held.answer = reply
        data = reply.get("data") or {}
        kind = reply["type"]
        if kind == MESSAGE:
            held.original = self._message(held, data, files)
        elif kind == DEFERRED:
            held.original = self._message(held, {"flags": data.get("flags", 0) | _LOADING}, ())
        elif kind == UPDATE and (shown := held.interaction.get("message")) is not None:
            held.original = self._edit(held, self._home_of(shown), data, files)

    def call_back(self, interaction_id: int, token: str, reply: Any, files: Sequence[File]) -> Held:
        """POST /interactions/{id}/{token}/callback."""
        held = self._held.get(interaction_id)
        if held is None or held.interaction["token"] != token or held.expired:
            raise ApiError(404, 10062, "Unknown interaction")
        if held.answer is not None:
            raise ApiError(400, 40060, "Interaction has already been acknowledged.")
        if self._clock() - held.made_at > DEADLINE_MS:
            raise ApiError(404, 10062, "Unknown interaction")
        if problems := problems_with_reply(reply, held.interaction["type"], files=len(files)):
            raise bad_form(problems)
        self.answer(held, reply, files)
        return held

    def by_token(self, application_id: int, token: str) -> Held:
        """The answered interaction whose token still lives."""
        held = self._by_token.get(token)
        if application_id != self._identity.application_id or held is None or held.answer is None or held.expired:
            raise ApiError(404, 10015, "Unknown Webhook")
        if self._clock() - held.made_at > LIFETIME_MS:
            raise ApiError(401, 50027, "Invalid Webhook Token")
        return held

    def follow_up(self, held: Held, data: Any, files: Sequence[File]) -> Message:
        """POST /webhooks/{application}/{token}: a message; the first one after a deferral takes its place."""
        if problems := problems_with_message(data, files=len(files)):
            raise bad_form(problems)
        if held.original is not None and held.original["flags"] & _LOADING:
            return self._edit(held, held.original, data, files)
        return self._message(held, data, files)

    def find(self, held: Held, message: str) -> Message:
        """A message of this interaction: `@original` or its id."""
        for one in held.messages if message != "@original" else [held.original]:
            if one is not None and (message == "@original" or one["id"] == message):
                return one
        raise ApiError(404, 10008, "Unknown Message")

    def edit(self, held: Held, message: str, data: Any, files: Sequence[File]) -> Message:
        """PATCH .../messages/{message}."""
        found = self.find(held, message)
        if problems := problems_with_message(data, files=len(files), edit=True):
            raise bad_form(problems)
        return self._edit(held, found, data, files)

    def delete(self, held: Held, message: str) -> None:
        """DELETE .../messages/{message}."""
        found = self.find(held, message)
        held.messages = [one for one in held.messages if one is not found]
        if held.original is found:
            held.original = None

    def _home_of(self, shown: Message) -> Message:
        for held in self._held.values():
            for message in held.messages:
                if message["id"] == shown["id"]:
                    return message
        return dict(shown)

    def _message(self, held: Held, data: dict[str, Any], files: Sequence[File]) -> Message:
        message: Message = {
            "id": str(self._snowflakes.now()),
            "type": 20 if held.interaction["type"] == 2 else 19,
            "channel_id": held.interaction.get("channel_id"),
            "application_id": str(self._identity.application_id),
            "webhook_id": str(self._identity.application_id),
            "author": payloads.user(self._identity.bot),
            "content": "",
            "embeds": [],
            "components": [],
            "attachments": [],
            "flags": data.get("flags", 0),
            "tts": False,
            "pinned": False,
            "mention_everyone": False,
            "mentions": [],
            "mention_roles": [],
            "timestamp": self._iso(),
            "edited_timestamp": None,
        }
        self._fill(message, data, files)
        held.messages.append(message)
        return message

    def _edit(self, held: Held, message: Message, data: dict[str, Any], files: Sequence[File]) -> Message:
        message["flags"] = (message["flags"] & ~_LOADING) | (data.get("flags", 0) & ~EPHEMERAL)
        message["edited_timestamp"] = self._iso()
        self._fill(message, data, files)
        if message not in held.messages:
            held.messages.append(message)
        return message

    def _fill(self, message: Message, data: dict[str, Any], files: Sequence[File]) -> None:
        for key in ("content", "embeds", "components", "tts"):
            if key in data:
                message[key] = data[key] or type(message[key])()
        uploaded = [
            {
                "id": str(self._snowflakes.now()),
                "filename": file.name,
                "size": file.size,
                "content_type": file.content_type,
            }
            for file in files
        ]
        message["attachments"] = [*message["attachments"], *uploaded]

    def _iso(self) -> str:
        return datetime.datetime.fromtimestamp(self._clock() / 1000, datetime.timezone.utc).isoformat()
