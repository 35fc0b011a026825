"""Guilds, their channels, what their managers decide, and how far a shard has seen them: newest stands (pure)."""

from __future__ import annotations

from dataclasses import asdict

from db_client.records import (
    Channel,
    ChannelRecording,
    Guild,
    GuildPresence,
    GuildSetting,
    GuildSight,
    Installation,
    Watermark,
)
from db_client.report_windows import LENGTH_CLASS, LENGTH_CLASSES
from db_client.session_statements import cut
from db_client.statements import Parameters, Statement

STORE_GUILD = """
INSERT INTO guilds (guild_id, name, afk_channel_id, revision)
VALUES (:guild_id, :name, :afk_channel_id, :revision)
    ON CONFLICT (guild_id) DO UPDATE SET name = excluded.name, afk_channel_id = excluded.afk_channel_id,
       revision = excluded.revision
 WHERE excluded.revision > guilds.revision
"""

# A guild that is named nowhere else gets a row without a name: its first record brings one.
STORE_PRESENCE = """
INSERT INTO guilds (guild_id, name, left_at, absence_confirmed_at, presence_revision, revision)
VALUES (:guild_id, '', :left_at, :confirmed_at, :revision, -1)
    ON CONFLICT (guild_id) DO UPDATE SET left_at = excluded.left_at,
       absence_confirmed_at = excluded.absence_confirmed_at, presence_revision = excluded.presence_revision
 WHERE excluded.presence_revision > guilds.presence_revision
"""

STORE_INSTALLATION = """
INSERT INTO installation (name, value) VALUES ('application_id', :application_id) ON CONFLICT (name) DO NOTHING
"""

STORE_CHANNEL = """
INSERT INTO channels (channel_id, guild_id, name, kind, deleted_at, revision)
SELECT :channel_id, :guild_id, :name, :channel_type, :deleted_at, :revision
 WHERE EXISTS (SELECT 1 FROM voice_sessions WHERE channel_id = :channel_id AND ended_at IS NOT NULL)
    OR EXISTS (SELECT 1 FROM voice_sessions WHERE channel_id = :channel_id AND ended_at IS NULL)
    ON CONFLICT (channel_id) DO UPDATE SET name = excluded.name, kind = excluded.kind,
       deleted_at = excluded.deleted_at, revision = excluded.revision
 WHERE excluded.revision > channels.revision
"""

STORE_WATERMARK = """
INSERT INTO listener_watermarks (shard_id, shard_count, observed_at) VALUES (:shard_id, :shard_count, :observed_at)
    ON CONFLICT (shard_id, shard_count) DO UPDATE SET observed_at = excluded.observed_at
"""
# Nobody overwrites the mark of a former number of shards. One far ahead of the newest is of a clock that was wrong.
DROP_WATERMARKS_AHEAD = """
DELETE FROM listener_watermarks WHERE shard_count <> :shard_count AND observed_at > :observed_at + 86400000
"""

STORE_UNSEEN = """
INSERT INTO unseen_guilds (guild_id, unseen_since, revision) VALUES (:guild_id, :unseen_since, :revision)
    ON CONFLICT (guild_id) DO UPDATE SET unseen_since = excluded.unseen_since, revision = excluded.revision
 WHERE excluded.revision > unseen_guilds.revision
"""
DROP_UNSEEN = "DELETE FROM unseen_guilds WHERE guild_id = :guild_id AND revision < :revision"


def store_guild(guild: Guild) -> list[Statement]:
    """The guild as last seen."""
    return [Statement(STORE_GUILD, asdict(guild))]


def store_presence(presence: GuildPresence) -> list[Statement]:
    """Whether the bot is in the guild, as noticed last."""
    return [Statement(STORE_PRESENCE, asdict(presence))]


def store_installation(installation: Installation) -> list[Statement]:
    """Whose data these are, unless that is known."""
    return [Statement(STORE_INSTALLATION, {"application_id": str(installation.application_id)})]


def store_channel(channel: Channel) -> list[Statement]:
    """The channel as last seen, as long as a session in it stands."""
    return [Statement(STORE_CHANNEL, asdict(channel))]


def store_watermark(watermark: Watermark) -> list[Statement]:
    """The shard's mark as written last."""
    mark: Parameters = {"shard_count": watermark.shard_count, "observed_at": watermark.observed_at}
    return [
        Statement(STORE_WATERMARK, {**mark, "shard_id": watermark.shard_id}),
        Statement(DROP_WATERMARKS_AHEAD, mark),
    ]


def store_sight(sight: GuildSight) -> list[Statement]:
    """Since when the guild is not seen, or nothing of it, unless something newer stands."""
    told: Parameters = {"guild_id": sight.guild_id, "revision": sight.revision}
    if sight.seen:
        return [Statement(DROP_UNSEEN, told)]
    return [Statement(STORE_UNSEEN, {**told, "unseen_since": sight.unseen_since})]


# --- what managers decide ---------------------------------------------------------------------------------------------

STORE_SETTING = """
INSERT INTO guild_settings (guild_id, setting, value, version) VALUES (:guild_id, :setting, :value, :interaction_id)
    ON CONFLICT (guild_id, setting) DO UPDATE SET value = excluded.value, version = excluded.version
 WHERE excluded.version > guild_settings.version
"""

# Every guild of which something is stored has a row, so that its data can be found when the bot has left it.
ENSURE_GUILD = """
INSERT INTO guilds (guild_id, name, revision) VALUES (:guild_id, '', -1) ON CONFLICT (guild_id) DO NOTHING
"""

# `guilds.time_zone` follows the setting.
STORE_TIME_ZONE = """
UPDATE guilds
   SET time_zone = (SELECT value FROM guild_settings WHERE guild_id = :guild_id AND setting = 'time_zone')
 WHERE guild_id = :guild_id
"""


def store_setting(setting: GuildSetting) -> list[Statement]:
    """The setting, where no newer decision stands."""
    guild: Parameters = {"guild_id": setting.guild_id}
    statements = [Statement(STORE_SETTING, asdict(setting)), Statement(ENSURE_GUILD, guild)]
    if setting.setting == "time_zone":
        statements.append(Statement(STORE_TIME_ZONE, guild))
    return statements


STORE_RECORDING = """
INSERT INTO unrecorded_channels (channel_id, guild_id, from_at, to_at, version, name)
VALUES (:channel_id, :guild_id, :at, CASE WHEN :recorded THEN :at END, :version, :name)
    ON CONFLICT (channel_id) DO UPDATE SET
       from_at = CASE WHEN :recorded OR to_at IS NULL THEN from_at ELSE :at END,
       to_at = CASE WHEN :recorded THEN coalesce(to_at, :at) END,
       version = excluded.version, name = excluded.name
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
CUT_UNRECORDED = cut(
    "not_recorded",
    f"""s.rowid IN ({_LATER_IN_CHANNEL}) AND s.started_at < :at
   AND EXISTS (SELECT 1 FROM unrecorded_channels AS u WHERE u.channel_id = :channel_id AND u.version = :version)""",  # noqa: S608
)
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
    guild: Parameters = {"guild_id": recording.guild_id}
    name = None if recording.recorded else recording.name
    stored = [
        Statement(STORE_RECORDING, {**channel, **guild, "recorded": int(recording.recorded), "name": name}),
        Statement(ENSURE_GUILD, guild),
    ]
    if recording.recorded:
        return stored
    return [*stored, Statement(CUT_UNRECORDED, channel), Statement(DROP_UNRECORDED, channel)]
