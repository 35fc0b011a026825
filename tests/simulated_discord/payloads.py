"""The world's things as they look on Discord's wire. Pure; field names are Discord's own."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from tests.simulated_discord.faults import Faults
from tests.simulated_discord.model import CHANNEL_TYPES, Channel, Guild, User, VoiceState
from tests.simulated_discord.world import World

_JOINED_AT = "2024-03-01T12:00:00.000000+00:00"


def text(value: Any) -> str:
    """Compact JSON, as Discord sends it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def user(one: User) -> dict[str, Any]:
    """https://discord.com/developers/docs/resources/user#user-object."""
    payload: dict[str, Any] = {
        "id": str(one.id),
        "username": one.name,
        "discriminator": "0",
        "global_name": one.display_name,
        "avatar": one.avatar,
        "avatar_decoration_data": None,
        "public_flags": 0,
    }
    return {**payload, "bot": True} if one.bot else payload


def member(one: User, faults: Faults, *, mute: bool = False, deaf: bool = False) -> dict[str, Any]:
    """https://discord.com/developers/docs/resources/guild#guild-member-object."""
    payload: dict[str, Any] = {
        "user": user(one),
        "nick": None,
        "avatar": None,
        "roles": [],
        "joined_at": _JOINED_AT,
        "premium_since": None,
        "communication_disabled_until": None,
        "pending": False,
        "mute": mute,
        "deaf": deaf,
    }
    return payload if faults.omit_flags else {**payload, "flags": 0}


def voice_state(state: VoiceState) -> dict[str, Any]:
    """https://discord.com/developers/docs/resources/voice#voice-state-object, without `guild_id` and `member`."""
    return {
        "channel_id": None if state.channel_id is None else str(state.channel_id),
        "user_id": str(state.user_id),
        "session_id": state.session_id,
        "deaf": state.deaf,
        "mute": state.mute,
        "self_deaf": state.self_deaf,
        "self_mute": state.self_mute,
        "self_stream": state.self_stream,
        "self_video": state.self_video,
        "suppress": state.suppress,
        "request_to_speak_timestamp": None,
    }


def voice_event(state: VoiceState, one: User, faults: Faults) -> str:
    """The `d` of VOICE_STATE_UPDATE, as JSON text."""
    who = (
        None
        if faults.omit_member
        else _member_text(one.id, one.name, one.display_name, one.avatar, one.bot, faults.omit_flags)
    )
    return _voice_text(state, who)


@lru_cache(maxsize=100_000)
def _member_text(
    user_id: int, name: str, display_name: str | None, avatar: str | None, bot: bool, omit_flags: bool
) -> str:
    return text(member(User(user_id, name, display_name, avatar, bot), Faults(omit_flags=omit_flags)))


@lru_cache(maxsize=100_000)
def _voice_text(state: VoiceState, who: str | None) -> str:
    start = text({"guild_id": str(state.guild_id), **voice_state(state)})
    return start if who is None else f'{start[:-1]},"member":{who}}}'


def channel(one: Channel, *, in_guild: bool = False) -> dict[str, Any]:
    """https://discord.com/developers/docs/resources/channel#channel-object; inside a guild without `guild_id`."""
    payload: dict[str, Any] = {
        "id": str(one.id),
        "type": CHANNEL_TYPES[one.kind],
        "name": "___hidden___" if one.hidden else one.name,
        "position": one.position,
        "flags": 1 << 17 if one.hidden else 0,
        "permission_overwrites": [],
        "parent_id": None if one.parent is None else str(one.parent),
    }
    if not in_guild:
        payload["guild_id"] = str(one.guild_id)
    if one.kind in ("voice", "stage"):
        payload |= {"bitrate": 64_000, "user_limit": 0, "rtc_region": None, "nsfw": False, "last_message_id": None}
    elif one.kind == "text":
        payload |= {"topic": None, "nsfw": False, "last_message_id": None, "rate_limit_per_user": 0}
    return payload


def guild(one: Guild, owner_id: int) -> dict[str, Any]:
    """https://discord.com/developers/docs/resources/guild#guild-object: what GUILD_UPDATE holds."""
    everyone = {
        "id": str(one.id),
        "name": "@everyone",
        "permissions": "1071698660929",
        "position": 0,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "managed": False,
        "mentionable": False,
        "icon": None,
        "unicode_emoji": None,
        "flags": 0,
    }
    return {
        "id": str(one.id),
        "name": one.name,
        "icon": None,
        "description": None,
        "splash": None,
        "discovery_splash": None,
        "banner": None,
        "features": [],
        "owner_id": str(owner_id),
        "afk_channel_id": None if one.afk_channel_id is None else str(one.afk_channel_id),
        "afk_timeout": 300,
        "system_channel_id": None,
        "system_channel_flags": 0,
        "rules_channel_id": None,
        "public_updates_channel_id": None,
        "safety_alerts_channel_id": None,
        "preferred_locale": one.locale,
        "verification_level": 0,
        "default_message_notifications": 1,
        "explicit_content_filter": 0,
        "mfa_level": 0,
        "nsfw_level": 0,
        "nsfw": False,
        "premium_tier": 0,
        "premium_subscription_count": 0,
        "premium_progress_bar_enabled": False,
        "vanity_url_code": None,
        "max_members": 25_000_000,
        "max_video_channel_users": 25,
        "roles": [everyone],
        "emojis": [],
        "stickers": [],
    }


def guild_create(world: World, one: Guild, bot: User, faults: Faults) -> dict[str, Any]:
    """The `d` of GUILD_CREATE for a bot without the members intent: itself, and the members who are in voice."""
    states = [voice_state(state) for state in one.voice.values()]
    if faults.null_channel:
        nobody = VoiceState(bot.id, one.id, None, "0" * 32)
        states.append(voice_state(nobody))
    present = [world.user(user_id) for user_id in one.voice]
    return {
        **guild(one, bot.id),
        "joined_at": _JOINED_AT,
        "large": len(one.members) > 250,
        "member_count": len(one.members) + 1,
        "members": [member(someone, faults) for someone in [bot, *present]],
        "channels": [channel(each, in_guild=True) for each in one.channels.values() if each.announced],
        "voice_states": states,
        "threads": [],
        "presences": [],
        "stage_instances": [],
        "guild_scheduled_events": [],
        "soundboard_sounds": [],
    }
