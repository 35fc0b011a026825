"""`/settings`: what the managers of a server decide about recording and reports on it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from db_client.periods import zone_names
from db_client.reading_statements import guild_settings, unrecorded_in_guild
from db_client.records import ChannelRecording, GuildSetting, Record, Setting
from interactions_api.commands.definition import INTEGER, STRING, channel_option, option, slash_command, text_option
from interactions_api.interaction import Autocomplete, Command
from interactions_api.plan import Plan, Rows, Say, Sentences
from interactions_api.reply import CHOICES_LIMIT
from interactions_api.server import Server
from interactions_api.telling import fitting
from interactions_api.words import Catalogues, Words

NAME = "settings"
ADMINISTRATOR, MANAGE_GUILD = 1 << 3, 1 << 5
MOST_DAYS = 3650
ON_OFF = ("on", "off")
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
        option(catalogues, "settings.retention_days", "retention_days", INTEGER, min_value=0, max_value=MOST_DAYS),
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
    """Who may is looked at here, on every call: what Discord shows to whom, a server's owner can change."""
    if not command.member.permissions & (ADMINISTRATOR | MANAGE_GUILD):
        return Say(words("settings.not_allowed"))
    records = _records(command, words)
    if isinstance(records, Say):
        return records
    assert command.guild_id is not None  # noqa: S101 - commands are for servers only
    return Plan(
        records=tuple(records),
        questions=(guild_settings(command.guild_id), unrecorded_in_guild(command.guild_id)),
        stored=partial(_what_stands, words, bool(records)),
        sentences=Sentences(
            kept=words("settings.kept"),
            refused=words("settings.refused"),
            not_kept=words("settings.not_kept"),
            unread=words("settings.unread", settings=words("settings.name")) if records else words("report.unread"),
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
        days = options["retention_days"]
        if type(days) is not int or not 0 <= days <= MOST_DAYS:
            return Say(words("unknown_choice"))
        decide("retention_days", str(days) if days else None)
    if "record" in options and options.get("do_not_record") == options["record"]:
        return Say(words("settings.both"))
    for name, recorded in (("do_not_record", False), ("record", True)):
        if name in options:
            channel = str(options[name])
            if not channel.isdecimal() or not 0 < int(channel) < 2**63:
                return Say(words("unknown_choice"))
            records.append(ChannelRecording(command.id, guild_id, int(channel), recorded))
    return records


def _what_stands(words: Words, changed: bool, answers: Sequence[Rows]) -> str:
    settings, unrecorded = answers
    server = Server.of(settings)
    days = server.retention_days
    head = [
        words("settings.stored" if changed else "settings.title"),
        words("settings.show.time_zone", zone=server.zone_name),
        words(
            "settings.show.leaderboard", choice=words(f"settings.leaderboard.{'on' if server.leaderboard else 'off'}")
        ),
        words("settings.show.retention", days=str(days)) if days else words("settings.show.no_retention"),
        words("settings.show.unrecorded" if unrecorded else "settings.show.all_recorded"),
    ]
    return fitting(words, "\n".join(head), [f"- <#{row['channel_id']}>" for row in unrecorded])
