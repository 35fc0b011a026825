"""`/erase_me`: after a confirming button, everything about the person goes, on every server and at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from db_client.records import ConsentDecision
from db_client.report_statements import person_counts
from interactions_api.commands.definition import slash_command
from interactions_api.interaction import Command, Component
from interactions_api.plan import Plan, Rows, Say, Sentences, reading
from interactions_api.reply import Button, Message, Style, moment
from interactions_api.words import Catalogues, Words

NAME = "erase_me"
CONFIRM_S = 300
ASK, CONFIRM, KEEP = "ask", "confirm", "keep"


def definition(catalogues: Catalogues) -> dict[str, Any]:
    """No options."""
    return slash_command(catalogues, NAME)


def offer(words: Words) -> Button:
    """A button that does what the command does: it asks first."""
    return Button(words("erase_me.offer"), NAME, ASK, Style.DANGER)


def handle(command: Command, words: Words) -> Plan:
    """Erases nothing yet: says what there is, and asks."""
    return _ask(command.member.user_id, words)


def press(component: Component, argument: str, words: Words) -> Plan | Say:
    """Asks (offered by another command), erases, or keeps everything."""
    if argument == ASK:
        return _ask(component.member.user_id, words)
    if argument != CONFIRM:
        return Say(Message(words("erase_me.nothing_erased"), replaces=True))
    decision = ConsentDecision(interaction_id=component.id, user_id=component.member.user_id, decision="erase")
    erased = {"erased": moment(decision.at), "number": str(decision.interaction_id), "opt_in": words("opt_in.name")}
    return Plan(
        records=(decision,),
        questions=(person_counts(decision.user_id),),
        stored=partial(_receipt, erased, words),
        sentences=Sentences(
            kept=Message(words("erase_me.kept", **erased), replaces=True),
            refused=Message(words("erase_me.refused"), replaces=True),
            not_kept=words("erase_me.not_kept"),  # the button stays, to be pressed again
            unread=Message(words("erase_me.erased", **erased), replaces=True),
        ),
    )


def _ask(user_id: int, words: Words) -> Plan:
    buttons = (
        Button(words("erase_me.confirm"), NAME, CONFIRM, Style.DANGER, valid_s=CONFIRM_S),
        Button(words("erase_me.keep"), NAME, KEEP, valid_s=CONFIRM_S),
    )

    question = words("erase_me.question", my_data=words("my_data.name"))

    def say(answers: Sequence[Rows]) -> Message:
        [[counts]] = answers
        if not (counts["profiles"] or counts["sessions"] or counts["decisions"]):
            return Message(words("erase_me.nothing_stored"))
        numbers = {key: str(counts[key]) for key in ("sessions", "servers", "decisions")}
        return Message(f"{words('erase_me.stored', **numbers)}\n{question}", buttons)

    return reading((person_counts(user_id),), say, Message(question, buttons))


def _receipt(erased: dict[str, str], words: Words, answers: Sequence[Rows]) -> Message:
    """Looked up after it was done. What stands then was decided later: the person opted in again."""
    [[counts]] = answers
    gone = not counts["profiles"] and not counts["sessions"]
    return Message(words("erase_me.erased" if gone else "erase_me.erased_then_in", **erased), replaces=True)
