"""The sender of interactions: what it sends, and what it refuses to take."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.simulated_discord import BadReply, Impossible, SimulatedDiscord
from tests.simulated_discord.snowflakes import moment
from tests.simulated_discord_tests.endpoint import Endpoint


@pytest.fixture
async def endpoint(discord: SimulatedDiscord) -> AsyncIterator[Endpoint]:
    async with Endpoint(discord) as running:
        yield running


def message(**data: Any) -> dict[str, Any]:
    return {"type": 4, "data": {"content": "Hello", **data}}


def button(**fields: Any) -> dict[str, Any]:
    return {"type": 1, "components": [{"type": 2, "style": 4, "label": "Erase", "custom_id": "erase", **fields}]}


# What is sent


@pytest.mark.parametrize("ahead", [7_200_000, -7_200_000])
async def test_discords_own_clock(discord: SimulatedDiscord, endpoint: Endpoint, ahead: int) -> None:
    """`clock_ahead` is in all that tells time: `Date` of the API and of the gateway, ids, timestamps, the record."""
    guild, ada = discord.add_guild(), discord.add_user("ada")
    discord.set_faults(clock_ahead=ahead)
    expected = time.time() + ahead / 1000
    await discord.command("voice stats", ada, guild=guild)
    (sent,) = endpoint.seen
    assert moment(int(sent["id"])) / 1000 == pytest.approx(expected, abs=60)
    assert int(endpoint.headers[0]["X-Signature-Timestamp"]) == pytest.approx(expected, abs=60)
    assert discord.history.entries[-1]["at"] / 1000 == pytest.approx(expected, abs=60)
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{discord.api_url}/gateway", headers={"User-Agent": "DiscordBot (x, 1)"}) as answer:
            assert parsedate_to_datetime(answer.headers["Date"]).timestamp() == pytest.approx(expected, abs=60)
        async with http.ws_connect(discord.gateway_url) as connection:
            date = connection._response.headers["Date"]
            assert parsedate_to_datetime(date).timestamp() == pytest.approx(expected, abs=60)
        discord.set_faults(no_date=True)
        async with http.get(f"{discord.api_url}/gateway", headers={"User-Agent": "DiscordBot (x, 1)"}) as answer:
            assert "Date" not in answer.headers


async def test_a_command_looks_as_discord_makes_it(discord: SimulatedDiscord, endpoint: Endpoint) -> None:
    """Ids are text, made of real time; a member in a guild, a user outside; options with their types; headers too."""
    guild, ada = discord.add_guild(locale="de"), discord.add_user("ada", display_name="Ada L.")
    options = {"days": 7, "loud": True, "note": "x"}
    outcome = await discord.command("voice stats", ada, guild=guild, options=options, locale="de", permissions=32)
    assert (outcome.content, outcome.ephemeral, outcome.status) == ("Hello", True, 200)
    (sent,) = endpoint.seen
    assert abs(moment(int(sent["id"])) - time.time() * 1000) < 60_000
    assert (sent["type"], sent["version"], sent["locale"], sent["guild_locale"]) == (2, 1, "de", "de")
    assert sent["guild_id"] == sent["guild"]["id"] == str(guild)
    assert (sent["member"]["user"]["global_name"], sent["member"]["permissions"]) == ("Ada L.", "32")
    assert "user" not in sent
    (stats,) = sent["data"]["options"]
    assert (sent["data"]["name"], stats["name"], stats["type"]) == ("voice", "stats", 1)
    assert [(one["name"], one["type"], one["value"]) for one in stats["options"]] == [
        ("days", 4, 7),
        ("loud", 5, True),
        ("note", 3, "x"),
    ]
    headers = endpoint.headers[0]
    assert headers["User-Agent"] == "Discord-Interactions/1.0 (+https://discord.com)"
    assert re.fullmatch("[0-9a-f]{128}", headers["X-Signature-Ed25519"])
    assert abs(int(headers["X-Signature-Timestamp"]) - time.time()) < 60

    await discord.command("stats", ada)
    direct = endpoint.seen[1]
    assert direct["user"]["id"] == str(ada)
    assert not {"member", "guild_id", "guild"} & set(direct)


async def test_registered_commands_decide_what_people_can_send(discord: SimulatedDiscord, endpoint: Endpoint) -> None:
    """Option types come from the registration; what the client would not let anyone send is Impossible."""
    who = {"name": "who", "description": "Who", "type": 6, "required": True}
    days = {"name": "days", "description": "Days", "type": 4, "min_value": 1, "max_value": 90}
    command = {"name": "stats", "description": "Hours", "options": [who, days], "contexts": [0]}
    discord.commands.overwrite(None, [command])
    guild, ada, bob = discord.add_guild(), discord.add_user("ada"), discord.add_user("bob")
    discord.add_member(guild, bob)
    await discord.command("stats", ada, guild=guild, options={"who": bob, "days": 7})
    data = endpoint.seen[0]["data"]
    assert data["id"] == discord.commands.all()[0]["id"]
    assert data["options"][0] == {"name": "who", "type": 6, "value": str(bob)}
    assert data["resolved"]["users"][str(bob)]["username"] == "bob"
    assert not {"user", "deaf", "mute"} & set(data["resolved"]["members"][str(bob)])
    for name, options, place in (
        ("unheard_of", {}, guild),
        ("stats", {}, guild),
        ("stats", {"who": bob, "nights": 1}, guild),
        ("stats", {"who": bob, "days": 91}, guild),
        ("stats", {"who": bob, "days": "7"}, guild),
        ("stats", {"who": bob}, None),
    ):
        with pytest.raises(Impossible):
            await discord.command(name, ada, guild=place, options=options)
    assert len(endpoint.seen) == 1


async def test_only_members_are_resolved_as_members(discord: SimulatedDiscord, endpoint: Endpoint) -> None:
    """Of whoever left, or was never there, there is the user alone."""
    discord.commands.overwrite(
        None, [{"name": "stats", "description": "x", "options": [{"name": "who", "description": "w", "type": 6}]}]
    )
    guild, ada, bob = discord.add_guild(), discord.add_user("ada"), discord.add_user("bob")
    for change, members in ((None, []), (discord.add_member, [str(bob)]), (discord.remove_member, [])):
        if change is not None:
            change(guild, bob)
        await discord.command("stats", ada, guild=guild, options={"who": bob})
        resolved = endpoint.seen[-1]["data"]["resolved"]
        assert list(resolved.get("members", {})) == members
        assert list(resolved["users"]) == [str(bob)]


async def test_where_the_bot_is_not_only_a_users_own_commands_work(
    discord: SimulatedDiscord, endpoint: Endpoint
) -> None:
    """In a guild it left, and in direct messages of somebody who shares no guild with it: by the person's account."""
    contexts = {"server": ([0], [0]), "both": ([0, 1], [0]), "anywhere": ([0, 1], [0, 1]), "direct": ([1], [0, 1])}
    discord.commands.overwrite(
        None,
        [
            {"name": name, "description": "x", "contexts": where, "integration_types": kinds}
            for name, (where, kinds) in contexts.items()
        ],
    )
    guild, ada = discord.add_guild(), discord.add_user("ada")

    async def possible(guild: int | None) -> dict[str, dict[str, str]]:
        owners = {}
        for name in contexts:
            with contextlib.suppress(Impossible):
                await discord.command(name, ada, guild=guild)
                owners[name] = endpoint.seen[-1]["authorizing_integration_owners"]
        return owners

    mine = {"1": str(ada)}
    assert await possible(None) == {"anywhere": mine, "direct": mine}
    assert await possible(guild) == {name: {"0": str(guild)} for name in ("server", "both", "anywhere")}
    assert await possible(None) == {name: {"0": "0"} for name in ("both", "anywhere", "direct")}
    discord.remove_guild(guild)
    assert await possible(guild) == {"anywhere": mine}
    assert await possible(None) == {"anywhere": mine, "direct": mine}


async def test_autocomplete_marks_the_focused_option(discord: SimulatedDiscord, endpoint: Endpoint) -> None:
    """Type 4, the value is the text so far, required options may be missing."""
    endpoint.reply = {"type": 8, "data": {"choices": [{"name": "Berlin", "value": "Europe/Berlin"}]}}
    outcome = await discord.autocomplete("zone", discord.add_user(), focused="city", options={"city": "Ber"})
    assert outcome.choices == [{"name": "Berlin", "value": "Europe/Berlin"}]
    assert endpoint.seen[0]["data"]["options"] == [{"name": "city", "type": 3, "value": "Ber", "focused": True}]
    endpoint.reply = {"type": 8, "data": {"choices": [{"name": str(n), "value": str(n)} for n in range(26)]}}
    with pytest.raises(BadReply, match="between 0 and 25"):
        await discord.autocomplete("zone", discord.add_user(), focused="city", options={"city": ""})


async def test_a_button_can_be_pressed_by_who_sees_it(discord: SimulatedDiscord, endpoint: Endpoint) -> None:
    """The component must be in the message, enabled, and the message not ephemeral for someone else."""
    guild, ada, bob = discord.add_guild(), discord.add_user(), discord.add_user()
    endpoint.reply = message(flags=64, components=[button()])
    shown = await discord.command("erase", ada, guild=guild)
    assert shown.custom_ids == ["erase"]
    with pytest.raises(Impossible, match="ephemeral"):
        await discord.component("erase", bob, guild=guild, message=shown)
    with pytest.raises(Impossible, match="no message"):
        await discord.component("other", ada, guild=guild, message=shown)
    endpoint.reply = {"type": 7, "data": {"content": "Erased", "components": []}}
    await discord.component("erase", ada, guild=guild, message=shown)
    sent = endpoint.seen[-1]
    assert (sent["type"], sent["data"]["component_type"], sent["message"]["content"]) == (3, 2, "Hello")
    assert [one["content"] for one in discord.messages(shown.id)] == ["Erased"]
    with pytest.raises(Impossible, match="no message"):
        await discord.component("erase", ada, guild=guild, message=shown)


async def test_a_form_is_submitted_with_its_fields(discord: SimulatedDiscord, endpoint: Endpoint) -> None:
    """Type 5."""
    await discord.modal("feedback", discord.add_user(), fields={"text": "fine"})
    rows = endpoint.seen[0]["data"]["components"]
    assert rows[0]["components"][0] | {"id": 0} == {"type": 4, "id": 0, "custom_id": "text", "value": "fine"}


# What nobody should send


@pytest.mark.parametrize(
    "forge", ["wrong_key", "flipped_bit", "no_signature", "no_timestamp", "short_signature", "not_hex"]
)
async def test_forgeries_are_no_good(discord: SimulatedDiscord, endpoint: Endpoint, forge: str) -> None:
    """None passes the verification of discord-interactions, while the same body honestly signed does."""
    assert (await discord.send_raw('{"type":1}', forge=forge)).status == 401
    assert (await discord.send_raw('{"type":1}')).status == 200
    with pytest.raises(Impossible, match="no such forgery"):
        await discord.send_raw("{}", forge="hope")


async def test_raw_requests_keep_their_timestamp_and_repeats_are_exact(
    discord: SimulatedDiscord, endpoint: Endpoint
) -> None:
    """A stale timestamp is properly signed, and a replay is the same request byte for byte."""
    await discord.send_raw("[1,2]", timestamp=978_307_200, headers={"Content-Type": "text/plain"})
    assert endpoint.headers[0]["X-Signature-Timestamp"] == "978307200"
    assert endpoint.headers[0]["Content-Type"] == "text/plain"
    outcome = await discord.command("opt_in", discord.add_user())
    await discord.repeat(outcome)
    assert endpoint.seen[1] == endpoint.seen[2]
    assert endpoint.headers[1]["X-Signature-Ed25519"] == endpoint.headers[2]["X-Signature-Ed25519"]


async def test_the_portal_check_wants_a_pong_and_401(discord: SimulatedDiscord, endpoint: Endpoint) -> None:
    """An endpoint that believes everything is not taken."""
    await discord.verify_endpoint()

    async def credulous(request: web.Request) -> web.Response:
        return web.json_response({"type": 1})

    runner = web.ServerRunner(web.Server(credulous))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        discord.set_interactions_url(f"http://127.0.0.1:{runner.addresses[0][1]}/")
        with pytest.raises(BadReply, match="wrong_key must be answered with 401"):
            await discord.verify_endpoint()
    finally:
        await runner.cleanup()


# What is refused

EMBED = {"title": "Hours", "fields": [{"name": "Desk", "value": "3 h"}], "color": 0xFF00FF}
GOOD = {
    "plain": message(),
    "deferred": {"type": 5, "data": {"flags": 64}},
    "embed": message(embeds=[EMBED], allowed_mentions={"parse": []}),
    "button": message(components=[button()]),
    "link": message(
        components=[{"type": 1, "components": [{"type": 2, "style": 5, "label": "x", "url": "https://x"}]}]
    ),
    "components v2": {"type": 4, "data": {"flags": 1 << 15, "components": [{"type": 10, "content": "Hello"}]}},
    "modal": {
        "type": 9,
        "data": {
            "custom_id": "m",
            "title": "T",
            "components": [{"type": 1, "components": [{"type": 4, "custom_id": "t", "style": 1, "label": "L"}]}],
        },
    },
}
BAD = {
    "a list": ([], "Only dictionaries"),
    "no type": ({"data": {}}, "type: This field is required"),
    "a type as text": ({"type": "4"}, "is not int"),
    "a type as bool": ({"type": True}, "is not int"),
    "pong to a command": ({"type": 1}, "must be one of"),
    "update to a command": ({"type": 7, "data": {"content": "x"}}, "must be one of"),
    "no data": ({"type": 4}, "Only dictionaries"),
    "empty": ({"type": 4, "data": {"flags": 64}}, "empty message"),
    "too long": (message(content="x" * 2001), "between 0 and 2000"),
    "number as content": (message(content=5), "as string"),
    "unknown field": (message(ephemeral=True), "knows no such field"),
    "unknown top field": ({**message(), "flags": 64}, "knows no such field"),
    "flags as text": (message(flags="64"), "is not int"),
    "forbidden flag": (message(flags=1 << 7), "may not set"),
    "deferred with content": ({"type": 5, "data": {"content": "x"}}, "nothing else"),
    "eleven embeds": (message(embeds=[EMBED] * 11), "between 0 and 10"),
    "embed too long": (message(embeds=[{"description": "x" * 4097}]), "between 1 and 4096"),
    "embeds too long": (message(embeds=[{"description": "x" * 4000}] * 2), "6000"),
    "field without value": (message(embeds=[{"fields": [{"name": "x", "value": ""}]}]), "between 1 and 1024"),
    "26 fields": (message(embeds=[{"fields": [{"name": "x", "value": "y"}] * 26}]), "between 0 and 25"),
    "color": (message(embeds=[{"color": 1 << 24}]), "16777215"),
    "embed timestamp": (message(embeds=[{"title": "x", "timestamp": "yesterday"}]), "ISO8601"),
    "embed as object": (message(embeds=EMBED), "Only iterables"),
    "mentions as list": (message(allowed_mentions=[]), "Only dictionaries"),
    "mentions of nothing known": (message(allowed_mentions={"parse": ["me"]}), "must be one of"),
    "mentions twice": (message(allowed_mentions={"parse": ["users"], "users": ["1"]}), "mutually exclusive"),
    "mentions by number": (message(allowed_mentions={"users": [1]}), "not snowflake"),
    "button outside a row": (message(components=[{"type": 2, "style": 1, "custom_id": "x"}]), "must be one of"),
    "button without id": (message(components=[button(custom_id=None)]), "required"),
    "custom id too long": (message(components=[button(custom_id="x" * 101)]), "between 1 and 100"),
    "same custom id": (message(components=[button(), button()]), "cannot be duplicated"),
    "label too long": (message(components=[button(label="x" * 81)]), "between 0 and 80"),
    "no label": (message(components=[button(label="")]), "label or an emoji"),
    "six rows": (message(components=[button(custom_id=str(n)) for n in range(6)]), "between 0 and 5"),
    "select without options": (
        message(components=[{"type": 1, "components": [{"type": 3, "custom_id": "s", "options": []}]}]),
        "between 1 and 25",
    ),
    "v2 with content": (message(flags=1 << 15), "IS_COMPONENTS_V2"),
    "modal without title": ({"type": 9, "data": {"custom_id": "m", "components": []}}, "title"),
}


@pytest.mark.parametrize("case", GOOD)
async def test_replies_in_order_are_taken(discord: SimulatedDiscord, endpoint: Endpoint, case: str) -> None:
    """Every kind of answer to a command."""
    endpoint.reply = GOOD[case]
    assert (await discord.command("x", discord.add_user())).body == GOOD[case]


@pytest.mark.parametrize("case", BAD)
async def test_replies_that_discord_would_not_take_are_refused(
    discord: SimulatedDiscord, endpoint: Endpoint, case: str
) -> None:
    """BadReply says what is wrong, and the record does too."""
    endpoint.reply, why = BAD[case]
    with pytest.raises(BadReply, match=why):
        await discord.command("x", discord.add_user())
    assert re.search(why, " ".join(discord.history.entries[-1]["problems"]))


async def test_status_and_content_type_count(discord: SimulatedDiscord, endpoint: Endpoint) -> None:
    """Anything but 200 with application/json is no reply, and neither is nothing at all."""
    user = discord.add_user()

    async def text(interaction: dict[str, Any]) -> web.Response:
        return web.Response(text='{"type":5}')

    async def error(interaction: dict[str, Any]) -> web.Response:
        return web.json_response({"type": 5}, status=500)

    for reply, why in ((text, "Content-Type"), (error, "500")):
        endpoint.reply = reply
        with pytest.raises(BadReply, match=why):
            await discord.command("x", user)
    discord.set_interactions_url("http://127.0.0.1:9/")
    with pytest.raises(BadReply, match="could not be reached"):
        await discord.command("x", user)
    discord.set_interactions_url(None)
    with pytest.raises(Impossible, match="URL"):
        await discord.command("x", user)


async def test_after_three_seconds_the_application_did_not_respond(
    discord: SimulatedDiscord, endpoint: Endpoint
) -> None:
    """The token is worth nothing then."""
    forever = asyncio.Event()

    async def never(interaction: dict[str, Any]) -> web.Response:
        await forever.wait()
        return web.Response()

    endpoint.reply = never
    with pytest.raises(BadReply, match="within 3 seconds"):
        await discord.command("x", discord.add_user())
    forever.set()
    (sent,) = endpoint.seen
    async with aiohttp.ClientSession(headers={"User-Agent": "DiscordBot (https://example.com, 1)"}) as http:
        url = f"{discord.api_url}/webhooks/{sent['application_id']}/{sent['token']}"
        async with http.post(url, json={"content": "late"}) as response:
            assert (response.status, (await response.json())["code"]) == (404, 10015)
