"""`/privacy`: what is stored and who sees it, what holds on this server, and what the person chose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from db_client.reading_statements import guild_settings, standing, unrecorded_in_guild
from db_client.snowflake import created_at
from interactions_api.commands.deciding import Standing
from interactions_api.commands.definition import slash_command
from interactions_api.commands.telling_privacy import leaving, where_shown
from interactions_api.interaction import Command
from interactions_api.plan import Plan, Rows, reading
from interactions_api.reply import moment
from interactions_api.server import Server
from interactions_api.telling import in_days, mentions
from interactions_api.words import Catalogues, Words

NAME = "privacy"


def definition(catalogues: Catalogues) -> dict[str, Any]:
    """No options."""
    return slash_command(catalogues, NAME)


def handle(command: Command, words: Words) -> Plan:
    """Says what is true everywhere even if the service does not answer what holds here."""
    what, how_to_leave = words("privacy.stored", opt_in=words("opt_in.name")), leaving(words)
    guild_id = command.guild_id
    questions = [standing(command.member.user_id)]
    if guild_id is not None:
        questions += [guild_settings(guild_id), unrecorded_in_guild(guild_id)]

    def say(answers: Sequence[Rows]) -> str:
        rows, *of_the_server = answers
        here = _here(words, Server.of(*of_the_server)) if of_the_server else words("privacy.kept")
        own = _own(words, rows[0] if rows else None, guild_id, created_at(command.id))
        return "\n".join((what, here, own, how_to_leave))

    return reading(questions, say, "\n".join((what, words("privacy.unread"), how_to_leave)))


def _here(words: Words, server: Server) -> str:
    kept_for, unrecorded = server.retention_days, server.unrecorded
    kept = words("privacy.removed_here", days=in_days(words, kept_for)) if kept_for else words("privacy.kept_here")
    if not unrecorded:
        return f"{kept} {words('privacy.all_recorded')}"
    return f"{kept} {words('privacy.unrecorded', channels=mentions(words, unrecorded))}"


def _own(words: Words, row: Standing | None, guild_id: int | None, now: int) -> str:
    if row is None:
        return words("privacy.never_in")
    if not row["opted_in"]:
        return words("privacy.opted_out", since=moment(row["since"]))
    opted_in = words("privacy.opted_in", since=moment(row["since"]))
    return f"{opted_in}\n{where_shown(words, row, guild_id, now)}"
