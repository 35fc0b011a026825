"""Interactions as Discord makes them. Pure: ids and tokens are arguments.

https://discord.com/developers/docs/interactions/receiving-and-responding#interaction-object
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.simulated_discord import payloads
from tests.simulated_discord.command_rules import (
    BOOLEAN,
    CHANNEL,
    INTEGER,
    MENTIONABLE,
    NUMBER,
    ROLE,
    STRING,
    SUB_COMMAND,
    SUB_COMMAND_GROUP,
    USER_OPTION,
)
from tests.simulated_discord.faults import Faults
from tests.simulated_discord.model import CHANNEL_TYPES, Channel, Guild, Impossible, User
from tests.simulated_discord.world import World

Options = Mapping[str, Any]
_SNOWFLAKES = (USER_OPTION, CHANNEL, ROLE, MENTIONABLE)
_PYTHON: dict[int, tuple[type, ...]] = {STRING: (str,), INTEGER: (int,), BOOLEAN: (bool,), NUMBER: (int, float)}
_WELL = Faults()


@dataclass(frozen=True)
class Place:
    """Where and as whom someone acts: in a guild's channel, or (`guild` None) in the bot's direct message.

    `installed`: the bot is in the guild, or the person shares one with it; else the person has it in their account.
    """

    user: User
    guild: Guild | None
    channel_id: int
    channel: Channel | None
    locale: str
    permissions: int
    installed: bool = True


def envelope(application_id: int, interaction_id: int, token: str, kind: int, place: Place) -> dict[str, Any]:
    """Everything of an interaction but its `data` and `message`."""
    interaction: dict[str, Any] = {
        "id": str(interaction_id),
        "application_id": str(application_id),
        "type": kind,
        "token": token,
        "version": 1,
        "channel_id": str(place.channel_id),
        "channel": _channel(place),
        "app_permissions": "2248473465835073",
        "locale": place.locale,
        "entitlements": [],
        "attachment_size_limit": 10 * 1024 * 1024,
    }
    there = str(place.guild.id) if place.guild else "0"
    interaction["authorizing_integration_owners"] = {"0": there} if place.installed else {"1": str(place.user.id)}
    if place.guild is None:
        return {**interaction, "user": payloads.user(place.user), "context": 1}
    return {
        **interaction,
        "guild_id": str(place.guild.id),
        "guild": {"id": str(place.guild.id), "locale": place.guild.locale, "features": []},
        "guild_locale": place.guild.locale,
        "member": {**payloads.member(place.user, _WELL), "permissions": str(place.permissions)},
        "context": 0,
    }


def ping(application_id: int, interaction_id: int, token: str) -> dict[str, Any]:
    """The PING that Discord sends when a URL is saved, and now and then."""
    return {
        "id": str(interaction_id),
        "application_id": str(application_id),
        "type": 1,
        "token": token,
        "version": 1,
        "user": None,
        "entitlements": [],
    }


def command_data(
    name: str, kind: int, definition: dict[str, Any] | None, options: Options, focused: str | None, command_id: int
) -> dict[str, Any]:
    """A command's `data` without `resolved`: `name` may hold sub-commands, separated by blanks."""
    root, *path = name.split(" ") if kind == 1 else [name]
    data: dict[str, Any] = {"id": str(command_id), "name": root, "type": kind}
    defined = definition.get("options") or [] if definition is not None else None
    steps: list[dict[str, Any]] = []
    for depth, step in enumerate(path):
        step_kind = SUB_COMMAND if depth == len(path) - 1 else SUB_COMMAND_GROUP
        if defined is not None:
            one = next((option for option in defined if option["name"] == step and option["type"] == step_kind), None)
            if one is None:
                raise Impossible(f"/{name} is not registered: there is no {step} in it")
            defined = one.get("options") or []
        steps.append({"name": step, "type": step_kind})
    given = _options(name, defined, options, focused)
    for step_option in reversed(steps):
        given = [{**step_option, "options": given}]
    return {**data, "options": given} if given else data


def _options(
    name: str, defined: list[dict[str, Any]] | None, options: Options, focused: str | None
) -> list[dict[str, Any]]:
    if defined is None:
        known: dict[str, dict[str, Any]] = {key: {"type": _guess(value)} for key, value in options.items()}
    else:
        known = {option["name"]: option for option in defined}
    if unknown := set(options) - set(known):
        raise Impossible(f"/{name} has no option {', '.join(sorted(unknown))}")
    if any(option["type"] in (SUB_COMMAND, SUB_COMMAND_GROUP) for option in known.values()):
        raise Impossible(f"/{name} cannot be called: name one of its sub-commands")
    missing = [key for key, option in known.items() if option.get("required") and key not in options]
    if missing and focused is None:
        raise Impossible(f"/{name} needs {', '.join(missing)}")
    return [_option(name, key, known[key], options[key], focused) for key in known if key in options]


def _option(name: str, key: str, option: dict[str, Any], value: Any, focused: str | None) -> dict[str, Any]:
    kind = option["type"]
    if key == focused:
        if not option.get("autocomplete", True):
            raise Impossible(f"/{name}: {key} has no autocomplete")
        return {"name": key, "type": kind, "value": str(value), "focused": True}
    if kind in _SNOWFLAKES:
        return {"name": key, "type": kind, "value": str(value)}
    if not isinstance(value, _PYTHON.get(kind, (object,))) or (kind == INTEGER and isinstance(value, bool)):
        raise Impossible(f"/{name}: {key} takes no {type(value).__name__}")
    choices = [choice["value"] for choice in option.get("choices") or []]
    least, most = option.get("min_value"), option.get("max_value")
    too_far = kind in (INTEGER, NUMBER) and not ((least is None or least <= value) and (most is None or value <= most))
    if (choices and value not in choices) or too_far:
        raise Impossible(f"/{name}: nobody can choose {value!r} for {key}")
    return {"name": key, "type": kind, "value": value}


def _guess(value: Any) -> int:
    return {bool: BOOLEAN, int: INTEGER, float: NUMBER}.get(type(value), STRING)


def resolved(data: dict[str, Any], target: int | None, world: World, guild: Guild | None) -> dict[str, Any]:
    """The users, those of them who are members of the guild, and the channels that options and target name."""
    named = [(option["type"], int(option["value"])) for option in _flat(data) if option["type"] in _SNOWFLAKES]
    if target is not None:
        named.append((USER_OPTION, target))
    found: dict[str, dict[str, Any]] = {}
    for kind, snowflake in named:
        if kind == CHANNEL:
            one = world.channel(snowflake)
            partial = {"id": str(one.id), "name": one.name, "type": CHANNEL_TYPES[one.kind], "permissions": "0"}
            found.setdefault("channels", {})[str(snowflake)] = partial
        elif kind in (USER_OPTION, MENTIONABLE):
            someone = world.user(snowflake)
            found.setdefault("users", {})[str(snowflake)] = payloads.user(someone)
            if guild is None or snowflake not in guild.members:
                continue
            member = {**payloads.member(someone, _WELL), "permissions": "0"}
            for key in ("user", "deaf", "mute"):
                del member[key]
            found.setdefault("members", {})[str(snowflake)] = member
    return found


def _flat(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for option in data.get("options", ()):
        if "value" in option:
            yield option
        yield from _flat(option)


def _channel(place: Place) -> dict[str, Any]:
    if place.guild is None:
        return {"id": str(place.channel_id), "type": 1, "flags": 0, "last_message_id": None, "recipients": []}
    if place.channel is not None:
        return {**payloads.channel(place.channel), "permissions": str(place.permissions)}
    general = Channel(place.channel_id, place.guild.id, "general", "text")
    return {**payloads.channel(general), "permissions": str(place.permissions)}
