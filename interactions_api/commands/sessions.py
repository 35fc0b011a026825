"""`/sessions [period]`: the person's own sessions one by one: why is my number what it is?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from db_client.periods import Period
from db_client.report_statements import own_sessions
from interactions_api.commands.definition import period_option, slash_command
from interactions_api.commands.pages import page_buttons, page_of
from interactions_api.interaction import Command, Component, Interaction
from interactions_api.plan import Plan, Rows, Say, reading
from interactions_api.reply import Message, moment
from interactions_api.server import Server, Sight, chosen_period, period_named, report, window
from interactions_api.telling import channel, duration, how_many_fit, joined
from interactions_api.words import Catalogues, Words

NAME = "sessions"
PAGE = 10


def definition(catalogues: Catalogues) -> dict[str, Any]:
    """A period."""
    return slash_command(catalogues, NAME, [period_option(catalogues)])


def handle(command: Command, words: Words) -> Plan | Say:
    """The first page, the newest sessions first."""
    period = chosen_period(command, Period.LAST_7_DAYS)
    return Say(words("unknown_choice")) if period is None else _page(command, words, period, 0)


def press(component: Component, argument: str, words: Words) -> Plan | Say:
    """Another page, in place of the one that was there."""
    name, offset = page_of(argument)
    period = period_named(name)
    return Say(words("unknown_choice")) if period is None else _page(component, words, period, offset, replaces=True)


def _page(interaction: Interaction, words: Words, period: Period, offset: int, *, replaces: bool = False) -> Plan:
    def ask(server: Server, sight: Sight) -> Plan:
        assert interaction.guild_id is not None  # noqa: S101 - commands are for servers only
        asked = window(period, interaction, server)
        me, seen_to = interaction.member.user_id, sight.seen_to
        question = own_sessions(interaction.guild_id, me, asked, seen_to=seen_to, limit=PAGE, offset=offset)

        def say(answers: Sequence[Rows]) -> Message:
            [rows] = answers
            title = words(
                "report.title",
                title=words("sessions.title"),
                period=words(f"period.{period.value}"),
                zone=server.zone_name,
            )
            running = bool(rows) and (offset > 0 or rows[0]["ended_at"] is None)
            nowhere = "" if running else server.not_recorded(words)
            title = joined(title, nowhere, server.removed(words, asked, interaction), sight.note(words))
            if not rows:
                return Message(f"{title}\n{words('report.nothing')}", replaces=replaces)
            of_all = rows[0]["of_all"]
            lines = [_line(words, row, sight) for row in rows]
            shown = how_many_fit(title + _shown(words, of_all, of_all, of_all), lines)
            content = "\n".join([title, _shown(words, offset + 1, offset + shown, of_all), *lines[:shown]])
            buttons = page_buttons(words, NAME, period.value, offset=offset, shown=shown, size=PAGE, of_all=of_all)
            return Message(content, buttons, replaces=replaces)

        return reading((question,), say, words("report.unread"), slow=True)

    return report(interaction, words, ask)


def _shown(words: Words, first: int, last: int, of_all: int) -> str:
    return words("sessions.shown", first=str(first), last=str(last), of_all=str(of_all))


def _line(words: Words, row: dict[str, Any], sight: Sight) -> str:
    where = channel(row["name"], row["channel_id"])
    time = duration(words, row["in_window_ms"])
    started = moment(row["started_at"])
    if row["ended_at"] is None and sight.unseen:
        until = moment(row["runs_to"])
        line = words("sessions.running_unseen", started=started, until=until, time=time, channel=where)
    elif row["ended_at"] is None:
        line = words("sessions.running", started=started, time=time, channel=where)
    else:
        line = words(
            "sessions.ended",
            started=started,
            ended=moment(row["ended_at"]),
            time=time,
            channel=where,
            how=_how(words, row["ended_by"]),
        )
    notes = [
        words("sessions.afk") if row["afk"] else "",
        _sureness(words, "sessions.begin_within", row["started_within_ms"]),
        _sureness(words, "sessions.end_within", row["ended_within_ms"]),
    ]
    return " ".join(part for part in (line, *notes) if part)


def _how(words: Words, ended_by: str) -> str:
    key = f"ended_by.{ended_by}"
    return words(key) if key in words.texts else words("ended_by.other")


def _sureness(words: Words, key: str, within_ms: int | None) -> str:
    """Nothing below a second: that is as sure as a clock is."""
    return words(key, within=duration(words, within_ms)) if within_ms and within_ms >= 1000 else ""
