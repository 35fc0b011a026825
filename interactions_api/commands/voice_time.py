"""`/voice_time [period] [member]`: one's own time in voice channels, or that of a member who lets the server see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from db_client import report_statements, reports
from db_client.periods import DAY_MS, Period, bars_of, recent
from db_client.reading_statements import standing
from interactions_api.commands.definition import USER, option, period_option, slash_command
from interactions_api.interaction import Command
from interactions_api.plan import Plan, Rows, Say, reading
from interactions_api.reply import harmless, moment
from interactions_api.server import Server, Sight, chosen_period, report, window
from interactions_api.telling import channel, chart, duration, fitting, joined
from interactions_api.words import Catalogues, Words

NAME = "voice_time"
CHART_MS = 366 * DAY_MS


def definition(catalogues: Catalogues) -> dict[str, Any]:
    """A period, and whose."""
    whose = option(catalogues, "voice_time.member", "member", USER)
    return slash_command(catalogues, NAME, [period_option(catalogues), whose])


def handle(command: Command, words: Words) -> Plan | Say:
    """Whether a member lets the server see it is read with the times, so that one cannot change before the other."""
    period = chosen_period(command, Period.LAST_7_DAYS)
    member = str(command.options.get("member", command.member.user_id))
    if period is None or not member.isdecimal():
        return Say(words("unknown_choice"))
    own = int(member) == command.member.user_id
    # Of who left the server, or was never on it, no more is said than of a stranger: nobody has the id 0.
    user_id = int(member) if own or int(member) in command.members else 0

    def ask(server: Server, sight: Sight) -> Plan:
        if own:
            return _own(command, words, period, server, sight)
        return _of(command, words, period, server, sight, user_id)

    return report(command, words, ask)


def _own(command: Command, words: Words, period: Period, server: Server, sight: Sight) -> Plan:
    assert command.guild_id is not None  # noqa: S101 - commands are for servers only
    guild_id, user_id = command.guild_id, command.member.user_id
    asked = window(period, command, server)
    bars = bars_of(recent(asked, CHART_MS), server.zone)
    questions = (
        standing(user_id),
        report_statements.own_channels(guild_id, user_id, asked, seen_to=sight.seen_to),
        report_statements.own_bars(guild_id, user_id, bars, seen_to=sight.seen_to),
        report_statements.own_running(guild_id, user_id, seen_to=sight.seen_to),
        report_statements.own_alone(guild_id, user_id, asked, seen_to=sight.seen_to),
    )

    def say(answers: Sequence[Rows]) -> str:
        who, channels, heights, running, alone = answers
        time = reports.voice_time(channels, heights, running, alone, asked, len(bars))
        title = _title(words, words("voice_time.own"), period, server)
        recorded = who and who[0]["opted_in"]
        notes = [
            "" if recorded else words("voice_time.not_recorded", opt_in=words("opt_in.name")),
            server.not_recorded(words) if time.running is None else "",
            server.removed(words, asked, command),
        ]
        if not time.sessions:
            return joined(title, words("report.nothing"), *notes, sight.note(words))
        notes.append(sight.note(words) if time.running is None else "")
        head = [title, _total(words, time.counted_ms, time.sessions), *_states(words, time, sight)]
        lines = [
            _line(words, channel(one.name, one.channel_id), one.counted_ms, one.sessions)
            for one in time.channels
            if one.counted_ms
        ]
        return fitting(words, "\n".join(head), lines, joined(chart(words, bars, time.bars, server.zone), *notes))

    return reading(questions, say, words("report.unread"), slow=True)


def _of(command: Command, words: Words, period: Period, server: Server, sight: Sight, user_id: int) -> Plan:
    """About somebody else: how long in all and in which channels, these as mentions, and no more."""
    assert command.guild_id is not None  # noqa: S101 - commands are for servers only
    asked = window(period, command, server)
    bars = bars_of(recent(asked, CHART_MS), server.zone)
    questions = (
        report_statements.shown_member(command.guild_id, user_id),
        report_statements.shown_channels(command.guild_id, user_id, asked, seen_to=sight.seen_to),
        report_statements.shown_bars(command.guild_id, user_id, bars, seen_to=sight.seen_to),
    )

    def say(answers: Sequence[Rows]) -> str:
        who, channels, heights = answers
        if not who:
            return words("voice_time.hidden")
        time = reports.shown_time(channels, heights, len(bars))
        title = _title(words, words("voice_time.of", name=harmless(who[0]["display_name"])), period, server)
        notes = joined(server.removed(words, asked, command), sight.note(words))
        if not time.sessions:
            return joined(title, words("report.nothing"), notes)
        head = joined(title, _total(words, time.counted_ms, time.sessions))
        lines = [_line(words, f"<#{one}>", counted_ms, sessions) for one, sessions, counted_ms in time.channels]
        return fitting(words, head, lines, joined(chart(words, bars, time.bars, server.zone), notes))

    return reading(questions, say, words("report.unread"), slow=True)


def _title(words: Words, title: str, period: Period, server: Server) -> str:
    return words("report.title", title=title, period=words(f"period.{period.value}"), zone=server.zone_name)


def _total(words: Words, counted_ms: int, sessions: int) -> str:
    return words("voice_time.total", time=duration(words, counted_ms), sessions=str(sessions))


def _line(words: Words, where: str, counted_ms: int, sessions: int) -> str:
    return words("voice_time.channel", channel=where, time=duration(words, counted_ms), sessions=str(sessions))


def _states(words: Words, time: reports.VoiceTime, sight: Sight) -> list[str]:
    """The states, what runs now, and what is not counted."""
    states = time.states
    lines = [
        words(
            "voice_time.states",
            muted=duration(words, states.muted_ms),
            deafened=duration(words, states.deafened_ms),
            alone=duration(words, states.alone_ms),
        )
    ]
    if time.running is not None:
        where, started_at, runs_to = time.running
        name = next((c.name for c in time.channels if c.channel_id == where), None)
        told = {"since": moment(started_at), "channel": channel(name, where), "until": moment(runs_to)}
        lines.append(words("voice_time.running_unseen" if sight.unseen else "voice_time.running", **told))
    if time.afk_ms:
        lines.append(words("voice_time.not_counted", time=duration(words, time.afk_ms)))
    return lines
