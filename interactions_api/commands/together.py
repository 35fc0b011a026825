"""`/together [member]`: with whom one shared voice channels, among people who both let the server see their time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from db_client import report_statements, reports
from db_client.periods import Period
from interactions_api.commands.definition import USER, option, slash_command
from interactions_api.interaction import Command
from interactions_api.plan import Plan, Rows, Say, reading
from interactions_api.reply import harmless, moment
from interactions_api.server import Server, Sight, report, window
from interactions_api.telling import duration, fitting, joined
from interactions_api.words import Catalogues, Words

NAME = "together"
MOST = 10
NOBODY = -1


def definition(catalogues: Catalogues) -> dict[str, Any]:
    """One member only."""
    return slash_command(catalogues, NAME, [option(catalogues, "together.member", "member", USER)])


def handle(command: Command, words: Words) -> Plan | Say:
    """Of all time: a year without somebody would not say since when."""
    member = str(command.options.get("member", "0"))
    if not member.isdecimal():
        return Say(words("unknown_choice"))
    me = command.member.user_id
    if int(member) == me:
        return Say(words("together.yourself"))
    # Of who left the server, or was never on it, no more is said than of a stranger.
    one = int(member) if int(member) in command.members else NOBODY if int(member) else None

    def ask(server: Server, sight: Sight) -> Plan:
        assert command.guild_id is not None  # noqa: S101 - commands are for servers only
        asked = window(Period.ALL, command, server)
        questions = (
            report_statements.shown_member(command.guild_id, me),
            report_statements.together(command.guild_id, me, asked, seen_to=sight.seen_to, limit=MOST, member_id=one),
        )

        def say(answers: Sequence[Rows]) -> str:
            visible, rows = answers
            notes = joined(server.removed(words, asked, command), sight.note(words))
            return _told(words, visible, rows, one is not None, notes)

        return reading(questions, say, words("report.unread"), slow=True)

    return report(command, words, ask)


def _told(words: Words, visible: Rows, rows: Rows, one: bool, notes: str) -> str:
    """Whoever is hidden, left, never opted in or was never there gets the asker the same answer."""
    if not visible:
        return words("together.not_visible", opt_in=words("opt_in.name"), choice=words("opt_in.visibility.server"))
    if not rows:
        nothing = words("together.nothing_with" if one else "together.nothing")
        return joined(nothing, notes)
    lines = [
        words(
            "together.line",
            name=harmless(each.display_name),
            time=duration(words, each.together_ms),
            times=str(each.times),
            since=moment(each.since),
            last=moment(each.last),
            channel=f"<#{each.favourite_id}>",
            there=duration(words, each.favourite_ms),
        )
        for each in reports.companions(rows)
    ]
    return fitting(words, words("together.title"), lines, notes, unlisted=rows[0]["people"] - len(rows))
