"""A server's own settings, as its managers decided them, and the reports that need them first. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
from zoneinfo import ZoneInfo

from db_client.periods import DAY_MS, DEFAULT_ZONE, Period, UnknownZone, Window, window_of, zone_named
from db_client.reading_statements import guild_settings, unrecorded_in_guild
from db_client.snowflake import created_at
from interactions_api.interaction import Command, Interaction
from interactions_api.plan import Next, Plan, Rows, reading
from interactions_api.telling import in_days, mentions
from interactions_api.words import Words


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


def report(interaction: Interaction, words: Words, plan: Callable[[Server], Next]) -> Plan:
    """A report in two steps: the server's settings, then what `plan` makes of them."""
    assert interaction.guild_id is not None  # noqa: S101 - commands are for servers only
    questions = (guild_settings(interaction.guild_id), unrecorded_in_guild(interaction.guild_id))
    return reading(questions, lambda answers: plan(Server.of(*answers)), words("report.unread"))


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
