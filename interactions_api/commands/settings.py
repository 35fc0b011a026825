"""`/settings`: what the managers of a server decide about recording and reports on it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from db_client.periods import zone_names
from db_client.reading_statements import guild_settings, unrecorded_in_guild
from db_client.records import ChannelRecording, GuildSetting, Record, Setting
from db_client.snowflake import created_at
from interactions_api.commands import retention
from interactions_api.commands.definition import INTEGER, STRING, channel_option, option, slash_command, text_option
from interactions_api.interaction import Autocomplete, Command, Component, Interaction
from interactions_api.plan import Plan, Rows, Say, Sentences, reading
from interactions_api.reply import CHOICES_LIMIT, Message, harmless
from interactions_api.server import Server, chosen_channel
from interactions_api.telling import fitting, in_days
from interactions_api.words import Catalogues, Words

NAME = "settings"
ADMINISTRATOR, MANAGE_GUILD = 1 << 3, 1 << 5
ON_OFF = ("on", "off")
PLAIN = Message("")
USUAL_ZONES = (
    *("UTC", "Europe/Berlin", "Europe/London", "Europe/Paris", "Europe/Madrid", "Europe/Warsaw", "Europe/Kyiv"),
    *("Europe/Istanbul", "Europe/Moscow", "Africa/Cairo", "Africa/Lagos", "Africa/Johannesburg", "Asia/Kolkata"),
    *("Asia/Shanghai", "Asia/Tokyo", "Asia/Seoul", "Asia/Singapore", "Asia/Dubai", "Australia/Sydney"),
    *("America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles", "America/Sao_Paulo"),
    "America/Mexico_City",
)


def definition(catalogues: Catalogues) -> dict[str, Any]:
    """Discord hides the command from those without Manage Server unless the server's owner decides otherwise."""
    options = [
        option(catalogues, "settings.time_zone", "time_zone", STRING, autocomplete=True),
        channel_option(catalogues, "settings.do_not_record", "do_not_record"),
        channel_option(catalogues, "settings.record", "record"),
        option(
            catalogues, "settings.retention_days", "retention_days", INTEGER, min_value=0, max_value=retention.MOST_DAYS
        ),
        text_option(catalogues, "settings.leaderboard", "leaderboard", ON_OFF),
    ]
    return {**slash_command(catalogues, NAME, options), "default_member_permissions": str(MANAGE_GUILD)}


def suggest(typed: Autocomplete) -> Sequence[tuple[str, str]]:
    """Time zones that hold what was typed, those first of which a part begins with it."""
    text = str(typed.options.get("time_zone", "")).strip().lower().replace(" ", "_")
    if not text:
        return [(name, name) for name in USUAL_ZONES]
    found = [name for name in zone_names() if text in name.lower()]
    begins = [name for name in found if any(part.startswith(text) for part in name.lower().split("/"))]
    rest = [name for name in found if name not in begins]
    return [(name, name) for name in [*begins, *rest][:CHOICES_LIMIT]]


def handle(command: Command, words: Words) -> Plan | Say:
    """Changes what is given and shows what stands; asks first where a shorter retention would remove sessions.

    Who may is looked at here, on every call: what Discord shows to whom, a server's owner can change.
    """
    if not _may(command):
        return Say(words("settings.not_allowed"))
    records = _records(command, words)
    if isinstance(records, Say):
        return records
    assert command.guild_id is not None  # noqa: S101 - commands are for servers only
    guild_id, now = command.guild_id, created_at(command.id)
    days = retention.days_of(command.options.get("retention_days"))
    if not days:
        return _change(guild_id, records, words)

    def ask_or_change(answers: Sequence[Rows]) -> Plan | Message:
        settings, would_go = answers
        kept_for = Server.of(settings, []).retention_days
        shorter = kept_for is None or days < kept_for
        question = retention.question(words, NAME, days, now, would_go) if shorter else None
        if question is None:
            return _change(guild_id, records, words)
        others = [record for record in records if not _is_retention(record)]
        return _change(guild_id, others, words, question) if others else question

    questions = (guild_settings(guild_id), retention.what_would_go(guild_id, days, now))
    return reading(questions, ask_or_change, words("settings.shorten.unread"))


def press(component: Component, argument: str, words: Words) -> Plan | Say:
    """Shortens the retention by the days in the argument, or leaves it; for those who still may."""
    if not _may(component):
        return Say(words("settings.not_allowed"))
    if argument == retention.KEEP:
        return Say(Message(words("settings.shorten.nothing_removed"), replaces=True))
    days = retention.days_of(argument)
    if component.guild_id is None or not days:
        return Say(words("unknown_component"))
    record = GuildSetting(component.id, component.guild_id, "retention_days", str(days))
    return _change(component.guild_id, [record], words, PLAIN._replace(replaces=True))


def _may(interaction: Interaction) -> bool:
    return bool(interaction.member.permissions & (ADMINISTRATOR | MANAGE_GUILD))


def _is_retention(record: Record) -> bool:
    return isinstance(record, GuildSetting) and record.setting == "retention_days"


def _change(guild_id: int, records: Sequence[Record], words: Words, around: Message = PLAIN) -> Plan:
    """Keeps the records and shows what stands, below what `around` says and with its buttons."""

    def say(text: str) -> Message:
        return around._replace(content=f"{around.content}\n\n{text}" if around.content else text)

    unread = say(words("settings.unread", settings=words("settings.name"))) if records else words("report.unread")
    return Plan(
        records=tuple(records),
        questions=(guild_settings(guild_id), unrecorded_in_guild(guild_id)),
        stored=partial(_what_stands, words, say(words("settings.stored" if records else "settings.title"))),
        sentences=Sentences(
            kept=say(words("settings.kept")),
            refused=Message(words("settings.refused"), replaces=around.replaces),
            not_kept=words("settings.not_kept"),
            unread=unread,
        ),
    )


def _records(command: Command, words: Words) -> list[Record] | Say:
    """What is to be changed; or, if any of it is not possible, why nothing is."""
    assert command.guild_id is not None  # noqa: S101 - commands are for servers only
    guild_id, records = command.guild_id, list[Record]()

    def decide(setting: Setting, value: str | None) -> None:
        records.append(GuildSetting(command.id, guild_id, setting, value))

    options = command.options
    if "time_zone" in options:
        zone = next((name for name in zone_names() if name.lower() == str(options["time_zone"]).lower()), None)
        if zone is None:
            return Say(words("settings.unknown_zone"))
        decide("time_zone", zone)
    if "leaderboard" in options:
        if options["leaderboard"] not in ON_OFF:
            return Say(words("unknown_choice"))
        decide("leaderboard", str(options["leaderboard"]))
    if "retention_days" in options:
        days = retention.days_of(options["retention_days"])
        if days is None:
            return Say(words("unknown_choice"))
        decide("retention_days", str(days) if days else None)
    if "record" in options and options.get("do_not_record") == options["record"]:
        return Say(words("settings.both"))
    for name, recorded in (("do_not_record", False), ("record", True)):
        if name in options:
            channel = chosen_channel(command, name)
            if channel is None:
                return Say(words("unknown_choice"))
            called = None if recorded else command.channels[channel]
            records.append(ChannelRecording(command.id, guild_id, channel, recorded, called))
    return records


def _what_stands(words: Words, title: Message, answers: Sequence[Rows]) -> Message:
    settings, unrecorded = answers
    server = Server.of(settings, unrecorded)
    kept_for = server.retention_days
    head = [
        title.content,
        words("settings.show.time_zone", zone=server.zone_name),
        words(
            "settings.show.leaderboard", choice=words(f"settings.leaderboard.{'on' if server.leaderboard else 'off'}")
        ),
        words("settings.show.retention", days=in_days(words, kept_for))
        if kept_for
        else words("settings.show.no_retention"),
        words("settings.show.unrecorded" if unrecorded else "settings.show.all_recorded"),
    ]
    channels = [_unrecorded(row) for row in unrecorded]
    return title._replace(content=fitting(words, "\n".join(head), channels))


def _unrecorded(row: dict[str, Any]) -> str:
    """The mention of a deleted channel says nothing: the name that was stored with the decision stands beside it."""
    mention = f"- <#{row['channel_id']}>"
    return f"{mention} ({harmless(row['name'])})" if row["name"] else mention
