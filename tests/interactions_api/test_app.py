"""The endpoint: one test an exit, with real signatures, a real queue file and a real service."""

from __future__ import annotations

import json
import logging
import re
import time

import pytest
from nacl.signing import SigningKey

from db_client.reading_statements import standing
from db_client.snowflake import created_at
from db_client.statements import Statement
from interactions_api.commands import COMMANDS
from interactions_api.commands.definition import PERSONAL
from interactions_api.words import Operator
from tests.interactions_api import discord
from tests.interactions_api.discord import command, in_direct_message, snowflake, user


def stored(endpoint, user_id: int) -> dict | None:
    """The person's row at the service."""
    sql = "SELECT * FROM opt_in_users WHERE user_id = :user_id"
    [rows] = endpoint.store.query(Statement(sql, {"user_id": user_id}), within=10.0)
    return rows[0] if rows else None


def shown(endpoint, user_id: int) -> list:
    """Where the person shows their time, and from when on."""
    [[row]] = endpoint.store.query(standing(user_id), within=10.0)
    where: list = json.loads(row["shown"])
    return where


def decisions(endpoint, user_id: int) -> list[str]:
    sql = "SELECT decision FROM consent_log WHERE user_id = :user_id ORDER BY interaction_id"
    [rows] = endpoint.store.query(Statement(sql, {"user_id": user_id}), within=10.0)
    return [row["decision"] for row in rows]


# --- what Discord checks when the URL is saved ---


def test_a_ping_is_answered(endpoint):
    """200 with type 1 and a JSON content type."""
    answer = endpoint.send({"type": 1, "id": "1", "application_id": "2", "token": "x", "version": 1})
    assert (answer.status_code, answer.mimetype, answer.get_json()) == (200, "application/json", {"type": 1})


PING = b'{"type":1}'


@pytest.mark.parametrize("left_out", ["X-Signature-Ed25519", "X-Signature-Timestamp", "both"])
def test_an_unsigned_request_is_refused(endpoint, left_out):
    """401, whichever header is missing."""
    headers = discord.headers(endpoint.key, PING)
    for name in list(headers):
        if name.startswith("X-Signature") and left_out in (name, "both"):
            del headers[name]
    assert endpoint.client.post("/interactions", data=PING, headers=headers).status_code == 401


def test_a_forged_request_is_refused_without_a_word_on_standard_output(endpoint, capsys):
    """Another key's signature, and a signature of another body."""
    forged = discord.headers(SigningKey.generate(), PING)
    moved = discord.headers(endpoint.key, b'{"type":2}')
    for headers in (forged, moved):
        answer = endpoint.client.post("/interactions", data=PING, headers=headers)
        assert (answer.status_code, answer.get_json()) == (401, {"error": "invalid request signature"})
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("away_s", [-301, 302, -(10**9)])
def test_a_stale_or_future_request_is_refused(endpoint, away_s):
    """However well it is signed."""
    assert endpoint.send_raw(PING, at_s=int(time.time()) + away_s).status_code == 401


def test_the_permitted_age_is_a_setting(make_endpoint, service):
    """For a machine whose clock cannot be kept right."""
    endpoint = make_endpoint(service.url, max_age_s=3600)
    assert endpoint.send_raw(PING, at_s=int(time.time()) - 3000).status_code == 200


def test_nothing_is_parsed_before_the_signature_is_verified(endpoint):
    """Unsigned garbage and unsigned interactions get the same answer."""
    answers = [endpoint.client.post("/interactions", data=data) for data in (b"{", b"[1]", PING)]
    assert {(answer.status_code, answer.data) for answer in answers} == {
        (401, b'{"error":"invalid request signature"}')
    }


# --- the table of facts about discord-interactions, with the right result for each row ---


@pytest.mark.parametrize(
    ("content", "signing", "status"),
    [
        (PING, {}, 200),
        (PING, {"at_s": 1_000_000_000}, 401),
        (PING, {"at_s": 9_999_999_999}, 401),
        (PING, {"at_s": "abc"}, 401),
        (PING, {"at_s": ""}, 401),
        (PING, {"content_type": "text/plain"}, 415),
        (PING, {"content_type": "application/x-www-form-urlencoded"}, 415),
        (PING, {"content_type": "application/json; charset=utf-8"}, 200),
        (PING, {"content_type": None}, 200),
        (b"", {}, 400),
        (b"{", {}, 400),
        (b"\xff\xfe", {}, 400),
        (b"[1]", {}, 400),
        (b'"abc"', {}, 400),
        (b"5", {}, 400),
        (b"null", {}, 400),
        (b"{}", {}, 400),
        (b'{"type":"1"}', {}, 400),
        (b'{"type":true}', {}, 400),
        (b'{"type":1.0}', {}, 400),
        (b'{"type":2,"type":1}', {}, 400),
        (b'{"type":2}', {}, 400),
        (b"[" * 200_000, {}, 400),
    ],
)
def test_every_weak_place_of_the_library_has_its_right_result(endpoint, content, signing, status):
    """200 for Discord, 401 for strangers, 400 for what is no interaction; never a 500."""
    answer = endpoint.send_raw(content, **signing)
    assert answer.status_code == status
    assert answer.mimetype == "application/json"


def test_headers_and_digits_of_any_case_are_read(endpoint):
    """HTTP header names have no case, and hexadecimal digits neither."""
    headers = {name.lower(): value for name, value in discord.headers(endpoint.key, PING).items()}
    headers["x-signature-ed25519"] = headers["x-signature-ed25519"].upper()
    assert endpoint.client.post("/interactions", data=PING, headers=headers).status_code == 200


def test_a_body_that_is_too_large_is_refused(endpoint):
    """413, signed or not."""
    assert endpoint.send_raw(b" " * 300_000).status_code == 413


def test_other_methods_and_paths_are_refused_in_json(endpoint):
    """405 says what is allowed; 404."""
    answer = endpoint.client.get("/interactions")
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]
    assert endpoint.client.get("/nothing").get_json() == {"error": "not found"}


# --- decisions ---


def test_opt_in_is_stored_and_named(endpoint):
    """The reply names what stands in the service, and the service holds what the reply names."""
    who = snowflake()
    said = endpoint.says(command("opt_in", by=user(who, "grace", "Grace", "8342729096ea3675442027381ff50dfe")))
    row = stored(endpoint, who)
    assert row is not None
    assert (row["username"], row["display_name"], row["opted_in"]) == ("grace", "Grace", 1)
    assert row["avatar_url"] == f"https://cdn.discordapp.com/avatars/{who}/8342729096ea3675442027381ff50dfe.png"
    for part in ("You are opted in", "grace", "Grace", f"<t:{row['since'] // 1000}:f>", "only you", "/opt_out"):
        assert part in said


def test_visibility_is_stored_and_told(endpoint):
    """And changed by opting in again, which does not begin anew; without the option it stays."""
    who = snowflake()
    endpoint.says(command("opt_in", by=user(who), interaction_id=(first := snowflake())))
    second = snowflake()
    said = endpoint.says(command("opt_in", by=user(who), options={"visibility": "server"}, interaction_id=second))
    row = stored(endpoint, who)
    assert row is not None
    assert shown(endpoint, who) == [[discord.GUILD, created_at(second)]]
    assert "**its members** see your time: from now on" in said
    assert row["since"] == created_at(first)
    said = endpoint.says(command("opt_in", by=user(who)))
    assert f"**its members** see your time: what was recorded since <t:{created_at(second) // 1000}:f>" in said
    assert shown(endpoint, who) == [[discord.GUILD, created_at(second)]]


def test_opt_out_keeps_what_was_stored_and_says_so(endpoint):
    """The profile stays; the decision is the newest."""
    who = snowflake()
    endpoint.says(command("opt_in", by=user(who)))
    said = endpoint.says(command("opt_out", by=user(who)))
    row = stored(endpoint, who)
    assert row is not None
    assert row["opted_in"] == 0
    assert "You are opted out" in said
    assert decisions(endpoint, who) == ["in", "out"]


def test_the_same_interaction_twice_is_one_decision_with_one_answer(endpoint):
    """Discord, or someone who overheard it, sends it again."""
    interaction = command("opt_in", by=user(who := snowflake()))
    assert endpoint.says(interaction) == endpoint.says(interaction)
    assert decisions(endpoint, who) == ["in"]


def test_a_replay_that_a_newer_decision_overrules_changes_nothing_and_says_so(endpoint):
    """It must not say that the person is opted in."""
    interaction = command("opt_in", by=user(who := snowflake()))
    endpoint.says(interaction)
    endpoint.says(command("opt_out", by=user(who)))
    assert "You are not being recorded" in endpoint.says(interaction)
    row = stored(endpoint, who)
    assert row is not None
    assert row["opted_in"] == 0


def test_a_decision_that_arrives_late_is_told_what_stands(endpoint):
    """Two pods may see an opt-in and the opt-out after it in the other order."""
    who, first, second = snowflake(), snowflake(), snowflake()
    endpoint.says(command("opt_out", by=user(who), interaction_id=second))
    said = endpoint.says(command("opt_in", by=user(who), interaction_id=first))
    assert "You are not being recorded" in said


@pytest.mark.parametrize(
    "name",
    [
        "**bold** _it_ ~~no~~ ||spoiler|| `code`",
        "@everyone <@1> <@&2> <#3> </opt_out:4>",
        "Robert'); DROP TABLE opt_in_users;--",
        "\u202egnp.exe\u2066",
        "שלום עולם",
        "😀👩\u200d🚀",
        "\x00nul",
        "a" * 5000,
        "`" * 5000,
        "\n" * 32,
        "{since} {0.__class__} %s",
    ],
)
def test_names_of_any_kind_are_stored_as_they_are_and_shown_harmlessly(endpoint, name):
    """The row holds the name itself; the reply holds nothing that acts."""
    who = snowflake()
    said = endpoint.says(command("opt_in", by=user(who, "plain", name)))
    row = stored(endpoint, who)
    assert row is not None
    assert row["display_name"] == name
    free = re.sub(r"\\[!-/:-@\[-`{-~]", "", said)
    for active in ("@everyone", "<@", "</", "\u202e", "||spoiler"):
        assert active not in free


def test_german_members_are_answered_in_german(endpoint):
    """By the locale that Discord sends."""
    assert "Du hast zugestimmt" in endpoint.says(command("opt_in", by=user(snowflake()), locale="de"))


# --- what has no handler ---


def test_an_unknown_command_is_answered_politely(endpoint):
    """Discord shows a command for a while after it was removed."""
    assert "does not know that command" in endpoint.says(command("launch_rocket"))


@pytest.mark.parametrize("interaction", [discord.component("erase:1"), {"type": 5, "data": {}}, {"type": 77}])
def test_unknown_components_and_kinds_are_answered_politely(endpoint, interaction):
    """A button of an older version, a modal, something new."""
    assert "does nothing any more" in endpoint.says(interaction)


def test_autocomplete_without_suggestions_is_answered(endpoint):
    """Type 8 with an empty list, or Discord shows an error while the person types."""
    interaction = {**command("opt_in"), "type": 4}
    assert endpoint.send(interaction).get_json() == {"type": 8, "data": {"choices": []}}


@pytest.mark.parametrize("name", [command.NAME for command in COMMANDS])
def test_what_needs_a_server_is_refused_politely_where_there_is_none(endpoint, name):
    """In direct messages, and on a server where the bot is not; nothing is kept. One's rights need none."""
    who = snowflake()
    used = command(name, by=user(who))
    elsewhere = {**used, "authorizing_integration_owners": {"1": str(who)}}
    for interaction in (in_direct_message(used), elsewhere):
        assert ("on a server only" in endpoint.says(interaction)) == (name not in PERSONAL)
    assert decisions(endpoint, who) == (["out"] if name == "opt_out" else [])


def test_replies_name_the_operator_where_there_is_one(make_endpoint, service):
    """The page without a preview, the contact as it is written; by default the words of the bot's own."""
    named = make_endpoint(service.url, operator=Operator("https://bot.example.org/privacy", "ops@example.org"))
    for name in ("opt_in", "privacy"):
        said = named.says(command(name, by=user(snowflake())))
        assert "<https://bot.example.org/privacy>" in said
        assert "Contact: ops@example.org" in said
        assert "says more" not in said


# --- nobody's data anywhere it does not belong ---


def test_nothing_personal_is_logged_or_counted(endpoint, caplog):
    """Not for good interactions, nor for bad ones."""
    with caplog.at_level(logging.DEBUG):
        who = snowflake()
        endpoint.says(command("opt_in", by=user(who, "margaret", "Margaret")))
        broken = command("opt_in", by=user(who, "margaret", "Margaret"))
        broken["data"]["options"] = "margaret"
        assert "argaret" not in endpoint.send(broken).get_data(as_text=True)
        endpoint.send_raw(b"margaret")
    pages = [endpoint.client.get("/metrics").get_data(as_text=True), caplog.text]
    for page in pages:
        assert "argaret" not in page
        assert str(who) not in page


def test_metrics_count_ends_and_the_queue(endpoint):
    """By command and end, with the queue file as it is."""
    endpoint.says(command("opt_in", by=user(snowflake())))
    endpoint.client.post("/interactions", data=PING)
    page = endpoint.client.get("/metrics").get_data(as_text=True)
    assert 'interactions_requests_total{end="stored",kind="opt_in"} 1.0' in page
    assert 'interactions_requests_total{end="unsigned",kind="refused"} 1.0' in page
    assert "queue_waiting_entries 0.0" in page


def test_liveness_and_readiness(endpoint):
    """Ready while decisions can be kept."""
    assert endpoint.client.get("/livez").status_code == 200
    assert endpoint.client.get("/readyz").data == b"[+]queue file: ok\n[+]delivery: ok\n[+]clock: ok\n"


def test_the_response_is_plain_json(endpoint):
    """One object, readable by any parser."""
    assert json.loads(endpoint.send(command("opt_out", by=user(snowflake()))).data)["type"] == 4


def test_a_body_that_ends_early_is_refused(endpoint):
    """400: the client went away in the midst of it."""
    headers, longer = discord.headers(endpoint.key, PING), {"CONTENT_LENGTH": str(len(PING) + 1)}
    answer = endpoint.client.post("/interactions", data=PING, headers=headers, environ_overrides=longer)
    assert answer.status_code == 400


def test_a_head_request_gets_no_body(endpoint):
    """405 like every other method."""
    answer = endpoint.client.head("/interactions")
    assert (answer.status_code, answer.data) == (405, b"")
