"""The HTTP API on the wire."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.simulated_discord import SimulatedDiscord
from tests.simulated_discord.command_rules import characters, problems_with, valid_name
from tests.simulated_discord.form import nested
from tests.simulated_discord_tests.endpoint import Endpoint

USER_AGENT = "DiscordBot (https://github.com/example/bot, 1.0)"
COMMAND = {"name": "opt_in", "description": "Have your voice time recorded"}


@pytest.fixture
async def http(discord: SimulatedDiscord) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"User-Agent": USER_AGENT, "Authorization": f"Bot {discord.bot_token}"}
    async with aiohttp.ClientSession(discord.api_url + "/", headers=headers) as session:
        yield session


async def call(http: aiohttp.ClientSession, method: str, path: str, **more: Any) -> tuple[int, Any]:
    async with http.request(method, path, **more) as response:
        text = await response.text()
        if text:
            assert response.headers["Content-Type"] == "application/json"
        return response.status, json.loads(text) if text else None


async def test_only_the_bot_is_let_in_and_only_with_a_proper_user_agent(
    discord: SimulatedDiscord, http: aiohttp.ClientSession
) -> None:
    """401 for another token, 403 for a library's default User-Agent, 404 for a path that is not there."""
    assert (await call(http, "GET", "users/@me"))[1]["id"] == str(discord.application_id)
    assert await call(http, "GET", "users/@me", headers={"Authorization": "Bot x"}) == (
        401,
        {"message": "401: Unauthorized", "code": 0},
    )
    assert (await call(http, "GET", "users/@me", headers={"User-Agent": "python-requests/2"}))[0] == 403
    assert (await call(http, "GET", "users/@you"))[0] == 404
    assert (await call(http, "DELETE", "users/@me"))[0] == 405


async def test_the_application_and_the_gateway_are_described(
    discord: SimulatedDiscord, http: aiohttp.ClientSession
) -> None:
    """The public key is the one that interactions are signed with."""
    for path in ("applications/@me", "oauth2/applications/@me"):
        assert (await call(http, "GET", path))[1]["verify_key"] == discord.public_key
    assert (await call(http, "GET", "gateway"))[1] == {"url": discord.gateway_url}
    assert (await call(http, "GET", "gateway/bot"))[1]["session_start_limit"]["remaining"] == 1000


async def test_a_429_says_when_to_come_again(discord: SimulatedDiscord, http: aiohttp.ClientSession) -> None:
    """As many times as was said; `Via` tells Discord's from Cloudflare's. And any status on demand."""
    discord.faults.rate_limit = 1
    async with http.get("gateway") as response:
        assert (response.status, response.headers["Via"], response.headers["Retry-After"]) == (429, "1.1 google", "1")
        assert (await response.json())["retry_after"] > 0
    assert (await call(http, "GET", "gateway"))[0] == 200
    discord.faults.api_status = 502
    async with http.get("gateway") as response:
        assert response.status == 502


async def test_the_voice_state_of_one_person(discord: SimulatedDiscord, http: aiohttp.ClientSession) -> None:
    """10065 when he is not in voice, 50013 where the bot may not look, 10004 for a guild in which it is not."""
    guild, ada = discord.add_guild(), discord.add_user()
    path = f"guilds/{guild}/voice-states/{ada}"
    assert (await call(http, "GET", path))[1]["code"] == 10065
    desk = discord.add_channel(guild)
    discord.join(ada, desk)
    assert (await call(http, "GET", path))[1]["channel_id"] == str(desk)
    discord.hide_channel(desk)
    assert await call(http, "GET", path) == (403, {"message": "Missing Permissions", "code": 50013})
    discord.hide_channel(desk, hidden=False)
    assert (await call(http, "GET", path))[0] == 200
    discord.leave(ada)
    assert await call(http, "GET", path) == (404, {"message": "Unknown Voice State", "code": 10065})
    discord.remove_guild(guild)
    assert (await call(http, "GET", path))[1]["code"] == 10004


async def test_a_guild_is_shown_to_the_bot_that_is_in_it(
    discord: SimulatedDiscord, http: aiohttp.ClientSession
) -> None:
    """50001 when it was removed, 10004 when there is no such guild."""
    guild = discord.add_guild("Study room")
    status, shown = await call(http, "GET", f"guilds/{guild}")
    assert (status, shown["id"], shown["name"]) == (200, str(guild), "Study room")
    discord.remove_guild(guild)
    assert [(await call(http, "GET", f"guilds/{there}")) for there in (guild, 4711)] == [
        (403, {"message": "Missing Access", "code": 50001}),
        (404, {"message": "Unknown Guild", "code": 10004}),
    ]


# Commands


async def test_a_bulk_overwrite_replaces_everything_and_keeps_ids(
    discord: SimulatedDiscord, http: aiohttp.ClientSession
) -> None:
    """200 with the list; a command of the same type and name keeps its id; guilds have their own."""
    path = f"applications/{discord.application_id}/commands"
    status, first = await call(http, "PUT", path, json=[COMMAND, {**COMMAND, "name": "opt_out"}])
    assert (status, [one["name"] for one in first]) == (200, ["opt_in", "opt_out"])
    _, second = await call(http, "PUT", path, json=[COMMAND])
    assert second[0]["id"] == first[0]["id"]
    assert second[0]["version"] != first[0]["version"]
    assert (await call(http, "GET", path))[1] == second
    guild = discord.add_guild()
    here = f"applications/{discord.application_id}/guilds/{guild}/commands"
    assert (await call(http, "GET", here))[1] == []
    assert (await call(http, "POST", here, json=COMMAND))[0] == 201
    status, again = await call(http, "POST", here, json=COMMAND)
    assert (status, again["guild_id"]) == (200, str(guild))
    assert (await call(http, "DELETE", f"{here}/{again['id']}"))[0] == 204
    assert (await call(http, "DELETE", f"{here}/{again['id']}"))[1]["code"] == 10063


async def test_commands_of_others_are_out_of_reach(discord: SimulatedDiscord, http: aiohttp.ClientSession) -> None:
    """Another application's, and those of a guild in which the bot is not."""
    assert (await call(http, "GET", "applications/1/commands"))[1]["code"] == 20012
    guild = discord.add_guild(joined=False)
    path = f"applications/{discord.application_id}/guilds/{guild}/commands"
    assert (await call(http, "GET", path)) == (403, {"message": "Missing Access", "code": 50001})


async def test_every_failing_field_is_named(discord: SimulatedDiscord, http: aiohttp.ClientSession) -> None:
    """400 with code 50035 and the errors where the fields are; nothing is registered."""
    path = f"applications/{discord.application_id}/commands"
    wrong = [COMMAND, {"name": "Opt In", "options": [{"type": 4, "name": "x", "description": ""}]}]
    status, body = await call(http, "PUT", path, json=wrong)
    assert (status, body["code"], body["message"]) == (400, 50035, "Invalid Form Body")
    assert body["errors"]["1"] == {
        "name": {"_errors": [{"code": "APPLICATION_COMMAND_INVALID_NAME", "message": "Command name is invalid"}]},
        "description": {"_errors": [{"code": "BASE_TYPE_REQUIRED", "message": "This field is required"}]},
        "options": {
            "0": {
                "description": {
                    "_errors": [{"code": "BASE_TYPE_BAD_LENGTH", "message": "Must be between 1 and 100 in length."}]
                }
            }
        },
    }
    assert (await call(http, "PUT", path, data="{"))[1]["code"] == 50109
    assert discord.commands.all() == []


def with_options(*options: dict[str, Any]) -> dict[str, Any]:
    return {**COMMAND, "options": [{"description": "d", **option} for option in options]}


SUB = {"type": 1, "name": "sub", "description": "d"}
TEXT = {"type": 3, "name": "text"}
BAD_COMMANDS = {
    "name too long": {**COMMAND, "name": "x" * 33},
    "description too long": {**COMMAND, "description": "x" * 101},
    "26 options": with_options(*({**TEXT, "name": f"o{n}"} for n in range(26))),
    "required after optional": with_options(TEXT, {**TEXT, "name": "b", "required": True}),
    "same option twice": with_options(TEXT, TEXT),
    "sub-command beside an option": with_options(SUB, TEXT),
    "group in a group": with_options({"type": 2, "name": "g", "options": [{**SUB, "type": 2}]}),
    "option in a group": with_options({"type": 2, "name": "g", "options": [{**TEXT, "description": "d"}]}),
    "choices and autocomplete": with_options({**TEXT, "autocomplete": True, "choices": [{"name": "a", "value": "a"}]}),
    "choices of a user": with_options({"type": 6, "name": "who", "choices": [{"name": "a", "value": "a"}]}),
    "choice of the wrong type": with_options({"type": 4, "name": "n", "choices": [{"name": "a", "value": "1"}]}),
    "26 choices": with_options({**TEXT, "choices": [{"name": str(n), "value": str(n)} for n in range(26)]}),
    "no such type": with_options({"type": 12, "name": "x"}),
    "permissions as number": {**COMMAND, "default_member_permissions": 32},
    "no such context": {**COMMAND, "contexts": [3]},
    "no such locale": {**COMMAND, "name_localizations": {"xx": "x"}},
    "localised name with capitals": {**COMMAND, "name_localizations": {"de": "Beitreten"}},
    "menu with a description": {"type": 2, "name": "Hours", "description": "x"},
    "min_value of a text": with_options({**TEXT, "min_value": 1}),
    "too large": with_options(
        *(
            {"type": 3, "name": f"o{n}", "choices": [{"name": f"{c}" * 50, "value": "v" * 100} for c in range(10, 20)]}
            for n in range(10)
        )
    ),
}


@pytest.mark.parametrize("case", BAD_COMMANDS)
def test_commands_that_discord_would_not_take(case: str) -> None:
    """Each limit of the documentation."""
    problems = problems_with([BAD_COMMANDS[case]])
    assert problems
    assert nested(problems)


def test_commands_in_order_and_counted() -> None:
    """Sub-commands in groups, menus, localisations, any script; 100 commands, not 101; no name twice."""
    group = {"type": 2, "name": "admin", "options": [{**SUB, "options": [{**TEXT, "description": "d"}]}]}
    good = [
        with_options(group, SUB),
        {"type": 2, "name": "Voice hours"},
        {**COMMAND, "name": "ชั่วโมง", "name_localizations": {"de": "stunden"}, "contexts": [0]},
    ]
    assert problems_with(good) == []
    assert problems_with([{**COMMAND, "name": f"c{n}"} for n in range(100)]) == []
    assert problems_with([{**COMMAND, "name": f"c{n}"} for n in range(101)])
    assert problems_with([COMMAND, COMMAND])
    assert problems_with({})
    assert valid_name("größe")
    assert not valid_name("a b")
    assert characters({**COMMAND, "name_localizations": {"de": "x" * 10}}) == 10 + len(COMMAND["description"])


# Follow-ups


@pytest.fixture
async def endpoint(discord: SimulatedDiscord) -> AsyncIterator[Endpoint]:
    async with Endpoint(discord) as running:
        yield running


async def test_a_deferred_reply_is_filled_in_and_followed_up(
    discord: SimulatedDiscord, http: aiohttp.ClientSession, endpoint: Endpoint
) -> None:
    """PATCH @original, POST more, with files; GET, DELETE; without Authorization."""
    endpoint.reply = {"type": 5, "data": {"flags": 64}}
    outcome = await discord.command("export", discord.add_user())
    base = f"webhooks/{discord.application_id}/{outcome.interaction['token']}"
    nobody = {"headers": {"Authorization": ""}}
    status, filled = await call(http, "PATCH", f"{base}/messages/@original", json={"content": "Here"}, **nobody)
    assert (status, filled["content"], filled["flags"]) == (200, "Here", 64)
    form = aiohttp.FormData()
    form.add_field(
        "payload_json",
        json.dumps({"content": "Your data", "attachments": [{"id": 0, "filename": "data.json"}]}),
        content_type="application/json",
    )
    form.add_field("files[0]", b"{}", filename="data.json", content_type="application/json")
    status, more = await call(http, "POST", base, data=form, **nobody)
    assert (status, [(one["filename"], one["size"]) for one in more["attachments"]]) == (200, [("data.json", 2)])
    assert [one["content"] for one in discord.messages(outcome.id)] == ["Here", "Your data"]
    assert (await call(http, "GET", f"{base}/messages/{more['id']}"))[1] == more
    assert (await call(http, "DELETE", f"{base}/messages/@original"))[0] == 204
    assert (await call(http, "GET", f"{base}/messages/@original"))[1]["code"] == 10008
    assert (await call(http, "POST", base, json={}))[1]["code"] == 50006
    assert (await call(http, "POST", base, json={"content": "x" * 2001}))[1]["code"] == 50035
    assert (await call(http, "POST", f"webhooks/{discord.application_id}/nonsense", json={}))[1]["code"] == 10015


async def test_a_reply_can_come_by_the_callback(
    discord: SimulatedDiscord, http: aiohttp.ClientSession, endpoint: Endpoint
) -> None:
    """Then the request itself gets 202 without a body; a second callback is refused."""
    answers: list[tuple[int, Any]] = []

    async def by_callback(interaction: dict[str, Any]) -> web.Response:
        path = f"interactions/{interaction['id']}/{interaction['token']}/callback"
        reply = {"type": 4, "data": {"content": "By callback"}}
        answers.append(await call(http, "POST", path, json={"type": 1}))
        answers.append(await call(http, "POST", path, json=reply))
        answers.append(await call(http, "POST", path, json=reply))
        return web.Response(status=202)

    endpoint.reply = by_callback
    outcome = await discord.command("x", discord.add_user())
    assert (outcome.status, outcome.content) == (202, "By callback")
    assert [status for status, _ in answers] == [400, 204, 400]
    assert answers[2][1]["code"] == 40060
    assert [one["content"] for one in discord.messages(outcome.id)] == ["By callback"]


async def test_a_token_lives_for_fifteen_minutes() -> None:
    """By the simulated Discord's own clock."""
    now = [1_700_000_000_000]
    async with SimulatedDiscord(clock=lambda: now[0]) as discord, Endpoint(discord) as endpoint:
        outcome = await discord.command("x", discord.add_user())
        assert endpoint.headers[0]["X-Signature-Timestamp"] == "1700000000"
        async with aiohttp.ClientSession(discord.api_url + "/", headers={"User-Agent": USER_AGENT}) as http:
            base = f"webhooks/{discord.application_id}/{outcome.interaction['token']}"
            now[0] += 15 * 60_000
            assert (await call(http, "POST", base, json={"content": "in time"}))[0] == 200
            now[0] += 1
            assert (await call(http, "POST", base, json={"content": "late"}))[1]["code"] == 50027


async def test_an_endpoint_url_is_checked_before_it_is_saved(
    discord: SimulatedDiscord, http: aiohttp.ClientSession, endpoint: Endpoint
) -> None:
    """As in the portal: a URL that does not answer is refused and the old one kept."""
    status, body = await call(http, "PATCH", "applications/@me", json={"interactions_endpoint_url": endpoint.url})
    assert (status, body["interactions_endpoint_url"]) == (200, endpoint.url)
    wrong = {"interactions_endpoint_url": "http://127.0.0.1:9/"}
    status, body = await call(http, "PATCH", "applications/@me", json=wrong)
    assert (status, list(body["errors"])) == (400, ["interactions_endpoint_url"])
    assert discord.state()["interactions_url"] == endpoint.url
