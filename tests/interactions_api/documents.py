"""`docs/commands.md`, made of the definitions that are registered and of real replies to a story."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any

from interactions_api.commands import definitions
from interactions_api.words import Catalogues
from tests.interactions_api.study_room import DAY, HOUR, MINUTE, StudyRoom
from tests.waiting import eventually

NOW = int(datetime(2026, 3, 31, 18, 40, tzinfo=timezone.utc).timestamp() * 1000)
"""A Tuesday evening, two days after Berlin set its clocks forward."""

HEAD = """# Commands

What members and managers of a server can ask of the bot, each with a real reply: this page is made, and kept true, by
`tests/interactions_api/test_documents.py`.

- Replies are seen only by the person who asked, unless something else is said, and mention nobody.
- Commands and replies come in the language of the person's Discord, English or German so far: `/voice_time` is
  `/sprachzeit` there. A further language is a further file in `interactions_api/locales`.
- `/opt_out`, `/my_data`, `/erase_me` and `/privacy` work in direct messages with the bot too, also for somebody who
  left every server with it or was banned: such a person adds the bot to their account first (*Add App* on its profile).
- Periods are today, yesterday, this week (from Monday), last 7 days, this month, last 30 days, this year and all, cut
  at the midnights of the server's time zone, also on days of 23 and 25 hours.
- They are answered by the HTTP endpoint, so they work while the gateway listener is down. While the storage is down,
  decisions are kept on disk and said to be kept, and reports say that they have to wait.
- A stay that is under way counts for as long as the bot sees the server. While it does not (its listener is down, or
  Discord has an outage), that stay counts up to the moment at which the bot last saw the server, and reports say so.
- Dates are shown by Discord in each reader's own time zone and language; here they are in UTC.
"""
BUTTONS = """## Buttons

A button works for the person it was made for and nobody else. A button that removes data works for five minutes, all
others for a day. One that is too old, was pressed by somebody else, or was not made by this bot does nothing and says
so.
"""


def document(room: StudyRoom) -> str:
    """The whole page."""
    sections = [HEAD]
    examples = _examples(room)
    for definition in definitions(Catalogues.load()):
        sections.append(_section(definition, examples[definition["name"]]))
    return "\n".join([*sections, BUTTONS])


def _section(definition: dict[str, Any], examples: list[tuple[str, str]]) -> str:
    usage = " ".join([f"/{definition['name']}", *(f"[{option['name']}]" for option in definition["options"])])
    lines = [f"## `{usage}`", "", f"{definition['description']}. German: `/{definition['name_localizations']['de']}`."]
    lines += ["", *(f"- `{option['name']}`: {_option(option)}" for option in definition["options"])]
    for used, reply in examples:
        lines += ["", f"`{used}`", "", "````text", reply, "````"]
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def _option(option: dict[str, Any]) -> str:
    choices = [choice["name"] for choice in option.get("choices", [])]
    return option["description"] + (f": {', '.join(choices)}" if choices else "")


def _examples(room: StudyRoom) -> dict[str, list[tuple[str, str]]]:
    """For each command, how it was used and what came."""
    examples: dict[str, list[tuple[str, str]]] = {}
    names: dict[int, str] = {}

    def show(user: int, command: str, **options: Any) -> Any:
        outcome = room.use(command, user, **options)
        given = "".join(f" {key}: {_given(value, names)}" for key, value in options.items() if key[0] != "_")
        examples.setdefault(command, []).append((f"/{command}{given}", _shown(outcome, names)))
        return outcome

    ada, ben, cleo = _tell(room, names)
    show(ada, "settings", _permissions=1 << 5, time_zone="Europe/Berlin", retention_days=730)
    show(ada, "voice_time", period="last_7_days")
    show(ada, "voice_time", member=ben, period="this_month")
    show(ada, "voice_time", member=cleo)
    room.seen(12 * MINUTE)
    show(ada, "voice_time", period="today")
    room.seen(0)
    show(ada, "sessions", period="this_week")
    show(ada, "leaderboard")
    show(cleo, "leaderboard", period="this_week")
    show(ada, "together")
    show(ben, "channel_time")
    outcome = show(ada, "my_data")
    message = eventually(lambda: _with_file(room, outcome.id), what="the file arrives")
    examples["my_data"][-1] = ("/my_data", f"{_plain(message['content'], names)}\n📎 {_file_of(message)}")
    show(cleo, "opt_in", visibility="server")
    show(cleo, "privacy")
    show(cleo, "opt_out")
    asked = show(cleo, "erase_me")
    receipt = room.press(asked.custom_ids[0], cleo, message=asked)
    examples["erase_me"].append(("Erase everything", _shown(receipt, names)))
    show(ada, "settings", _permissions=1 << 5, retention_days=7)
    return examples


def _tell(room: StudyRoom, names: dict[int, str]) -> tuple[int, int, int]:
    """Two weeks of three people in two channels."""
    desk, lounge, afk = room.channel("Desk"), room.channel("Lounge"), room.channel("AFK")
    ada, ben, cleo = room.person("Ada"), room.person("Ben"), room.person("Cleo", "only_me")
    names.update({desk: "Desk", lounge: "Lounge", afk: "AFK", ada: "Ada", ben: "Ben", cleo: "Cleo"})
    for day in range(1, 14):
        length = (40 + 37 * day % 90) * MINUTE
        began = day * DAY + (day % 3) * HOUR
        room.session(ada, desk, began, began - length, muted_ms=length // 5)
        if day % 2:
            room.session(ben, desk, began - 10 * MINUTE, began - 10 * MINUTE - length)
        if day % 4 == 1:
            room.session(ada, lounge, began - length, began - length - 25 * MINUTE, started_by="switched")
        if day % 5 == 1:
            room.session(cleo, lounge, began, began - 3 * HOUR)
    room.session(
        ada, lounge, 9 * HOUR, 8 * HOUR, ended_by="roll_call", ended_within_ms=41_000
    )  # fmt: skip
    room.session(ada, afk, 8 * HOUR, 7 * HOUR + 15 * MINUTE, started_by="switched", afk=True)
    room.session(ada, desk, 25 * MINUTE, None)
    return ada, ben, cleo


def _with_file(room: StudyRoom, outcome: int) -> Any:
    [message] = room.discord.messages(outcome)
    return message if message["attachments"] else None


def _file_of(message: dict[str, Any]) -> str:
    name: str = message["attachments"][0]["filename"]
    return name


def _given(value: Any, names: dict[int, str]) -> str:
    return names.get(value, str(value)) if isinstance(value, int) and value > 10**6 else str(value)


def _shown(outcome: Any, names: dict[int, str]) -> str:
    rows = outcome.data.get("components") or []
    buttons = [f"[ {button['label']} ]" for row in rows for button in row["components"]]
    return "\n".join([_plain(outcome.content, names), *([" ".join(buttons)] if buttons else [])])


def _plain(content: str, names: dict[int, str]) -> str:
    """As a person reads it: names of channels, dates; ids differ from run to run."""
    content = re.sub(
        r"<t:(\d+):f>", lambda at: f"{datetime.fromtimestamp(int(at[1]), timezone.utc):%d %b %Y %H:%M}", content
    )
    content = re.sub(r"<#(\d+)>", lambda channel: f"#{names[int(channel[1])]}", content)
    return re.sub(r"\d{17,20}", "1488612345678901234", re.sub("[\u2068\u2069]", "", content))
