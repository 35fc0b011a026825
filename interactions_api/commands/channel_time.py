"""`/channel_time [period]`: how the server's voice channels were used, by those who opted in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from db_client import reports
from db_client.periods import Period
from db_client.report_cells import DRAWN_MS, cells_of
from db_client.report_sums import channel_time
from db_client.snowflake import created_at
from interactions_api.commands.definition import period_option, slash_command
from interactions_api.interaction import Command
from interactions_api.plan import Plan, Rows, Say, reading
from interactions_api.server import Server, Sight, chosen_period, report, window
from interactions_api.telling import duration, fitting, heat_map, joined
from interactions_api.words import Catalogues, Words

NAME = "channel_time"
MOST = 10


def definition(catalogues: Catalogues) -> dict[str, Any]:
    """A period."""
    return slash_command(catalogues, NAME, [period_option(catalogues)])


def handle(command: Command, words: Words) -> Plan | Say:
    """Sums of all who opted in, nobody named, and of those who keep it to themselves only where there are three."""
    period = chosen_period(command, Period.LAST_30_DAYS)
    if period is None:
        return Say(words("unknown_choice"))

    def ask(server: Server, sight: Sight) -> Plan:
        assert command.guild_id is not None  # noqa: S101 - commands are for servers only
        asked = window(period, command, server)
        now = created_at(command.id)
        notes = joined(words("channel_time.smallest_group"), server.removed(words, asked, command))
        notes = joined(notes, server.not_recorded(words), sight.note(words))
        cells = cells_of(asked, now, server.zone)
        me = command.member.user_id
        question = channel_time(command.guild_id, me, cells, seen_to=sight.seen_to, limit=MOST)

        def say(answers: Sequence[Rows]) -> str:
            time = reports.channel_time(answers[0])
            title = words(
                "report.title",
                title=words("channel_time.title"),
                period=words(f"period.{period.value}"),
                zone=server.zone_name,
            )
            if not time.server.counted_ms + time.server.afk_ms:
                return joined(title, words("channel_time.nothing"), notes)
            whole = asked.from_at >= now - DRAWN_MS
            caption = words("channel_time.heat_map" if whole else "channel_time.heat_map_13_weeks")
            return _told(words, title, time, joined(caption, heat_map(words, time.hours), notes))

        return reading((question,), say, words("report.unread"), slow=True)

    return report(command, words, ask)


def _told(words: Words, title: str, time: reports.ChannelTime, drawing: str) -> str:
    head = [title, words("channel_time.total", time=duration(words, time.server.counted_ms))]
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
    )
