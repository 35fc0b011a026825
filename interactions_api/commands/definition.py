"""The parts of a command's definition that all commands share. Pure.

https://discord.com/developers/docs/interactions/application-commands#application-command-object
"""

from __future__ import annotations

from typing import Any

from interactions_api.interaction import GUILD_CONTEXT
from interactions_api.words import Catalogues

CHAT_INPUT = 1
STRING = 3
GUILD_INSTALL = 0


def slash_command(catalogues: Catalogues, key: str, options: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """A slash command for guilds only, named and described in every language under `key`."""
    return {
        "type": CHAT_INPUT,
        **_named(catalogues, key),
        "options": options or [],
        "contexts": [GUILD_CONTEXT],
        "integration_types": [GUILD_INSTALL],
    }


def text_option(catalogues: Catalogues, key: str, name: str, choices: tuple[str, ...]) -> dict[str, Any]:
    """An optional option of a few choices, each a value with its name under `key.value`; sent to us under `name`."""
    return {
        "type": STRING,
        **_named(catalogues, key),
        "name": name,
        "required": False,
        "choices": [
            {
                "name": catalogues.default(f"{key}.{choice}"),
                "name_localizations": catalogues.localizations(f"{key}.{choice}"),
                "value": choice,
            }
            for choice in choices
        ],
    }


def _named(catalogues: Catalogues, key: str) -> dict[str, Any]:
    return {
        "name": catalogues.default(f"{key}.name"),
        "name_localizations": catalogues.localizations(f"{key}.name"),
        "description": catalogues.default(f"{key}.description"),
        "description_localizations": catalogues.localizations(f"{key}.description"),
    }
