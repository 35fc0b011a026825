"""Reports whose names are as long and as hostile as Discord allows, in every language: they fit and do nothing."""

from __future__ import annotations

import re
from typing import Any

import pytest

from interactions_api import reply
from interactions_api.commands import BY_NAME
from interactions_api.interaction import Command, parse
from interactions_api.plan import Plan
from interactions_api.words import Catalogues
from tests.interactions_api.discord import ADA, body, command, snowflake

CATALOGUES = Catalogues.load()
HOUR = 3_600_000
NAMES = {
    "punctuation": "*_~`|>#@<:/.[]()" * 7,
    "mentions": "@everyone @here <@&53908232506183680> <@53908232506183680> <#1>" * 2,
    "right to left": "\u202e\u2067שלם" * 15,
    "emoji": "👩\u200d👩\u200d👧\u200d👦" * 15,
    "lines": "a\n# b\n> c\n```\n" * 9,
}


def rows(name: str, many: int = 40) -> dict[str, list[list[dict[str, Any]]]]:
    """Answers to what each report asks, full of the name."""
    ids = range(10**17, 10**17 + many)
    channels = [
        {
            "channel_id": n, "name": name[:100], "sessions": 10**6, "counted_ms": 10**12 + n, "afk_ms": HOUR,
            "muted_ms": 1, "deafened_ms": 1, "alone_ms": 1, "deleted_at": 5, "people": 10**6, "channels": 10**6,
        }
        for n in ids
    ]  # fmt: skip
    session = {
        "name": name[:100], "channel_id": 1, "in_window_ms": 10**12, "started_at": 10**13, "ended_at": 10**13 + 5,
        "ended_by": "not_recorded", "started_within_ms": 10**10, "ended_within_ms": 10**10, "afk": 1, "of_all": 10**6,
    }  # fmt: skip
    friend = {
        "user_id": 1, "display_name": name[:32], "together_ms": 10**12, "times": 10**6, "since": 10**13,
        "last": 10**13, "favourite_id": 1, "favourite_name": name[:100], "favourite_ms": 10**12, "people": 10**6,
    }  # fmt: skip
    running = {**channels[0], "started_at": 10**12, "runs_to": 10**12, "afk": 0, "flags": 31, "flags_at": 10**12}
    place = {"place": 10**6, "user_id": 1, "display_name": name[:32], "counted_ms": 10**12, "people": 10**6}
    return {
        "voice_time": [
            [{"display_name": name[:32], "opted_in": 0}],
            channels,
            [{"bar": 6, "counted_ms": 5}],
            [running],
            [{"alone_ms": 10**12}],
        ],
        "sessions": [[{**session, "ended_at": None, "runs_to": 10**13}, *[session] * 9]],
        "together": [[{"display_name": name}], [friend] * 10],
        "leaderboard": [[{"display_name": name}], [{**place, "own": 1}, *[{**place, "own": 0}] * 10]],
        "channel_time": [
            [
                *({**channel, "hour": None} for channel in channels),
                *({"hour": hour, "counted_ms": 10**12 + hour} for hour in range(168)),
            ]
        ],
    }


@pytest.mark.parametrize("language", sorted(CATALOGUES.words))
@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize(("report", "whose"), [*((report, "own") for report in rows("x")), ("voice_time", "another's")])
def test_every_report_fits_and_nothing_in_it_acts(report: str, whose: str, kind: str, language: str):
    """2000 characters, whoever counts; whole lines, the ends of which are there; nobody is mentioned."""
    options = {"member": str(ADA + 1)} if report == "voice_time" and whose == "another's" else {}
    interaction_id = snowflake(1_900_000_000_000)
    used = parse(body(command(report, options=options, members=[ADA + 1], interaction_id=interaction_id)))
    assert isinstance(used, Command)
    plan = BY_NAME[report].handle(used, CATALOGUES.words[language])
    assert isinstance(plan, Plan)
    thirty_days = [{"setting": "retention_days", "value": "30"}]
    unrecorded = [{"channel_id": 10**18 + n, "name": NAMES[kind][:100]} for n in range(500)]
    plan = plan.stored([thirty_days, unrecorded, [{"mark": 10**12, "told": 1}]])
    assert isinstance(plan, Plan)
    answers = rows(NAMES[kind])[report]
    said = plan.stored(answers[:3] if whose == "another's" else answers)
    assert isinstance(said, (str, reply.Message))
    content = said if isinstance(said, str) else said.content
    assert reply.length(content) <= reply.CONTENT_LIMIT
    assert not content.endswith("…")
    assert content.count("\u2068") == content.count("\u2069")
    assert content.count("```") in (0, 2)
    unescaped = re.sub(r"\\.", "", content)
    assert not re.search(r"@|<&|\|\||://", unescaped)
    assert re.findall(r"<[^t#].", unescaped) == []


@pytest.mark.parametrize("language", sorted(CATALOGUES.words))
def test_settings_fit_below_a_question_however_many_channels_are_not_recorded(language: str):
    """The question and its buttons are whole; of the channels as many as fit."""
    used = command("settings", interaction_id=snowflake(1_900_000_000_000))
    used["member"]["permissions"] = str(1 << 5)
    used["data"]["options"] = [
        {"name": "retention_days", "type": 4, "value": 3650},
        {"name": "leaderboard", "type": 3, "value": "off"},
    ]
    parsed = parse(body(used))
    assert isinstance(parsed, Command)
    plan = BY_NAME["settings"].handle(parsed, CATALOGUES.words[language])
    assert isinstance(plan, Plan)
    changing = plan.stored([[], [{"sessions": 10**6, "oldest_at": 10**12}]])
    assert isinstance(changing, Plan)
    assert len(changing.records) == 1
    zone = {"setting": "time_zone", "value": "America/Argentina/ComodRivadavia"}
    said = changing.stored(
        [[zone], [{"channel_id": 10**18 + n, "name": NAMES["punctuation"][:100]} for n in range(500)]]
    )
    assert isinstance(said, reply.Message)
    assert reply.length(said.content) <= reply.CONTENT_LIMIT
    assert not said.content.endswith("…")
    assert len(said.buttons) == 2
    for sentence in (changing.sentences.kept, changing.sentences.unread):
        assert isinstance(sentence, reply.Message)
        assert sentence.content.startswith(said.content.partition("\n")[0])
        assert sentence.buttons == said.buttons
