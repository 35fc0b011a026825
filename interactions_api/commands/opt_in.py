"""`/opt_in [visibility]`: from now on the person's time in voice channels is recorded."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from db_client.reading_statements import standing
from db_client.records import ConsentDecision, Visibility
from interactions_api.commands.definition import slash_command, text_option
from interactions_api.interaction import Command
from interactions_api.plan import Plan, Rows, Say, Sentences
from interactions_api.reply import harmless, moment
from interactions_api.words import Catalogues, Words

NAME = "opt_in"
VISIBILITIES: tuple[Visibility, ...] = ("only_me", "server")


def definition(catalogues: Catalogues) -> dict[str, Any]:
    """One option: who may see the person's time."""
    return slash_command(catalogues, NAME, [text_option(catalogues, "opt_in.visibility", "visibility", VISIBILITIES)])


def handle(command: Command, words: Words) -> Plan | Say:
    """Keeps the decision with the person's profile, then says what stands, since when, and how to leave."""
    wanted = command.options.get("visibility", "only_me")
    visibility = next((known for known in VISIBILITIES if known == wanted), None)
    if visibility is None:
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
    )
    decided = {"decided": moment(decision.at), "leave": words("opt_out.name")}
    return Plan(
        records=(decision,),
        questions=(standing(member.user_id),),
        stored=partial(_what_stands, decision, words),
        told=True,
        sentences=Sentences(
            kept=words("opt_in.kept", **decided),
            refused=words("refused"),
            not_kept=words("opt_in.not_kept"),
            unread=words("opt_in.unread", **decided),
        ),
    )


def _what_stands(decision: ConsentDecision, words: Words, answers: Sequence[Rows]) -> str:
    """By what the service holds now, which is a newer decision's if this one came late or again."""
    [rows] = answers
    if not rows or not rows[0]["opted_in"]:
        return words("opt_in.overruled", decided=moment(decision.at))
    [row] = rows
    return words(
        "opt_in.stored",
        since=moment(row["since"]),
        username=harmless(decision.username),
        display_name=harmless(decision.display_name),
        avatar=words("opt_in.avatar" if decision.avatar_url else "opt_in.no_avatar"),
        visibility=words(f"opt_in.seen_by.{row['visibility']}"),
        leave=words("opt_out.name"),
    )
