"""`/opt_out`: from now on nothing of the person is recorded; what was recorded before is kept."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from db_client.reading_statements import standing
from db_client.records import ConsentDecision
from interactions_api.commands import erase_me
from interactions_api.commands.definition import slash_command
from interactions_api.interaction import Command
from interactions_api.plan import Plan, Rows, Sentences
from interactions_api.reply import Message, Said, moment
from interactions_api.words import Catalogues, Words

NAME = "opt_out"


def definition(catalogues: Catalogues) -> dict[str, Any]:
    """No options."""
    return slash_command(catalogues, NAME)


def handle(command: Command, words: Words) -> Plan:
    """Keeps the decision, then says what stands and how to come back."""
    decision = ConsentDecision(interaction_id=command.id, user_id=command.member.user_id, decision="out")
    decided = {"decided": moment(decision.at), "come_back": words("opt_in.name")}
    return Plan(
        records=(decision,),
        questions=(standing(decision.user_id),),
        stored=partial(_what_stands, decision, words),
        told=True,
        sentences=Sentences(
            kept=words("opt_out.kept", **decided),
            refused=words("refused"),
            not_kept=words("opt_out.not_kept"),
            unread=words("opt_out.unread", **decided),
        ),
    )


def _what_stands(decision: ConsentDecision, words: Words, answers: Sequence[Rows]) -> Said:
    """By what the service holds now, which is a newer decision's if this one came late or again."""
    [rows] = answers
    if not rows:
        return words("opt_out.nothing_stored", come_back=words("opt_in.name"))
    [row] = rows
    if row["opted_in"]:
        return words("opt_out.overruled", decided=moment(decision.at), since=moment(row["since"]))
    said = words("opt_out.stored", since=moment(row["since"]), come_back=words("opt_in.name"))
    return Message(said, (erase_me.offer(words),))
