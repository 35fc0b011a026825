"""A shorter retention removes data for good: what it would remove, and the buttons that ask first. Pure."""

from __future__ import annotations

from db_client.periods import DAY_MS
from db_client.statements import Statement
from db_client.upkeep_statements import past_sessions
from interactions_api.plan import Rows
from interactions_api.reply import Button, Message, Style, moment
from interactions_api.telling import in_days
from interactions_api.words import Words

MOST_DAYS = 3650
CONFIRM_S = 300
KEEP = "keep"
MOST_COUNTED = 10_000


def what_would_go(guild_id: int, days: int, now: int) -> Statement:
    """Asks what is older than that many days at `now` (ms since 1970 UTC), counted as far as the question tells."""
    return past_sessions(guild_id, now - days * DAY_MS, most=MOST_COUNTED + 1)


def question(words: Words, action: str, days: int, now: int, would_go: Rows) -> Message | None:
    """Asks whether that is really to go; None if nothing would. The argument of the button that removes is `days`."""
    [row] = would_go
    if not row["sessions"]:
        return None
    many = row["sessions"] > MOST_COUNTED
    text = words(
        "settings.shorten.question",
        days=in_days(words, days),
        before=moment(now - days * DAY_MS),
        sessions=words("settings.shorten.more_than", number=str(MOST_COUNTED)) if many else str(row["sessions"]),
        oldest=moment(row["oldest_at"]),
    )
    confirm = Button(words("settings.shorten.confirm"), action, str(days), Style.DANGER, valid_s=CONFIRM_S)
    return Message(text, (confirm, Button(words("settings.shorten.keep"), action, KEEP, valid_s=CONFIRM_S)))


def days_of(value: object) -> int | None:
    """The number of days (0: for ever) that an option or a button's argument holds; None if it is none."""
    days = int(value) if isinstance(value, str) and value.isascii() and value.isdecimal() else value
    return days if type(days) is int and 0 <= days <= MOST_DAYS else None
