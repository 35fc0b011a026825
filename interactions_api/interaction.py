"""An interaction as a value, parsed from bytes whose signature is already verified. Pure.

Strict in what is used, tolerant of everything else: Discord adds fields at any time.
https://discord.com/developers/docs/interactions/receiving-and-responding#interaction-object
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn, TypeAlias, TypeVar

from discord_interactions import InteractionType

T = TypeVar("T")
Option: TypeAlias = str | int | float | bool

DEFAULT_LOCALE = "en-US"
GUILD_CONTEXT = 0
GUILD_INSTALL = 0
DEFAULT_SIZE_LIMIT = 10 * 2**20

_NUMBER = re.compile(r"[0-9]{1,20}")
_AVATAR = re.compile(r"[0-9A-Za-z_]{1,64}")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Malformed(ValueError):
    """The body is not an interaction; the message names the field and never quotes its value."""


class Member(NamedTuple):
    """Who interacts: in a guild the member, in a direct message the user (with `permissions` 0)."""

    user_id: int
    username: str
    display_name: str
    avatar_url: str | None
    permissions: int


@dataclass(frozen=True, slots=True)
class Address:
    """Where further messages to an interaction go for fifteen minutes, and how many bytes a file there may have.

    The token lets anybody write in the application's name: it stays in memory and out of every log.
    """

    application_id: int
    token: str = field(repr=False)
    size_limit: int


class Command(NamedTuple):
    """A slash command with the values of its options, by name; `guild_id` is None outside a guild.

    `members` are the people among the options who are in the guild, `channels` the channels among them with their
    names: as Discord resolved them for the person, whatever the values are.
    """

    id: int
    guild_id: int | None
    member: Member
    locale: str
    address: Address
    name: str
    options: Mapping[str, Option]
    members: frozenset[int]
    channels: Mapping[int, str]


class Component(NamedTuple):
    """A button pressed or a menu chosen from."""

    id: int
    guild_id: int | None
    member: Member
    locale: str
    address: Address
    custom_id: str
    values: tuple[str, ...]


class Autocomplete(NamedTuple):
    """A command being typed; `focused` is the option that wants suggestions, its value unvalidated."""

    id: int
    guild_id: int | None
    member: Member
    locale: str
    address: Address
    name: str
    options: Mapping[str, Option]
    focused: str


Interaction: TypeAlias = Command | Component | Autocomplete
"""An interaction with a person behind it."""


class Other(NamedTuple):
    """An interaction of a kind this program has no use for (a modal, or what Discord will think of)."""

    type: int
    locale: str


@dataclass(frozen=True, slots=True)
class Ping:
    """Discord asks whether we are there."""


def parse(body: bytes) -> Ping | Command | Component | Autocomplete | Other:
    """The interaction that the bytes hold; raises Malformed, and nothing else, for any other bytes."""
    interaction = _object(_decoded(body), "the body")
    kind = _take(interaction, "type", int)
    if kind == InteractionType.PING:
        return Ping()
    if kind == InteractionType.APPLICATION_COMMAND:
        data = _take(interaction, "data", dict)
        resolved = _part(data, "resolved")
        return Command(
            *_shared(interaction),
            name=_text(data, "name"),
            options=_options(data)[0],
            members=frozenset(_snowflake_of(key) for key in _part(resolved, "members")),
            channels={
                _snowflake_of(key): _text(_object(channel, "a resolved channel"), "name")
                for key, channel in _part(resolved, "channels").items()
            },
        )
    if kind == InteractionType.MESSAGE_COMPONENT:
        data = _take(interaction, "data", dict)
        values = tuple(_list_of(data, "values", str))
        return Component(*_shared(interaction), custom_id=_text(data, "custom_id"), values=values)
    if kind == InteractionType.APPLICATION_COMMAND_AUTOCOMPLETE:
        data = _take(interaction, "data", dict)
        options, focused = _options(data)
        return Autocomplete(*_shared(interaction), name=_text(data, "name"), options=options, focused=focused)
    return Other(kind, _locale(interaction))


def _shared(interaction: dict[str, Any]) -> tuple[int, int | None, Member, str, Address]:
    in_guild = interaction.get("context") in (GUILD_CONTEXT, None) and interaction.get("guild_id") is not None
    owners = interaction.get("authorizing_integration_owners")
    if isinstance(owners, dict) and str(GUILD_INSTALL) not in owners:
        in_guild = False  # the person added the bot to their account, and it is not in that guild
    return (
        _snowflake(interaction, "id"),
        _snowflake(interaction, "guild_id") if in_guild else None,
        _member(interaction),
        _locale(interaction),
        _address(interaction),
    )


def _address(interaction: dict[str, Any]) -> Address:
    """What only a file that follows needs is not missed elsewhere."""
    limit = interaction.get("attachment_size_limit")
    return Address(
        _snowflake(interaction, "application_id") if "application_id" in interaction else 0,
        _text(interaction, "token") if "token" in interaction else "",
        limit if type(limit) is int else DEFAULT_SIZE_LIMIT,
    )


def _member(interaction: dict[str, Any]) -> Member:
    """The person: `member` in a guild, `user` elsewhere.

    The display name and avatar are the person's own, not the guild's nickname and picture: they are stored once for
    all guilds, and what one guild calls a person is no business of another.
    """
    member = interaction.get("member")
    user = _take(interaction, "user", dict) if member is None else _take(_object(member, "member"), "user", dict)
    user_id = _snowflake(user, "id")
    username = _text(user, "username")
    avatar = user.get("avatar")
    return Member(
        user_id=user_id,
        username=username,
        display_name=username if user.get("global_name") is None else _text(user, "global_name"),
        avatar_url=f"https://cdn.discordapp.com/avatars/{user_id}/{avatar}.png"
        if isinstance(avatar, str) and _AVATAR.fullmatch(avatar)
        else None,
        permissions=0 if member is None or "permissions" not in member else _number(member, "permissions"),
    )


def _options(data: dict[str, Any]) -> tuple[dict[str, Option], str]:
    """The options by name, and the name of the focused one ('' if none). Groups of options have no value: left out."""
    options = _list_of(data, "options", dict)
    values = {_text(option, "name"): _value(option) for option in options if "value" in option}
    return values, next((_text(option, "name") for option in options if option.get("focused") is True), "")


def _value(option: dict[str, Any]) -> Option:
    value = option["value"]
    if isinstance(value, str):
        return _encodable(value)
    if isinstance(value, (int, float)):
        return value
    raise Malformed("value is neither text, number nor boolean")


# --- fields ----------------------------------------------------------------------------------------------------------


def _decoded(body: bytes) -> Any:
    try:
        return _DECODER.decode(body.decode())
    except RecursionError as problem:
        raise Malformed("the body is nested too deeply") from problem
    except ValueError as problem:
        raise Malformed("the body is not JSON") from problem


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return fields


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unambiguous, parse_constant=_refuse)


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Malformed(f"{name} is not an object")
    return value


def _take(fields: dict[str, Any], name: str, kind: type[T]) -> T:
    value = fields.get(name)
    if type(value) is not kind:  # a bool is an int to isinstance
        raise Malformed(f"{name} is missing or not of type {kind.__name__}")
    return value


def _part(fields: dict[str, Any], name: str) -> dict[str, Any]:
    """The object under the name, empty if it is left out."""
    return {} if fields.get(name) is None else _take(fields, name, dict)


def _list_of(fields: dict[str, Any], name: str, kind: type[T]) -> list[T]:
    values = fields.get(name, [])
    if not isinstance(values, list) or any(type(value) is not kind for value in values):
        raise Malformed(f"{name} is not a list of {kind.__name__}")
    return values


def _text(fields: dict[str, Any], name: str) -> str:
    return _encodable(_take(fields, name, str))


def _encodable(text: str) -> str:
    """JSON can spell half a surrogate pair, which no UTF-8 can hold: it becomes the replacement character."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def _number(fields: dict[str, Any], name: str) -> int:
    text = _take(fields, name, str)
    if not _NUMBER.fullmatch(text):
        raise Malformed(f"{name} is not a number in text")
    return int(text)


def _snowflake(fields: dict[str, Any], name: str) -> int:
    number = _number(fields, name)
    if not 0 < number < 2**63:
        raise Malformed(f"{name} is not a snowflake")
    return number


def _snowflake_of(key: str) -> int:
    return _snowflake({"a resolved id": key}, "a resolved id")


def _locale(interaction: dict[str, Any]) -> str:
    locale = interaction.get("locale")
    return locale if isinstance(locale, str) else DEFAULT_LOCALE
