"""Responses to interactions, as the dicts that become JSON, within Discord's limits whatever the texts hold. Pure.

https://discord.com/developers/docs/interactions/receiving-and-responding#interaction-response-object
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any, NamedTuple, TypeAlias

from discord_interactions import InteractionResponseFlags, InteractionResponseType

Response: TypeAlias = dict[str, Any]

CONTENT_LIMIT = 2000
CHOICES_LIMIT = 25
NAME_LIMIT = 80
LABEL_LIMIT = 80
ACTION_ROW, BUTTON = 1, 2

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
# Line breaks and other controls; marks, embeddings, overrides and isolates of the bidirectional algorithm.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
_FIRST_STRONG_ISOLATE, _POP_ISOLATE = "\u2068", "\u2069"


def pong() -> Response:
    """The answer to a PING."""
    return {"type": InteractionResponseType.PONG}


class Style(IntEnum):
    """How a button looks. https://discord.com/developers/docs/components/reference#button-button-styles"""

    PLAIN = 2
    DANGER = 4


class Button(NamedTuple):
    """A button for the person who is answered, good for `valid_s` seconds; `buttons.py` makes its custom_id.

    Pressing it calls `press` of the command file `action` with the argument (letters, digits, `_`, `.` and `-`).
    """

    label: str
    action: str
    argument: str
    style: Style = Style.PLAIN
    valid_s: int = 86_400


class Message(NamedTuple):
    """A message: only the person sees it, unless it is `public`; `replaces`: in place of the one with the button."""

    content: str
    buttons: tuple[Button, ...] = ()
    public: bool = False
    replaces: bool = False


Said: TypeAlias = str | Message


def message(said: Said, custom_id: Callable[[Button], str] | None = None) -> Response:
    """A message that mentions nobody, its content cut, with an ellipsis, to 2000 characters.

    Without `custom_id`, which names each button, its buttons are left out.
    """
    what = Message(said) if isinstance(said, str) else said
    data: dict[str, Any] = {"content": clipped(what.content, CONTENT_LIMIT), "allowed_mentions": {"parse": []}}
    row = [_button(button, custom_id(button)) for button in what.buttons] if custom_id else []
    if row or what.replaces:
        data["components"] = [{"type": ACTION_ROW, "components": row}] if row else []
    if what.replaces:
        return {"type": InteractionResponseType.UPDATE_MESSAGE, "data": data}
    if not what.public:
        data["flags"] = InteractionResponseFlags.EPHEMERAL
    return {"type": InteractionResponseType.CHANNEL_MESSAGE_WITH_SOURCE, "data": data}


def thinking() -> Response:
    """Only the person sees that an answer will follow."""
    return {
        "type": InteractionResponseType.DEFERRED_CHANNEL_MESSAGE_WITH_SOURCE,
        "data": {"flags": InteractionResponseFlags.EPHEMERAL},
    }


def _button(button: Button, custom_id: str) -> dict[str, Any]:
    return {
        "type": BUTTON,
        "style": int(button.style),
        "label": clipped(button.label, LABEL_LIMIT),
        "custom_id": custom_id,
    }


def choices(names_and_values: Sequence[tuple[str, str]]) -> Response:
    """Suggestions for the option being typed; those beyond the 25th are left out."""
    return {
        "type": InteractionResponseType.APPLICATION_COMMAND_AUTOCOMPLETE_RESULT,
        "data": {"choices": [{"name": clipped(n, 100), "value": v} for n, v in names_and_values[:CHOICES_LIMIT]]},
    }


def length(text: str) -> int:
    """How long the text is in UTF-16 units, the narrowest way to count."""
    return len(text.encode("utf-16-le")) // 2


def clipped(text: str, limit: int) -> str:
    """The text, or as much of it as fits with an ellipsis into `limit` UTF-16 units."""
    if length(text) <= limit:
        return text
    head = text.encode("utf-16-le")[: 2 * (limit - 1)].decode("utf-16-le", "ignore")
    return f"{head}…"


def harmless(name: str) -> str:
    """A name that somebody chose, to be shown as it is and to do nothing.

    Discord's Markdown lets a backslash take the meaning of any punctuation, so mentions, links, emoji codes and
    formatting all end here. Controls go; an isolate keeps right-to-left letters from turning the sentence round.
    """
    shown = clipped(_CONTROLS.sub(" ", name).strip(), NAME_LIMIT)
    return _FIRST_STRONG_ISOLATE + _PUNCTUATION.sub(r"\\\1", shown) + _POP_ISOLATE


def moment(at_ms: int) -> str:
    """A moment (milliseconds since 1970 UTC) that Discord shows in each reader's own time zone."""
    return f"<t:{at_ms // 1000}:f>"
