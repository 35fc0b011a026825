"""A server's own settings, as its managers decided them, and the reports that need them first. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple
from zoneinfo import ZoneInfo

from db_client.periods import DAY_MS, DEFAULT_ZONE, Period, UnknownZone, Window, window_of, zone_named
from db_client.reading_statements import guild_settings, unrecorded_in_guild
from db_client.report_statements import guild_sight
from db_client.report_windows import seen_to
from db_client.snowflake import created_at
from interactions_api.interaction import Command, Interaction
from interactions_api.plan import Next, Plan, Rows, reading
from interactions_api.reply import moment
from interactions_api.telling import in_days, mentions
from interactions_api.words import Words


class Sight(NamedTuple):
    """How far the bot saw a server: running sessions count up to `seen_to`; `unseen`: that is not now, and is told."""

    seen_to: int
    unseen: bool

    @classmethod
    def of(cls, rows: Rows, now: int) -> Sight:
        """From the row of `guild_sight`."""
        [row] = rows
        to = seen_to(row["mark"], now)
        return cls(to, to < now and bool(row["told"]))

    def note(self, words: Words) -> str:
        """Since when the bot has not seen the server, and what that means for the numbers; nothing while it does."""
        if not self.unseen:
            return ""
        return words("report.unseen", since=moment(self.seen_to)) if self.seen_to else words("report.never_seen")


class Server(NamedTuple):
    """The settings that stand; what nobody decided has its default. `unrecorded`: channels in which nobody is."""

    zone: ZoneInfo
    zone_name: str
    leaderboard: bool
    retention_days: int | None
    unrecorded: tuple[int, ...]

    @classmethod
    def of(cls, rows: Rows, unrecorded: Rows) -> Server:
        """From the rows of `guild_settings` and `unrecorded_in_guild`."""
        values = {row["setting"]: row["value"] for row in rows if row["value"] is not None}
        name = values.get("time_zone", DEFAULT_ZONE)
        try:
            zone = zone_named(name)
        except UnknownZone:  # it was known when it was chosen, to another version of the database
            zone, name = zone_named(DEFAULT_ZONE), DEFAULT_ZONE
        kept_for = values.get("retention_days")
        return cls(
            zone,
            name,
            values.get("leaderboard") != "off",
            int(kept_for) if kept_for else None,
            tuple(row["channel_id"] for row in unrecorded),
        )

    def removed(self, words: Words, asked: Window, interaction: Interaction) -> str:
        """That sessions are gone, where what is asked for reaches back beyond the retention; else nothing."""
        if self.retention_days is None or asked.from_at >= created_at(interaction.id) - self.retention_days * DAY_MS:
            return ""
        return words("report.removed", days=in_days(words, self.retention_days))

    def not_recorded(self, words: Words) -> str:
        """In which channels nobody is recorded, if there are any."""
        return words("report.unrecorded", channels=mentions(words, self.unrecorded)) if self.unrecorded else ""


def report(
    interaction: Interaction, words: Words, plan: Callable[[Server, Sight], Next], *, public: bool = False
) -> Plan:
    """A report in two steps: the server's settings and how far it was seen, then what `plan` makes of them.

    A `public` one says nothing that only the person who asks may know.
    """
    assert interaction.guild_id is not None  # noqa: S101 - commands are for servers only
    viewer = 0 if public else interaction.member.user_id
    guild_id, now = interaction.guild_id, created_at(interaction.id)

    def go_on(answers: Sequence[Rows]) -> Next:
        settings, unrecorded, sight = answers
        return plan(Server.of(settings, unrecorded), Sight.of(sight, now))

    questions = (guild_settings(guild_id), unrecorded_in_guild(guild_id), guild_sight(guild_id, viewer))
    return reading(questions, go_on, words("report.unread"))


def chosen_period(command: Command, default: Period) -> Period | None:
    """The option `period`; None for one that is not offered."""
    return period_named(str(command.options.get("period", default.value)))


def chosen_channel(command: Command, name: str) -> int | None:
    """The channel that is chosen by the option; None if none is, or one that Discord does not show to the person."""
    value = command.options.get(name)
    return next((channel for channel in command.channels if str(channel) == value), None)


def period_named(value: str) -> Period | None:
    """The period of that value; None if there is none."""
    return next((period for period in Period if period.value == value), None)


def window(period: Period, interaction: Interaction, server: Server) -> Window:
    """The period up to the moment of the interaction, in the server's time zone.

    Discord's clock made the interaction's id, so a repeated request gets the same answer.
    """
    return window_of(period, created_at(interaction.id), server.zone)
