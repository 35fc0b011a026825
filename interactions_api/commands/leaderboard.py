"""`/leaderboard [period] [channel] [share]`: the times of those who let the server see them, with one's own place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from db_client import report_statements, reports
from db_client.periods import Period
from interactions_api.buttons import base36
from interactions_api.commands.definition import BOOLEAN, channel_option, option, period_option, slash_command
from interactions_api.commands.pages import page_buttons, page_of
from interactions_api.interaction import Command, Component, Interaction
from interactions_api.plan import Next, Plan, Rows, Say, reading
from interactions_api.reply import Message, harmless
from interactions_api.server import Server, Sight, chosen_channel, chosen_period, period_named, report, window
from interactions_api.telling import duration, how_many_fit, joined
from interactions_api.words import Catalogues, Words

NAME = "leaderboard"
PAGE = 10


def definition(catalogues: Catalogues) -> dict[str, Any]:
    """A period, one channel only, and whether everybody in the channel sees the answer."""
    share = option(catalogues, "leaderboard.share", "share", BOOLEAN)
    only = channel_option(catalogues, "leaderboard.channel", "channel")
    return slash_command(catalogues, NAME, [period_option(catalogues), only, share])


def handle(command: Command, words: Words) -> Plan | Say:
    """The first page."""
    period = chosen_period(command, Period.LAST_30_DAYS)
    channel = chosen_channel(command, "channel")
    if period is None or ("channel" in command.options and channel is None):
        return Say(words("unknown_choice"))
    return _page(command, words, period, channel or 0, command.options.get("share") is True, 0)


def press(component: Component, argument: str, words: Words) -> Plan | Say:
    """Another page, in place of the one that was there."""
    what, offset = page_of(argument)
    name, channel, shared = what.split(".")
    period = period_named(name)
    if period is None:
        return Say(words("unknown_choice"))
    return _page(component, words, period, int(channel, 36), shared == "1", offset, replaces=True)


def _page(
    interaction: Interaction,
    words: Words,
    period: Period,
    channel_id: int,
    shared: bool,
    offset: int,
    *,
    replaces: bool = False,
) -> Plan:
    me = interaction.member.user_id

    def ask(server: Server, sight: Sight) -> Next:
        assert interaction.guild_id is not None  # noqa: S101 - commands are for servers only
        if not server.leaderboard:
            return words("leaderboard.off")
        asked = window(period, interaction, server)
        questions = (
            report_statements.shown_member(interaction.guild_id, me),
            report_statements.leaderboard(
                interaction.guild_id,
                me,
                asked,
                seen_to=sight.seen_to,
                limit=PAGE,
                offset=offset,
                channel_id=channel_id or None,
            ),
        )

        def say(answers: Sequence[Rows]) -> Message:
            visible, rows = answers
            board = reports.leaderboard(rows)
            title = words("leaderboard.title")
            if channel_id:
                title = words("leaderboard.in_channel", title=title, channel=f"<#{channel_id}>")
            title = words("report.title", title=title, period=words(f"period.{period.value}"), zone=server.zone_name)
            own = "" if shared else _own(words, board, bool(visible))  # one's own time may be more than one shows
            nowhere = server.not_recorded(words) if board.own is None and not shared else ""
            tail = joined(own, nowhere, server.removed(words, asked, interaction), sight.note(words))
            lines = [
                words(
                    "leaderboard.line",
                    place=str(one.place),
                    name=harmless(one.display_name or ""),
                    time=duration(words, one.counted_ms),
                )
                for one in board.page
            ]
            empty = "" if lines else words("leaderboard.empty", opt_in=words("opt_in.name"))
            head = joined(title, empty)
            shown = how_many_fit(head, lines, tail)
            buttons = page_buttons(
                words,
                NAME,
                f"{period.value}.{base36(channel_id)}.{int(shared)}",
                offset=offset,
                shown=shown,
                size=PAGE,
                of_all=board.people,
            )
            return Message(joined(head, *lines[:shown], tail), buttons, public=shared, replaces=replaces)

        return reading(questions, say, words("report.unread"), slow=True)

    return report(interaction, words, ask, public=shared)


def _own(words: Words, board: reports.Leaderboard, visible: bool) -> str:
    """The asker's own place; for somebody whom the others do not see, the place that the time would have."""
    if board.own is None:
        return words("leaderboard.no_own")
    return words(
        "leaderboard.own" if visible else "leaderboard.own_unseen",
        place=str(board.own.place),
        people=str(board.people),
        time=duration(words, board.own.counted_ms),
    )
