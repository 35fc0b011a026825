"""What the bot does: one file a command, plugged in by its line in `COMMANDS`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from interactions_api.commands import (
    channel_time,
    erase_me,
    leaderboard,
    my_data,
    opt_in,
    opt_out,
    privacy,
    sessions,
    settings,
    together,
    voice_time,
)
from interactions_api.interaction import Autocomplete, Command, Component
from interactions_api.plan import Plan, Say
from interactions_api.words import Catalogues, Words


class CommandFile(Protocol):
    """What each file here offers."""

    NAME: str
    """The command's name as Discord sends it, whatever the person's language."""

    def definition(self, catalogues: Catalogues) -> dict[str, Any]:
        """What `register` publishes. https://discord.com/developers/docs/interactions/application-commands"""

    def handle(self, command: Command, words: Words) -> Plan | Say:
        """What a use of the command leads to; pure. It was used in a guild, unless it is one of `PERSONAL`."""


COMMANDS: tuple[CommandFile, ...] = (
    opt_in,
    opt_out,
    voice_time,
    sessions,
    leaderboard,
    together,
    channel_time,
    my_data,
    erase_me,
    privacy,
    settings,
)

PRESSES: dict[str, Callable[[Component, str, Words], Plan | Say]] = {
    erase_me.NAME: erase_me.press,
    leaderboard.NAME: leaderboard.press,
    sessions.NAME: sessions.press,
    settings.NAME: settings.press,
}
"""What a press of a button with that `action` leads to, given its argument; pure."""

SUGGESTIONS: dict[str, Callable[[Autocomplete], Sequence[tuple[str, str]]]] = {settings.NAME: settings.suggest}
"""Names and values to suggest while an option of that command is typed; pure."""

BY_NAME: dict[str, CommandFile] = {command.NAME: command for command in COMMANDS}


def definitions(catalogues: Catalogues) -> list[dict[str, Any]]:
    """All commands as `register` publishes them."""
    return [command.definition(catalogues) for command in COMMANDS]
