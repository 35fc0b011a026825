"""`/opt_in [visibility]`: from now on the person's time in voice channels is recorded."""

from __future__ import annotations

import json
from typing import Any

from db_client.reading_statements import EVERY_GUILD
from db_client.records import ConsentDecision, Visibility
from interactions_api.commands.deciding import Standing, deciding
from interactions_api.commands.definition import slash_command, text_option
from interactions_api.interaction import Command
from interactions_api.plan import Plan, Say
from interactions_api.reply import harmless, moment
from interactions_api.words import Catalogues, Words

NAME = "opt_in"
VISIBILITIES: tuple[Visibility, ...] = ("only_me", "server")


def definition(catalogues: Catalogues) -> dict[str, Any]:
    """One option: who may see the person's time."""
    return slash_command(catalogues, NAME, [text_option(catalogues, "opt_in.visibility", "visibility", VISIBILITIES)])


def handle(command: Command, words: Words) -> Plan | Say:
    """Keeps the decision with the person's profile, then says what stands, since when, and how to leave."""
    wanted = command.options.get("visibility")
    visibility = next((known for known in VISIBILITIES if known == wanted), None)
    if visibility is None and wanted is not None:
        return Say(words("unknown_choice"))
    member = command.member
    decision = ConsentDecision(
        interaction_id=command.id,
        user_id=member.user_id,
        decision="in",
        username=member.username,
        display_name=member.display_name,
        avatar_url=member.avatar_url,
        visibility=visibility,
        guild_id=command.guild_id,
    )
    decided, leave = moment(decision.at), words("opt_out.name")

    def what_stands(row: Standing | None) -> str:
        if row is None or not row["opted_in"]:
            return words("opt_in.overruled", decided=decided)
        return words(
            "opt_in.stored",
            since=moment(row["since"]),
            username=harmless(decision.username),
            display_name=harmless(decision.display_name),
            avatar=words("opt_in.avatar" if decision.avatar_url else "opt_in.no_avatar"),
            visibility=words(f"opt_in.seen_by.{_seen_by(row, command.guild_id)}"),
            leave=leave,
        )

    return deciding(words, NAME, decision, what_stands, decided=decided, leave=leave)


def _seen_by(row: Standing, guild_id: int | None) -> Visibility:
    shown = dict(json.loads(row["shown"]))
    return "server" if EVERY_GUILD in shown or guild_id in shown else "only_me"
