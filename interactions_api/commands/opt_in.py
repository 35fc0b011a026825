"""`/opt_in [visibility] [show_past]`: from now on the person's time in voice channels is recorded."""

from __future__ import annotations

from typing import Any, get_args

from db_client.records import ConsentDecision, Visibility
from interactions_api.commands.deciding import Standing, deciding
from interactions_api.commands.definition import BOOLEAN, option, slash_command, text_option
from interactions_api.commands.telling_privacy import leaving, where_shown
from interactions_api.interaction import Command
from interactions_api.plan import Plan, Say
from interactions_api.reply import harmless, moment
from interactions_api.words import Catalogues, Words

NAME = "opt_in"
VISIBILITIES: tuple[Visibility, ...] = get_args(Visibility)


def definition(catalogues: Catalogues) -> dict[str, Any]:
    """Who may see the person's time, and whether what was recorded before as well."""
    visibility = text_option(catalogues, "opt_in.visibility", "visibility", VISIBILITIES)
    return slash_command(catalogues, NAME, [visibility, option(catalogues, "opt_in.show_past", "show_past", BOOLEAN)])


def handle(command: Command, words: Words) -> Plan | Say:
    """Keeps the decision with the person's profile, then says what stands: who sees what, what is stored, how to leave.

    Nobody is shown more by a guess: the past is shown with a choice to whom, or nothing is kept.
    """
    wanted, show_past = command.options.get("visibility"), command.options.get("show_past") is True
    visibility = next((known for known in VISIBILITIES if known == wanted), None)
    if visibility is None and wanted is not None:
        return Say(words("unknown_choice"))
    if show_past and visibility is None:
        return Say(words("opt_in.past_to_whom", visibility=words("opt_in.visibility.name")))
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
        show_past=show_past,
    )
    decided = moment(decision.at)
    stored = words(
        "opt_in.told",
        username=harmless(decision.username),
        display_name=harmless(decision.display_name),
        avatar=words("opt_in.avatar" if decision.avatar_url else "opt_in.no_avatar"),
    )
    tail = f"\n{stored}\n{leaving(words, more=words('leaving.no_page', privacy=words('privacy.name')))}"

    def what_stands(row: Standing | None) -> str:
        if row is None or not row["opted_in"]:
            return words("opt_in.overruled", decided=decided)
        shown = where_shown(words, row, command.guild_id, decision.at)
        return f"{words('opt_in.stored', since=moment(row['since']))}\n{shown}{tail}"

    return deciding(words, NAME, decision, what_stands, tail, decided=decided)
