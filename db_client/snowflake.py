"""Snowflakes: Discord's ids, which carry the moment they were made."""

from __future__ import annotations

DISCORD_EPOCH_MS = 1_420_070_400_000


def created_at(snowflake: int) -> int:
    """The moment the snowflake was made, in milliseconds since 1970 UTC.

    https://discord.com/developers/docs/reference#snowflakes
    """
    return (snowflake >> 22) + DISCORD_EPOCH_MS


def earliest(moment_ms: int) -> int:
    """The smallest snowflake that could have been made at that moment (milliseconds since 1970 UTC)."""
    return (moment_ms - DISCORD_EPOCH_MS) << 22
