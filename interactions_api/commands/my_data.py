"""`/my_data`: everything stored about the person as one zip, which `python -m db_client.import_person` reads back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from db_client import report_statements
from db_client.export import Person, zip_of
from db_client.person_rules import Broken, check
from db_client.snowflake import created_at
from interactions_api.commands.definition import slash_command
from interactions_api.interaction import Command
from interactions_api.plan import Ask, File, Later, Next, Plan, Rows, reading
from interactions_api.words import Catalogues, Words

NAME = "my_data"
AT_A_TIME = 2000
ATTEMPTS = 3
"""A row that fits nowhere, however often it is read, is the person's all the same and is sent."""


def definition(catalogues: Catalogues) -> dict[str, Any]:
    """No options."""
    return slash_command(catalogues, NAME)


def handle(command: Command, words: Words) -> Plan:
    """Looks first whether there is anything, and the service answers: only then a file is promised."""
    user_id, made_at = command.member.user_id, created_at(command.id)

    def say(answers: Sequence[Rows]) -> Next:
        [[counts]] = answers
        if not (counts["profiles"] or counts["sessions"] or counts["decisions"]):
            return words("my_data.nothing")
        return Later(
            make=lambda ask: _file(ask, user_id, made_at, words),
            too_large=words("my_data.too_large"),
            failed=words("my_data.failed"),
            busy=words("my_data.busy"),
        )

    return reading((report_statements.person_counts(user_id),), say, words("report.unread"))


def _file(ask: Ask, user_id: int, made_at: int, words: Words) -> File:
    person = _whole_person(ask, user_id, made_at)
    day = datetime.fromtimestamp(made_at / 1000, timezone.utc)
    content = words("my_data.ready", sessions=str(len(person.sessions)), decisions=str(len(person.decisions)))
    return File(content, f"my_data_{day:%Y-%m-%d}.zip", zip_of(person, made_at))


def _whole_person(ask: Ask, user_id: int, made_at: int) -> Person:
    """The person's rows, read again if something was written meanwhile: an import would refuse what does not fit."""
    for _ in range(ATTEMPTS):
        person = _person(ask, user_id)
        try:
            check(person, made_at)
        except Broken:
            continue
        break
    return person


def _person(ask: Ask, user_id: int) -> Person:
    """The person's rows; the sessions, of which there may be many, a few thousand at a time."""
    sessions: Rows = []
    while True:
        last = sessions[-1] if sessions else None
        after = (last["guild_id"], last["started_at"], last["session_id"]) if last else (0, 0, "")
        [page] = ask(report_statements.person_sessions(user_id, after=after, limit=AT_A_TIME))
        sessions += page
        if len(page) < AT_A_TIME:
            break
    profile, decisions, visible_on, totals, guilds, channels = ask(
        report_statements.person_profile(user_id),
        report_statements.person_decisions(user_id),
        report_statements.person_visible_on(user_id),
        report_statements.person_totals(user_id),
        report_statements.person_guilds(user_id),
        report_statements.person_channels(user_id),
    )
    return Person(user_id, profile, decisions, visible_on, sessions, totals, guilds, channels)
