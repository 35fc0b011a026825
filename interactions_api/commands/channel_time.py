"""`/channel_time [period]`: how the server's voice channels were used, by those who opted in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from db_client import report_statements, reports
from db_client.periods import Period, recent, steady_windows
from interactions_api.commands.definition import period_option, slash_command
from interactions_api.interaction import Command
from interactions_api.plan import Plan, Rows, Say, reading
from interactions_api.server import Server, chosen_period, report, window
from interactions_api.telling import duration, fitting, heat_map, joined
from interactions_api.words import Catalogues, Words

NAME = "channel_time"
MOST = 10


def definition(catalogues: Catalogues) -> dict[str, Any]:
    """A period."""
    return slash_command(catalogues, NAME, [period_option(catalogues)])


def handle(command: Command, words: Words) -> Plan | Say:
    """Sums of all who opted in, nobody named."""
    period = chosen_period(command, Period.LAST_30_DAYS)
    if period is None:
        return Say(words("unknown_choice"))

    def ask(server: Server) -> Plan:
        assert command.guild_id is not None  # noqa: S101 - commands are for servers only
        asked = window(period, command, server)
        drawn = recent(asked)
        notes = joined(server.removed(words, asked, command), server.not_recorded(words))
        questions = (
            report_statements.channel_time(command.guild_id, asked, limit=MOST),
            report_statements.week_edges(command.guild_id, steady_windows(drawn, server.zone)),
        )

        def say(answers: Sequence[Rows]) -> str:
            time = reports.channel_time(answers[0])
            title = words(
                "report.title",
                title=words("channel_time.title"),
                period=words(f"period.{period.value}"),
                zone=server.zone_name,
            )
            if not time.server.sessions:
                return joined(title, words("report.nothing"), notes)
            caption = words("channel_time.heat_map" if drawn == asked else "channel_time.heat_map_13_weeks")
            drawing = f"{caption}\n{heat_map(words, reports.heat_map(answers[1]))}"
            return _told(words, title, time, joined(drawing, notes))

        return reading(questions, say, words("report.unread"), slow=True)

    return report(command, words, ask)


def _told(words: Words, title: str, time: reports.ChannelTime, drawing: str) -> str:
    total = words(
        "channel_time.total",
        time=duration(words, time.server.counted_ms),
        sessions=str(time.server.sessions),
        people=str(time.server.people),
    )
    head = [title, total]
    if time.server.afk_ms:
        head.append(words("channel_time.not_counted", time=duration(words, time.server.afk_ms)))
    lines = [_line(words, use) for use in time.busiest]
    unlisted = time.channels - len(time.busiest)
    return fitting(words, "\n".join(head), lines, drawing, unlisted=unlisted)


def _line(words: Words, use: reports.ChannelUse) -> str:
    """A channel is a mention, which Discord shows by name to those only who may see it, or (deleted) has no name."""
    shown = words("channel_time.deleted") if use.deleted else f"<#{use.channel_id}>"
    only_afk = use.afk_ms and not use.counted_ms
    return words(
        "channel_time.afk_line" if only_afk else "channel_time.line",
        channel=shown,
        time=duration(words, use.afk_ms if only_afk else use.counted_ms),
        sessions=str(use.sessions),
        people=str(use.people),
    )
