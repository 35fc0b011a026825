"""What Discord accepts as the answer to an interaction. Pure.

https://discord.com/developers/docs/interactions/receiving-and-responding#interaction-response-object
"""

from __future__ import annotations

from typing import Any

from tests.simulated_discord.command_rules import STRING, problems_with_choices
from tests.simulated_discord.component_rules import check_modal
from tests.simulated_discord.form import Form, Problem
from tests.simulated_discord.message_rules import EPHEMERAL, check_message

PING, COMMAND, COMPONENT, AUTOCOMPLETE, MODAL_SUBMIT = range(1, 6)
PONG, MESSAGE, DEFERRED, DEFERRED_UPDATE, UPDATE, CHOICES, MODAL, LAUNCH = 1, 4, 5, 6, 7, 8, 9, 12

_ALLOWED = {
    PING: (PONG,),
    COMMAND: (MESSAGE, DEFERRED, MODAL, LAUNCH),
    COMPONENT: (MESSAGE, DEFERRED, DEFERRED_UPDATE, UPDATE, MODAL, LAUNCH),
    AUTOCOMPLETE: (CHOICES,),
    MODAL_SUBMIT: (MESSAGE, DEFERRED, DEFERRED_UPDATE, UPDATE, LAUNCH),
}


def problems_with_reply(
    reply: Any, interaction_type: int, *, files: int = 0, focused_type: int = STRING
) -> list[Problem]:
    """Everything that is wrong with a response object; `focused_type` is the option type that is autocompleted."""
    form = Form()
    if form.mapping(reply, ()) is None:
        return form.problems
    for key in set(reply) - {"type", "data"}:
        form.wrong((key,), "UNKNOWN_FIELD", "Discord knows no such field and would ignore it.")
    kind = form.integer(reply, "type", (), choices=_ALLOWED[interaction_type], required=True)
    data = reply.get("data")
    if kind in (None, PONG, DEFERRED_UPDATE, LAUNCH):
        return form.problems
    if kind == DEFERRED and data is None:
        return form.problems
    if form.mapping(data, ("data",)) is None:
        return form.problems
    if kind in (MESSAGE, UPDATE):
        check_message(form, data, ("data",), files=files, edit=kind == UPDATE)
    elif kind == DEFERRED:
        if (form.integer(data, "flags", ("data",)) or 0) & ~EPHEMERAL or set(data) - {"flags"}:
            form.wrong(
                ("data",), "MESSAGE_FLAGS_INVALID", "A deferred message takes the flag EPHEMERAL and nothing else."
            )
    elif kind == CHOICES:
        choices = form.items(data, "choices", ("data",), most=25, required=True)
        problems_with_choices(form, choices, focused_type, ("data", "choices"))
    elif kind == MODAL:
        check_modal(form, data, ("data",))
    return form.problems


def problems_with_message(data: Any, *, files: int = 0, edit: bool = False) -> list[Problem]:
    """Everything that is wrong with a follow-up message or an edit."""
    form = Form()
    if form.mapping(data, ()) is not None:
        check_message(form, data, (), files=files, edit=edit)
    return form.problems
