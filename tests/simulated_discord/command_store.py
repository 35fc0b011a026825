"""The application's registered commands, global and per guild."""

from __future__ import annotations

from typing import Any

from tests.simulated_discord.command_rules import CHAT_INPUT, LOCALES
from tests.simulated_discord.snowflakes import Snowflakes

Command = dict[str, Any]


class CommandStore:
    """What was registered; scope is a guild's id, or None for the global commands."""

    def __init__(self, application_id: int, snowflakes: Snowflakes) -> None:
        self._application_id = application_id
        self._snowflakes = snowflakes
        self._scopes: dict[int | None, dict[tuple[int, str], Command]] = {}

    def overwrite(self, scope: int | None, commands: list[Command]) -> list[Command]:
        """These commands and no others; one that was there by type and name keeps its id."""
        before = self._scopes.get(scope, {})
        self._scopes[scope] = {}
        for command in commands:
            key = (command.get("type", CHAT_INPUT), command["name"])
            self._scopes[scope][key] = self._stored(scope, command, before.get(key))
        return self.all(scope)

    def upsert(self, scope: int | None, command: Command) -> tuple[Command, bool]:
        """One command made or replaced; says whether it is new."""
        commands = self._scopes.setdefault(scope, {})
        key = (command.get("type", CHAT_INPUT), command["name"])
        new = key not in commands
        commands[key] = self._stored(scope, command, commands.get(key))
        return commands[key], new

    def delete(self, scope: int | None, command_id: str) -> bool:
        """Whether there was such a command."""
        commands = self._scopes.get(scope, {})
        keys = [key for key, command in commands.items() if command["id"] == command_id]
        for key in keys:
            del commands[key]
        return bool(keys)

    def all(self, scope: int | None = None) -> list[Command]:
        """The commands of one scope."""
        return list(self._scopes.get(scope, {}).values())

    def find(self, name: str, kind: int, guild: int | None) -> Command | None:
        """What a person in that guild gets for a name: the guild's own command before the global one."""
        for scope in (guild, None):
            command = self._scopes.get(scope, {}).get((kind, name))
            if command is not None:
                return command
        return None

    def _stored(self, scope: int | None, command: Command, before: Command | None) -> Command:
        stored: Command = {
            "description": "",
            "default_member_permissions": None,
            "nsfw": False,
            **command,
            "id": before["id"] if before else str(self._snowflakes.now()),
            "application_id": str(self._application_id),
            "version": str(self._snowflakes.now()),
            "type": command.get("type", CHAT_INPUT),
        }
        for key in ("name_localizations", "description_localizations"):
            kept = {locale: text for locale, text in (stored.get(key) or {}).items() if locale in LOCALES}
            stored[key] = kept or None
        if scope is None:
            stored.setdefault("contexts", [0, 1, 2])
            stored.setdefault("integration_types", [0])
        else:
            stored["guild_id"] = str(scope)
        return stored
