"""Discord's side of an interaction: payloads as Discord documents them, and its signature on them."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

from nacl.signing import SigningKey

from db_client.snowflake import earliest

GUILD = 81384788765712384
ADA = 53908232506183680

_increments = itertools.count()


def snowflake(at_ms: int | None = None) -> int:
    """A new snowflake, made now or at that moment; later calls give larger ones for the same moment."""
    return earliest(time.time_ns() // 1_000_000 if at_ms is None else at_ms) + next(_increments) % 4096


def user(user_id: int = ADA, name: str = "ada", global_name: str | None = "Ada", avatar: str | None = None) -> dict:
    return {
        "id": str(user_id),
        "username": name,
        "global_name": global_name,
        "avatar": avatar,
        "discriminator": "0",
        "public_flags": 0,
    }


def command(
    name: str,
    *,
    by: dict[str, Any] | None = None,
    options: dict[str, Any] | None = None,
    locale: str = "en-US",
    interaction_id: int | None = None,
    members: Iterable[int] = (),
    channels: Mapping[int, str] | None = None,
) -> dict[str, Any]:
    """A slash command used in a guild, with the fields that Discord sends and this program does not use.

    `members` and `channels` are those among the options that Discord resolves.
    """
    return {
        "id": str(interaction_id or snowflake()),
        "application_id": "1",
        "type": 2,
        "token": "aW50ZXJhY3Rpb24",
        "version": 1,
        "guild_id": str(GUILD),
        "guild": {"id": str(GUILD), "locale": "en-US", "features": []},
        "guild_locale": "en-US",
        "channel_id": "7",
        "channel": {"id": "7", "type": 0, "permissions": "2248473465835073"},
        "context": 0,
        "app_permissions": "2248473465835073",
        "authorizing_integration_owners": {"0": str(GUILD)},
        "entitlements": [],
        "attachment_size_limit": 10485760,
        "locale": locale,
        "member": {
            "user": by or user(),
            "nick": "a nickname of this guild alone",
            "permissions": "2248473465835073",
            "roles": [],
            "joined_at": "2024-01-01T00:00:00+00:00",
            "deaf": False,
            "mute": False,
            "flags": 0,
        },
        "data": {
            "id": "9",
            "name": name,
            "type": 1,
            "options": [{"name": key, "type": 3, "value": value} for key, value in (options or {}).items()],
            "resolved": {
                "members": {str(member): {"nick": None, "permissions": "0", "roles": []} for member in members},
                "channels": {
                    str(channel): {"id": str(channel), "name": name, "type": 2, "permissions": "0"}
                    for channel, name in (channels or {}).items()
                },
            },
        },
        "a_field_of_next_year": {"deep": [1, None]},
    }


def in_direct_message(interaction: dict[str, Any]) -> dict[str, Any]:
    """The same interaction as it comes from a direct message with the bot."""
    there = {k: v for k, v in interaction.items() if k not in ("member", "guild_id", "guild", "guild_locale")}
    owners = {"0": "0"}
    return {**there, "user": interaction["member"]["user"], "context": 1, "authorizing_integration_owners": owners}


def component(custom_id: str, **rest: Any) -> dict[str, Any]:
    data = {"custom_id": custom_id, "component_type": 2}
    return {**command("", **rest), "type": 3, "data": data, "message": {"id": "3", "content": ""}}


def body(interaction: Any) -> bytes:
    return json.dumps(interaction, separators=(",", ":")).encode()


def headers(
    key: SigningKey, content: bytes, *, at_s: int | str | None = None, content_type: str | None = "application/json"
) -> dict[str, str]:
    """What Discord signs; `at_s` is the timestamp's text, now if not given."""
    timestamp = str(int(time.time()) if at_s is None else at_s)
    signed = {
        "X-Signature-Ed25519": key.sign(timestamp.encode() + content).signature.hex(),
        "X-Signature-Timestamp": timestamp,
        "User-Agent": "Discord-Interactions/1.0 (+https://discord.com)",
    }
    return signed if content_type is None else {**signed, "Content-Type": content_type}
