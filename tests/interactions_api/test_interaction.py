"""Bytes to interactions: strict in what is used, tolerant of the rest, one error for all else."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interactions_api.interaction import Address, Autocomplete, Command, Component, Malformed, Other, Ping, parse
from tests.interactions_api import discord
from tests.interactions_api.discord import ADA, GUILD, body, command, in_direct_message, user


def changed(path: str, value: object) -> dict:
    """A good command with one field at `a.b.c` set."""
    interaction = command("opt_in")
    *parents, last = path.split(".")
    fields = interaction
    for parent in parents:
        fields = fields[parent]
    fields[last] = value
    return interaction


def test_a_command_becomes_a_value():
    """What the program uses is there with Python's types; what Discord may add is not missed."""
    parsed = parse(body(command("opt_in", options={"visibility": "server"}, locale="de", interaction_id=4711)))
    assert isinstance(parsed, Command)
    assert (parsed.id, parsed.guild_id, parsed.name, parsed.locale) == (4711, GUILD, "opt_in", "de")
    assert parsed.options == {"visibility": "server"}
    assert (parsed.member.user_id, parsed.member.username, parsed.member.display_name) == (ADA, "ada", "Ada")
    assert parsed.member.permissions == 2248473465835073


def test_where_a_file_may_follow_is_known_and_its_token_is_shown_by_no_repr():
    """The token lets anybody write in the bot's name; what Discord leaves out has Discord's default."""
    parsed = parse(body({**command("my_data"), "attachment_size_limit": 25 * 2**20}))
    assert isinstance(parsed, Command)
    assert parsed.address == Address(1, "aW50ZXJhY3Rpb24", 25 * 2**20)
    assert "aW50" not in repr(parsed)
    without = {key: value for key, value in command("my_data").items() if key != "attachment_size_limit"}
    parsed = parse(body(without))
    assert isinstance(parsed, Command)
    assert parsed.address.size_limit == 10 * 2**20


def test_a_ping_is_a_ping():
    """Discord's PING has neither data nor a person."""
    assert parse(b'{"type":1,"id":"1","application_id":"2","token":"x","version":1}') == Ping()


def test_outside_a_guild_there_is_no_guild():
    """In a direct message the person stands under `user`."""
    parsed = parse(body(in_direct_message(command("opt_in"))))
    assert isinstance(parsed, Command)
    assert parsed.guild_id is None
    assert parsed.member.user_id == ADA


def test_a_component_has_its_custom_id_and_values():
    """A button has no values, a menu has."""
    parsed = parse(body(discord.component("erase:1")))
    assert isinstance(parsed, Component)
    assert (parsed.custom_id, parsed.values) == ("erase:1", ())


def test_autocomplete_names_the_option_being_typed():
    """Required options may be missing and the value is what stands there so far."""
    interaction = command("voice_time")
    interaction["type"] = 4
    interaction["data"]["options"] = [{"name": "member", "type": 3, "value": "a", "focused": True}]
    parsed = parse(body(interaction))
    assert isinstance(parsed, Autocomplete)
    assert (parsed.focused, parsed.options) == ("member", {"member": "a"})


@pytest.mark.parametrize("kind", [5, 6, 99, -1])
def test_kinds_without_a_use_are_told_apart(kind):
    """A modal, or a kind that Discord will think of, is no error of the sender's."""
    assert parse(body({"type": kind, "locale": "de"})) == Other(kind, "de")


@pytest.mark.parametrize(
    ("avatar", "url"),
    [
        (None, None),
        ("a_1269e74af4df7417b13759eae50c83dc", "/a_1269e74af4df7417b13759eae50c83dc.png"),
        ("8342729096ea3675442027381ff50dfe", "/8342729096ea3675442027381ff50dfe.png"),
        ("../../evil", None),
        (5, None),
    ],
)
def test_the_avatar_becomes_an_address_or_nothing(avatar, url):
    """A hash of another form makes no address."""
    interaction = command("opt_in", by=user(avatar=avatar))
    expected = None if url is None else f"https://cdn.discordapp.com/avatars/{ADA}{url}"
    assert parse(body(interaction)).member.avatar_url == expected


def test_without_a_display_name_the_username_is_shown():
    """global_name is null for many people."""
    assert parse(body(command("opt_in", by=user(global_name=None)))).member.display_name == "ada"


def test_half_a_surrogate_pair_becomes_a_replacement_character():
    """JSON can spell text that no UTF-8 and no SQLite can hold."""
    raw = body(command("opt_in", by=user(name="PLACE"))).replace(b"PLACE", rb"a\ud83dz")
    assert parse(raw).member.username == "a\ufffdz"


def test_a_whole_surrogate_pair_is_a_character():
    """As JSON spells emoji in ASCII."""
    raw = body(command("opt_in", by=user(name="PLACE"))).replace(b"PLACE", rb"\ud83d\ude00")
    assert parse(raw).member.username == "😀"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"null",
        b"[1]",
        b'"abc"',
        b"5",
        b"true",
        b"{}",
        b'{"type":null}',
        b'{"type":"1"}',
        b'{"type":true}',
        b'{"type":1.0}',
        b'{"type":[1]}',
        b'{"type":2,"type":1}',
        b'{"type":1,"x":{"a":1,"a":2}}',
        b'{"type":NaN}',
        b'{"type":1,"x":Infinity}',
        b'{"type":1} trailing',
        b'\xef\xbb\xbf{"type":1}',
        b'\xff\xfe{"type":1}',
        '{"type":1}'.encode("utf-16"),
        b'{"type":2,"data":' + b"[" * 100_000,
        b'{"type":1,"x":' + b"9" * 5000 + b"}",
    ],
)
def test_what_is_no_interaction_is_malformed(raw):
    """Not JSON, ambiguous JSON, JSON of another shape: one error."""
    with pytest.raises(Malformed):
        parse(raw)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("id", None),
        ("id", 4711),
        ("id", ""),
        ("id", "0"),
        ("id", "-1"),
        ("id", "1e3"),
        ("id", "\u0664\u0667"),
        ("id", str(2**63)),
        ("id", "9" * 30),
        ("guild_id", 5),
        ("guild_id", "x"),
        ("data", None),
        ("data", []),
        ("data.name", None),
        ("data.name", 3),
        ("data.options", {}),
        ("data.resolved", []),
        ("data.resolved.members", []),
        ("data.resolved.members", {"x": {}}),
        ("data.resolved.channels", {"0": {"name": "n"}}),
        ("data.resolved.channels", {"7": {}}),
        ("data.resolved.channels", {"7": None}),
        ("data.options", [1]),
        ("data.options", [{"value": "no name"}]),
        ("data.options", [{"name": "visibility", "value": None}]),
        ("data.options", [{"name": "visibility", "value": []}]),
        ("member", []),
        ("member", None),
        ("member.user", None),
        ("member.user.id", 1),
        ("member.user.username", None),
        ("member.user.global_name", 7),
        ("member.permissions", 8),
    ],
)
def test_a_field_of_another_shape_is_malformed_and_its_value_not_quoted(path, value):
    """The message names the field, so that it can be logged."""
    with pytest.raises(Malformed, match=r"missing|not an? |neither") as raised:
        parse(body(changed(path, value)))
    assert value is None or len(str(value)) < 3 or str(value) not in str(raised.value)


@pytest.mark.parametrize(
    "path",
    [
        *("context", "locale", "data.options", "data.resolved", "data.resolved.members", "data.resolved.channels"),
        *("member.permissions", "member.user.avatar", "authorizing_integration_owners"),
    ],
)
def test_fields_that_may_be_missing_may_be_missing(path):
    """Discord leaves out what is empty, and did not always have the newer fields."""
    interaction = command("opt_in")
    *parents, last = path.split(".")
    fields = interaction
    for parent in parents:
        fields = fields[parent]
    del fields[last]
    assert isinstance(parse(body(interaction)), Command)


def test_only_what_discord_resolved_is_known_of_members_and_channels():
    """An option's value alone proves neither that somebody is on the server nor that a channel is there."""
    used = command("x", options={"member": "11", "channel": "7"}, members=[12], channels={8: "Quiet"})
    parsed = parse(body(used))
    assert isinstance(parsed, Command)
    assert parsed.members == {12}
    assert parsed.channels == {8: "Quiet"}


def test_a_server_where_the_bot_is_not_is_none():
    """Somebody who added the bot to their account uses it there: nothing of that server is known or decided."""
    used = command("x")
    for owners, guild in (({"0": str(GUILD), "1": "5"}, GUILD), ({"1": "5"}, None), (None, GUILD), ([], GUILD)):
        parsed = parse(body({**used, "authorizing_integration_owners": owners}))
        assert isinstance(parsed, Command)
        assert parsed.guild_id == guild


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_parsed_or_malformed(raw):
    """No other exception leaves `parse`."""
    with contextlib.suppress(Malformed):
        parse(raw)


@given(
    path=st.sampled_from(["id", "type", "data", "member", "member.user", "data.options", "context", "guild_id"]),
    value=JSON,
)
def test_a_command_with_anything_in_one_place_is_parsed_or_malformed(path, value):
    """Near misses reach deeper than noise."""
    with contextlib.suppress(Malformed):
        parse(body(changed(path, value)))
