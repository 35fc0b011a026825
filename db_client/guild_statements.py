"""Guilds, their channels, what their managers decide, and how far a shard has seen them: newest stands (pure)."""

from __future__ import annotations

from db_client.records import Channel, ChannelRecording, Guild, GuildSetting, Watermark
from db_client.report_windows import LENGTH_CLASS, LENGTH_CLASSES
from db_client.statements import Parameters, Statement

STORE_GUILD = """
INSERT INTO guilds (guild_id, name, afk_channel_id, left_at, revision)
VALUES (:guild_id, :name, :afk_channel_id, :left_at, :revision)
    ON CONFLICT (guild_id) DO UPDATE SET name = excluded.name, afk_channel_id = excluded.afk_channel_id,
       left_at = excluded.left_at, revision = excluded.revision
 WHERE excluded.revision > guilds.revision
"""

STORE_CHANNEL = """
INSERT INTO channels (channel_id, guild_id, name, kind, parent_id, deleted_at, revision)
VALUES (:channel_id, :guild_id, :name, :kind, :parent_id, :deleted_at, :revision)
    ON CONFLICT (channel_id) DO UPDATE SET name = excluded.name, kind = excluded.kind, parent_id = excluded.parent_id,
       deleted_at = excluded.deleted_at, revision = excluded.revision
 WHERE excluded.revision > channels.revision
"""

STORE_WATERMARK = """
INSERT INTO listener_watermarks (shard_id, observed_at) VALUES (:shard_id, :observed_at)
    ON CONFLICT (shard_id) DO UPDATE SET observed_at = excluded.observed_at
 WHERE excluded.observed_at > listener_watermarks.observed_at
"""


def store_guild(guild: Guild) -> list[Statement]:
    """The guild as last seen."""
    return [
        Statement(
            STORE_GUILD,
            {
                "guild_id": guild.guild_id,
                "name": guild.name,
                "afk_channel_id": guild.afk_channel_id,
                "left_at": guild.left_at,
                "revision": guild.revision,
            },
        )
    ]


def store_channel(channel: Channel) -> list[Statement]:
    """The channel as last seen."""
    return [
        Statement(
            STORE_CHANNEL,
            {
                "channel_id": channel.channel_id,
                "guild_id": channel.guild_id,
                "name": channel.name,
                "kind": channel.channel_type,
                "parent_id": channel.parent_id,
                "deleted_at": channel.deleted_at,
                "revision": channel.revision,
            },
        )
    ]


def store_watermark(watermark: Watermark) -> list[Statement]:
    """The watermark moves forwards only."""
    return [Statement(STORE_WATERMARK, {"shard_id": watermark.shard_id, "observed_at": watermark.observed_at})]


# --- what managers decide ---------------------------------------------------------------------------------------------

STORE_SETTING = """
INSERT INTO guild_settings (guild_id, setting, value, version) VALUES (:guild_id, :setting, :value, :version)
    ON CONFLICT (guild_id, setting) DO UPDATE SET value = excluded.value, version = excluded.version
 WHERE excluded.version > guild_settings.version
"""

# `guilds.time_zone` follows the setting. A guild not yet seen on the gateway gets a row that its first record replaces.
STORE_TIME_ZONE = """
INSERT INTO guilds (guild_id, name, time_zone, revision)
SELECT guild_id, '', value, -1 FROM guild_settings WHERE guild_id = :guild_id AND setting = 'time_zone'
    ON CONFLICT (guild_id) DO UPDATE SET time_zone = excluded.time_zone
"""


def store_setting(setting: GuildSetting) -> list[Statement]:
    """The setting, where no newer decision stands."""
    stored = Statement(
        STORE_SETTING,
        {
            "guild_id": setting.guild_id,
            "setting": setting.setting,
            "value": setting.value,
            "version": setting.interaction_id,
        },
    )
    if setting.setting == "time_zone":
        return [stored, Statement(STORE_TIME_ZONE, {"guild_id": setting.guild_id})]
    return [stored]


STORE_RECORDING = """
INSERT INTO unrecorded_channels (channel_id, guild_id, from_at, to_at, version)
VALUES (:channel_id, :guild_id, :at, CASE WHEN :recorded THEN :at END, :version)
    ON CONFLICT (channel_id) DO UPDATE SET
       from_at = CASE WHEN :recorded OR to_at IS NULL THEN from_at ELSE :at END,
       to_at = CASE WHEN :recorded THEN coalesce(to_at, :at) END,
       version = excluded.version
 WHERE excluded.version > unrecorded_channels.version
"""

# Sessions that were stored before the decision arrived are cut, or go, as if it had come in time.
_LATER_IN_CHANNEL = f"""
WITH {LENGTH_CLASSES}
SELECT s.rowid FROM length_classes AS k CROSS JOIN voice_sessions AS s
 WHERE s.channel_id = :channel_id AND {LENGTH_CLASS} = k.class
   AND s.started_at > :at - k.longest AND s.ended_at > :at AND s.ended_at IS NOT NULL
 UNION ALL
SELECT rowid FROM voice_sessions WHERE channel_id = :channel_id AND ended_at IS NULL
"""  # noqa: S608
CUT_UNRECORDED = f"""
UPDATE voice_sessions
   SET ended_at = :at, ended_by = 'not_recorded', ended_within_ms = 0,
       muted_ms = min(muted_ms, :at - started_at), deafened_ms = min(deafened_ms, :at - started_at),
       video_ms = min(video_ms, :at - started_at), stream_ms = min(stream_ms, :at - started_at),
       alone_ms = min(alone_ms, :at - started_at)
 WHERE rowid IN ({_LATER_IN_CHANNEL}) AND started_at < :at
   AND EXISTS (SELECT 1 FROM unrecorded_channels AS u WHERE u.channel_id = :channel_id AND u.version = :version)
"""  # noqa: S608
DROP_UNRECORDED = f"""
DELETE FROM voice_sessions
 WHERE rowid IN ({_LATER_IN_CHANNEL}) AND started_at >= :at
   AND EXISTS (SELECT 1 FROM unrecorded_channels AS u WHERE u.channel_id = :channel_id AND u.version = :version)
"""  # noqa: S608


def store_recording(recording: ChannelRecording) -> list[Statement]:
    """The decision about the channel; sessions that reach into its unrecorded time are cut, or go."""
    channel: Parameters = {
        "channel_id": recording.channel_id,
        "at": recording.at,
        "version": recording.interaction_id,
    }
    stored = Statement(
        STORE_RECORDING, {**channel, "guild_id": recording.guild_id, "recorded": int(recording.recorded)}
    )
    if recording.recorded:
        return [stored]
    return [stored, Statement(CUT_UNRECORDED, channel), Statement(DROP_UNRECORDED, channel)]
