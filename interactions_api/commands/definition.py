"""The parts of a command's definition that all commands share. Pure.

https://discord.com/developers/docs/interactions/application-commands#application-command-object
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from db_client.periods import Period
from interactions_api.interaction import GUILD_CONTEXT, GUILD_INSTALL
from interactions_api.words import Catalogues

CHAT_INPUT = 1
STRING, INTEGER, BOOLEAN, USER, CHANNEL = 3, 4, 5, 6, 7
VOICE, STAGE = 2, 13
USER_INSTALL = 1
BOT_DM_CONTEXT = 1

PERSONAL = frozenset({"opt_out", "my_data", "erase_me", "privacy"})
"""The commands that work in the bot's direct messages too, whatever servers the person has left or was banned from.

Discord lets somebody without a common server use them there only if the person can add the bot to their account.
"""


def slash_command(catalogues: Catalogues, key: str, options: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """A slash command, named and described in every language under `key`; but for `PERSONAL` ones for guilds only."""
    personal = key in PERSONAL
    return {
        "type": CHAT_INPUT,
        **_named(catalogues, key),
        "options": options or [],
        "contexts": [GUILD_CONTEXT, BOT_DM_CONTEXT] if personal else [GUILD_CONTEXT],
        "integration_types": [GUILD_INSTALL, USER_INSTALL] if personal else [GUILD_INSTALL],
    }


def option(catalogues: Catalogues, key: str, name: str, kind: int, **rules: Any) -> dict[str, Any]:
    """An optional option, named and described under `key`, sent to us under `name`; `rules` as Discord has them."""
    return {**_named(catalogues, key), "type": kind, "name": name, "required": False, **rules}


def channel_option(catalogues: Catalogues, key: str, name: str) -> dict[str, Any]:
    """A voice or stage channel."""
    return option(catalogues, key, name, CHANNEL, channel_types=[VOICE, STAGE])


def text_option(catalogues: Catalogues, key: str, name: str, choices: Sequence[str]) -> dict[str, Any]:
    """One of a few choices, each a value with its name under `key.value`."""
    named = [
        {
            "name": catalogues.default(f"{key}.{choice}"),
            "name_localizations": catalogues.localizations(f"{key}.{choice}"),
            "value": choice,
        }
        for choice in choices
    ]
    return option(catalogues, key, name, STRING, choices=named)


def period_option(catalogues: Catalogues) -> dict[str, Any]:
    """The period of a report."""
    return text_option(catalogues, "period", "period", [period.value for period in Period])


def _named(catalogues: Catalogues, key: str) -> dict[str, Any]:
    return {
        "name": catalogues.default(f"{key}.name"),
        "name_localizations": catalogues.localizations(f"{key}.name"),
        "description": catalogues.default(f"{key}.description"),
        "description_localizations": catalogues.localizations(f"{key}.description"),
    }
