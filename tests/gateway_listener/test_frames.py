"""Frames as Discord sends them, and as it should not: each is a value, or Malformed without anything personal."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db_client.records import Flags
from gateway_listener import frames
from gateway_listener.frames import Frame, Malformed, read, value_of

GUILD, USER, CHANNEL = 613425648685547541, 80351110224678912, 157733188964188161


def dispatch(kind: str, data: Any, sequence: int = 7) -> str:
    return json.dumps({"t": kind, "s": sequence, "op": 0, "d": data}, separators=(",", ":"))


def parse(text: str) -> Frame | None:
    return read(value_of(text))


def state(**fields: Any) -> dict[str, Any]:
    """A voice state as Discord documents it, with the given fields changed; None for `member` leaves it out."""
    whole = {
        "guild_id": str(GUILD),
        "channel_id": str(CHANNEL),
        "user_id": str(USER),
        "member": {"user": {"id": str(USER), "username": "ada"}, "roles": [], "flags": 0, "mute": True},
        "session_id": "90326bd25d71d39b9ef95b299e3872ff",
        "deaf": False,
        "mute": False,
        "self_deaf": False,
        "self_mute": False,
        "self_video": False,
        "suppress": False,
        **fields,
    }
    return {name: value for name, value in whole.items() if not (name == "member" and value is None)}


def guild(**fields: Any) -> dict[str, Any]:
    return {
        "id": str(GUILD),
        "name": "Study room",
        "afk_channel_id": None,
        "unavailable": False,
        "channels": [
            {"id": "1", "type": 2, "name": "Desk", "parent_id": "3", "position": 0},
            {"id": "2", "type": 0, "name": "general"},
            {"id": "3", "type": 4, "name": "Rooms"},
            {"id": "4", "type": 13, "name": "Stage"},
        ],
        "members": [{"user": {"id": "55", "bot": True}}, {"user": {"id": str(USER)}}],
        "voice_states": [],
        **fields,
    }


def content(text: str) -> frames.Content:
    frame = parse(text)
    assert frame is not None
    return frame.content


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, (CHANNEL, 0)),
        ({"channel_id": None}, (None, 0)),
        ({"member": None}, (CHANNEL, 0)),
        ({"member": {"user": {"id": str(USER), "bot": True}}}, (None, 0)),
        ({"member": {}}, (CHANNEL, 0)),
        ({"self_mute": True}, (CHANNEL, Flags.MUTED)),
        ({"mute": True, "deaf": True}, (CHANNEL, Flags.MUTED | Flags.DEAFENED)),
        ({"self_deaf": True, "self_stream": True}, (CHANNEL, Flags.DEAFENED | Flags.STREAM)),
        ({"self_video": True, "suppress": True}, (CHANNEL, Flags.VIDEO)),
    ],
)
def test_voice_states(fields: dict[str, Any], expected: tuple[Any, ...]) -> None:
    """The state itself counts, `member.mute` holds older values; bots are nowhere."""
    frame = parse(dispatch("VOICE_STATE_UPDATE", state(**fields)))
    assert frame == Frame(frames.VoiceState(GUILD, USER, *expected), 7)


def test_a_state_outside_any_guild_is_only_seen() -> None:
    """Calls have no guild."""
    assert content(dispatch("VOICE_STATE_UPDATE", state(guild_id=None))) == frames.Seen()


def test_a_roll_call() -> None:
    """Voice channels and stages are named; bots are known by `members` or their own, and as a null channel nowhere."""
    states = [
        {"user_id": str(USER), "channel_id": "1", "self_mute": True},
        {"user_id": "55", "channel_id": "1"},
        {"user_id": "56", "channel_id": "1", "member": {"user": {"id": "56", "bot": True}}},
        {"user_id": "66", "channel_id": None},
        {"user_id": "nobody", "channel_id": "1"},
        {"user_id": "77", "channel_id": "no channel"},
        "junk",
    ]
    call = content(dispatch("GUILD_CREATE", guild(voice_states=states, afk_channel_id="4")))
    assert isinstance(call, frames.RollCall)
    assert call.channels == (frames.ChannelInfo(1, "Desk", 2), frames.ChannelInfo(4, "Stage", 13))
    assert [(s.user_id, s.channel_id, s.flags) for s in call.voice_states] == [
        (USER, 1, Flags.MUTED),
        (55, None, 0),
        (56, None, 0),
        (66, None, 0),
    ]
    assert (call.name, call.afk_channel_id, call.unreadable) == ("Study room", 4, (77,))


@pytest.mark.parametrize("states", [{}, {"voice_states": None}, {"voice_states": {}}])
def test_a_guild_without_voice_states_is_no_empty_guild(states: dict[str, object]) -> None:
    """An answer that is missing is never taken for an empty one."""
    assert content(dispatch("GUILD_CREATE", {"id": str(GUILD), "name": "x", **states})) == frames.GuildUnread(GUILD)


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        ("GUILD_CREATE", {"id": "5", "unavailable": True}, frames.GuildUnavailable(5)),
        ("GUILD_DELETE", {"id": "5", "unavailable": True}, frames.GuildUnavailable(5)),
        ("GUILD_DELETE", {"id": "5"}, frames.GuildGone(5)),
        ("GUILD_UPDATE", {"id": "5", "name": "n", "afk_channel_id": "9"}, frames.GuildChanged(5, "n", 9)),
        (
            "CHANNEL_UPDATE",
            {"id": "6", "guild_id": "5", "type": 2, "name": "n"},
            frames.ChannelChanged(5, frames.ChannelInfo(6, "n", 2)),
        ),
        ("CHANNEL_CREATE", {"id": "6", "guild_id": "5", "type": 0, "name": "n"}, frames.Seen()),
        ("CHANNEL_CREATE", {"id": "6", "type": 1}, frames.Seen()),
        ("CHANNEL_DELETE", {"id": "6", "guild_id": "5", "type": 2}, frames.ChannelDeleted(5, 6)),
        ("READY", {"session_id": "s", "guilds": [{"id": "5"}]}, frames.Ready("s", frozenset({5}))),
        ("RESUMED", None, frames.Resumed()),
        ("TYPING_START", {"anything": 1}, frames.Seen()),
        ("A_NEW_EVENT", None, frames.Seen()),
    ],
)
def test_other_dispatches(kind: str, data: Any, expected: frames.Content) -> None:
    """Each event of interest is one value; every other dispatch only proves that the gateway is seen."""
    assert content(dispatch(kind, data)) == expected


CALL = {"id": "5", "name": "n", "afk_channel_id": None, "voice_states": [], "channels": [], "members": []}
ROOM = {"id": "6", "guild_id": "5", "type": 2, "name": "n"}


@pytest.mark.parametrize(
    ("kind", "data", "guild_id"),
    [
        ("GUILD_CREATE", {**CALL, "afk_channel_id": [1]}, 5),
        ("GUILD_CREATE", {**CALL, "afk_channel_id": "x"}, 5),
        ("GUILD_CREATE", {**CALL, "voice_states": {}}, 5),
        ("GUILD_CREATE", {**CALL, "id": None}, None),
        ("GUILD_CREATE", None, None),
        ("GUILD_UPDATE", {"id": "5", "name": "n", "afk_channel_id": {}}, 5),
        ("GUILD_UPDATE", {"id": "x", "name": "n"}, None),
        ("GUILD_DELETE", "x", None),
        ("CHANNEL_CREATE", {**ROOM, "id": "x"}, 5),
        ("CHANNEL_UPDATE", {**ROOM, "type": None}, 5),
        ("CHANNEL_UPDATE", {**ROOM, "guild_id": []}, None),
        ("CHANNEL_DELETE", {**ROOM, "id": None}, 5),
    ],
)
def test_what_cannot_be_read_of_a_guild_is_lost_of_it(kind: str, data: Any, guild_id: int | None) -> None:
    """Whatever field it is, no person caused it: the guild has to be seen anew, or any if nobody can say which."""
    assert content(dispatch(kind, data)) == frames.GuildUnread(guild_id)


@pytest.mark.parametrize("name", [*CALL, "unavailable"])
@pytest.mark.parametrize("value", [[1], {"a": 1}, "x", 2**70, True, 1.5])
def test_every_field_of_a_guild_says_something(name: str, value: Any) -> None:
    """Field by field: none of them makes the whole frame disappear."""
    told = content(dispatch("GUILD_CREATE", {**CALL, name: value}))
    assert isinstance(told, (frames.RollCall, frames.GuildUnavailable, frames.GuildUnread))


def test_ops() -> None:
    """HELLO and ACK mean something; the other ops are between discord.py and Discord."""
    assert content('{"t":null,"s":null,"op":10,"d":{"heartbeat_interval":41250}}') == frames.Hello(41250)
    assert content('{"t":null,"s":null,"op":11,"d":null}') == frames.Ack()
    assert [parse(f'{{"op":{op},"d":null}}') for op in (1, 7, 9, 77)] == [None] * 4


def test_the_order_of_the_fields_does_not_matter() -> None:
    """Discord writes `t` first; nobody promises that."""
    text = json.dumps({"op": 0, "d": {"id": "5"}, "s": 3, "t": "GUILD_DELETE"})
    assert parse(text) == Frame(frames.GuildGone(5), 3)


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[]",
        "5",
        "{}",
        '{"op":"0"}',
        '{"op":10,"d":null}',
        dispatch("VOICE_STATE_UPDATE", None),
        dispatch("VOICE_STATE_UPDATE", [1]),
        dispatch("VOICE_STATE_UPDATE", state(user_id="80351110224678912x")),
        dispatch("VOICE_STATE_UPDATE", state(user_id=None)),
        dispatch("VOICE_STATE_UPDATE", state(channel_id=str(2**64))),
        dispatch("VOICE_STATE_UPDATE", state(guild_id=True)),
        dispatch("READY", {"session_id": "s"}),
        dispatch("READY", {"session_id": "s", "guilds": [{"id": "x"}]}),
    ],
)
def test_malformed_frames_say_so_and_nothing_else(text: str) -> None:
    """The error names the kind of frame; no id, no name, no content."""
    with pytest.raises(Malformed) as caught:
        parse(text)
    assert str(USER) not in str(caught.value)
    assert "x" not in str(caught.value).split()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
kinds = st.sampled_from([*frames._DISPATCHES, "TYPING_START", "", None])


@given(
    st.fixed_dictionaries({"t": kinds, "s": json_values, "op": st.sampled_from([0, 0, 0, 10, 11, 9]), "d": json_values})
)
def test_no_frame_raises_anything_else(frame: dict[str, Any]) -> None:
    """Whatever arrives is read, left out, or Malformed."""
    with contextlib.suppress(Malformed):
        parse(json.dumps(frame))


@given(st.sampled_from(sorted(state())), json_values)
def test_no_field_of_a_voice_state_raises_anything_else(name: str, value: Any) -> None:
    """Field by field."""
    with contextlib.suppress(Malformed):
        parse(dispatch("VOICE_STATE_UPDATE", {**state(), name: value}))
