"""Who sees a person's time, how to leave, and whom to ask, in the words of `/opt_in` and `/privacy`. Pure."""

from __future__ import annotations

import json

from db_client.records import EVERY_GUILD
from interactions_api.commands.deciding import Standing
from interactions_api.reply import moment
from interactions_api.telling import joined
from interactions_api.words import Words


def where_shown(words: Words, row: Standing, guild_id: int | None, now: int) -> str:
    """Who sees the time of somebody who opted in, and from when on: on the guild, if it is asked on one, and elsewhere.

    `now` is the moment (ms since 1970 UTC) of which is said that it is now.
    """
    shown: dict[int, int] = dict(json.loads(row["shown"]))
    lines = []
    if guild_id is not None:
        here = [shown[guild] for guild in (EVERY_GUILD, guild_id) if guild in shown]
        lines.append(words("shown.here", when=_when(words, min(here), now)) if here else words("shown.nobody_here"))
    others = [shown_from for guild, shown_from in shown.items() if guild not in (EVERY_GUILD, guild_id)]
    if EVERY_GUILD in shown:
        lines.append(words("shown.everywhere", when=_when(words, shown[EVERY_GUILD], now)))
        longer = sum(shown_from < shown[EVERY_GUILD] for shown_from in others)
        lines.append(words("shown.longer", number=str(longer)) if longer else "")
    elif others:
        lines.append(words("shown.elsewhere", number=str(len(others))))
    else:
        lines.append(words("shown.nowhere_else" if guild_id else "shown.nowhere"))
    return joined(*lines)


def leaving(words: Words, *, more: str = "") -> str:
    """How to leave, where more is said (`more`, where there is no page for it), and who runs the bot."""
    url, contact = words.operator
    commands = {name: words(f"{name}.name") for name in ("opt_out", "erase_me", "my_data")}
    return joined(
        words("leaving.commands", **commands),
        words("leaving.page", url=f"<{url}>") if url else more,
        words("leaving.contact", contact=contact) if contact else words("leaving.no_contact"),
    )


def _when(words: Words, shown_from: int, now: int) -> str:
    if shown_from == 0:
        return words("shown.all")
    return words("shown.now") if shown_from == now else words("shown.since", since=moment(shown_from))
