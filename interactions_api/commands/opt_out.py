"""`/opt_out`: from now on nothing of the person is recorded; what was recorded before is kept."""

from __future__ import annotations

from typing import Any

from db_client.records import ConsentDecision
from interactions_api.commands import erase_me
from interactions_api.commands.deciding import Standing, deciding
from interactions_api.commands.definition import slash_command
from interactions_api.interaction import Command
from interactions_api.plan import Plan
from interactions_api.reply import Message, Said, moment
from interactions_api.words import Catalogues, Words

NAME = "opt_out"


def definition(catalogues: Catalogues) -> dict[str, Any]:
    """No options."""
    return slash_command(catalogues, NAME)


def handle(command: Command, words: Words) -> Plan:
    """Keeps the decision, then says what stands and how to come back."""
    decision = ConsentDecision(interaction_id=command.id, user_id=command.member.user_id, decision="out")
    decided, come_back = moment(decision.at), words("opt_in.name")

    def what_stands(row: Standing | None) -> Said:
        if row is None:
            return words("opt_out.nothing_stored", come_back=come_back)
        since = moment(row["since"])
        if row["opted_in"]:
            return words("opt_out.overruled", decided=decided, since=since)
        return Message(words("opt_out.stored", since=since, come_back=come_back), (erase_me.offer(words),))

    return deciding(words, NAME, decision, what_stands, decided=decided, come_back=come_back)
