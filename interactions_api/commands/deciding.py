"""A decision about oneself: kept, then told by what the service holds, which may be a newer decision's. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from db_client.reading_statements import standing
from db_client.records import ConsentDecision
from interactions_api.plan import Plan, Rows, Sentences
from interactions_api.reply import Said
from interactions_api.words import Words

Standing = dict[str, Any]
"""What stands about the person: the columns of `standing`."""


def deciding(
    words: Words,
    name: str,
    decision: ConsentDecision,
    what_stands: Callable[[Standing | None], Said],
    tail: str = "",
    **values: str,
) -> Plan:
    """Keeps the decision, then says `what_stands`; None if nothing does.

    What is said when it does not end as wished stands under the command's `name`, with `values` in its braces; the
    `tail` follows where the decision is kept.
    """

    def say(answers: Sequence[Rows]) -> Said:
        [rows] = answers
        return what_stands(rows[0] if rows else None)

    return Plan(
        records=(decision,),
        questions=(standing(decision.user_id),),
        stored=say,
        told=True,
        sentences=Sentences(
            kept=words(f"{name}.kept", **values) + tail,
            refused=words("refused"),
            not_kept=words(f"{name}.not_kept"),
            unread=words(f"{name}.unread", **values) + tail,
        ),
    )
