"""Responses to interactions, as the dicts that become JSON, within Discord's limits whatever the texts hold. Pure.

https://discord.com/developers/docs/interactions/receiving-and-responding#interaction-response-object
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeAlias

from discord_interactions import InteractionResponseFlags, InteractionResponseType

Response: TypeAlias = dict[str, Any]

CONTENT_LIMIT = 2000
CHOICES_LIMIT = 25
NAME_LIMIT = 80

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
# Line breaks and other controls; marks, embeddings, overrides and isolates of the bidirectional algorithm.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
_FIRST_STRONG_ISOLATE, _POP_ISOLATE = "\u2068", "\u2069"


def pong() -> Response:
    """The answer to a PING."""
    return {"type": InteractionResponseType.PONG}


def message(content: str) -> Response:
    """A message that only the person sees and that mentions nobody; cut, with an ellipsis, to 2000 characters."""
    return {
        "type": InteractionResponseType.CHANNEL_MESSAGE_WITH_SOURCE,
        "data": {
            "content": clipped(content, CONTENT_LIMIT),
            "flags": InteractionResponseFlags.EPHEMERAL,
            "allowed_mentions": {"parse": []},
        },
    }


def choices(names_and_values: Sequence[tuple[str, str]]) -> Response:
    """Suggestions for the option being typed; those beyond the 25th are left out."""
    return {
        "type": InteractionResponseType.APPLICATION_COMMAND_AUTOCOMPLETE_RESULT,
        "data": {"choices": [{"name": clipped(n, 100), "value": v} for n, v in names_and_values[:CHOICES_LIMIT]]},
    }


def clipped(text: str, limit: int) -> str:
    """The text, or as much of it as fits with an ellipsis into `limit` UTF-16 units, the narrowest way to count."""
    if len(text.encode("utf-16-le")) // 2 <= limit:
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
