"""What the bot does: one file a command, plugged in by its line in `COMMANDS`."""

from __future__ import annotations

from typing import Any, Protocol

from interactions_api.commands import opt_in, opt_out
from interactions_api.interaction import Command
from interactions_api.plan import Plan, Say
from interactions_api.words import Catalogues, Words


class CommandFile(Protocol):
    """What each file here offers."""

    NAME: str
    """The command's name as Discord sends it, whatever the person's language."""

    def definition(self, catalogues: Catalogues) -> dict[str, Any]:
        """What `register` publishes. https://discord.com/developers/docs/interactions/application-commands"""

    def handle(self, command: Command, words: Words) -> Plan | Say:
        """What a use of the command leads to; pure. The command was used in a guild."""


COMMANDS: tuple[CommandFile, ...] = (
    opt_in,
    opt_out,
)

BY_NAME: dict[str, CommandFile] = {command.NAME: command for command in COMMANDS}


def definitions(catalogues: Catalogues) -> list[dict[str, Any]]:
    """All commands as `register` publishes them."""
    return [command.definition(catalogues) for command in COMMANDS]
