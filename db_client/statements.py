"""All SQL of the system, as pure functions from records to statements (reports have `report_statements`).

A statement is a text and its named parameters. No text reads a clock or a random number: rqlite would replay it
differently, and a repeated write would differ from the first. Four rules of the design are kept here, at the writer:
consent (a session is cut to the person's consent intervals), erasure is final, one seat, and twice is once.
"""

from __future__ import annotations

from functools import singledispatch
from typing import NamedTuple

from db_client.records import (
    Channel,
    ChannelRecording,
    ConsentDecision,
    Guild,
    GuildSetting,
    Lease,
    Record,
    Removal,
    Retraction,
    TotalsRebuild,
    VoiceSession,
    Watermark,
)
from db_client.report_windows import LENGTH_CLASS, LENGTH_CLASSES

FOREVER = 2**63 - 1


class Statement(NamedTuple):
    """One SQL statement; `parameters` holds exactly the names the text has, without their colon."""

    sql: str
    parameters: dict[str, int | float | str | None]


@singledispatch
def statements_for(record: Record) -> list[Statement]:
    """The statements that make the record true in the service; run in one transaction, any number of times."""
    raise TypeError(f"no statements for {type(record).__name__}")


# --- consent ---------------------------------------------------------------------------------------------------------

# A decision older than the person's newest erasure is not written: nothing may bring an erased person back.
LOG_DECISION = """
INSERT INTO consent_log (interaction_id, user_id, decision, at)
SELECT :interaction_id, :user_id, :decision, :at
 WHERE NOT EXISTS (SELECT 1 FROM consent_log
                    WHERE user_id = :user_id AND decision = 'erase' AND interaction_id > :interaction_id)
    ON CONFLICT (interaction_id) DO NOTHING
"""

STORE_PROFILE = """
INSERT INTO opt_in_users (user_id, username, display_name, avatar_url, opted_in, since, version, visibility)
SELECT :user_id, :username, :display_name, :avatar_url, 1, :at, :interaction_id, :visibility
 WHERE EXISTS (SELECT 1 FROM consent_log WHERE interaction_id = :interaction_id AND decision = 'in')
   AND NOT EXISTS (SELECT 1 FROM consent_log
                    WHERE user_id = :user_id AND decision = 'in' AND interaction_id > :interaction_id)
    ON CONFLICT (user_id) DO UPDATE SET username = excluded.username, display_name = excluded.display_name,
       avatar_url = excluded.avatar_url, visibility = excluded.visibility
"""

# What stands follows from the log alone, so the order in which decisions arrive does not matter. `since` is the first
# decision behind the newest one of the other kind. The row that stands is the answer: whoever decided is told from it.
STATE_FROM_LOG = """
UPDATE opt_in_users
   SET version = (SELECT max(interaction_id) FROM consent_log WHERE user_id = :user_id),
       opted_in = (SELECT decision = 'in' FROM consent_log WHERE user_id = :user_id
                    ORDER BY interaction_id DESC LIMIT 1),
       since = (SELECT at FROM consent_log
                 WHERE user_id = :user_id
                   AND interaction_id > coalesce((SELECT interaction_id FROM consent_log
                                                   WHERE user_id = :user_id
                                                     AND (decision = 'in') <> (SELECT decision = 'in' FROM consent_log
                                                                                WHERE user_id = :user_id
                                                                                ORDER BY interaction_id DESC LIMIT 1)
                                                   ORDER BY interaction_id DESC LIMIT 1), 0)
                 ORDER BY interaction_id LIMIT 1)
 WHERE user_id = :user_id
RETURNING opted_in, since, version, visibility
"""

# A decision that arrives late can cut sessions that are already stored. First the parts of closed sessions behind a
# later consent are given rows of their own (the listener adds them for open ones), then every session is cut. A part's
# id is that of the stay (what stands before the first '-') and of the consent it begins with, as the listener has it.
SPLIT_SESSIONS = """
INSERT INTO voice_sessions (session_id, guild_id, channel_id, user_id, started_at, ended_at, started_by, ended_by,
       started_within_ms, ended_within_ms, afk, muted_ms, deafened_ms, video_ms, stream_ms, alone_ms, flags, flags_at,
       revision)
SELECT CASE WHEN instr(s.session_id, '-') THEN substr(s.session_id, 1, instr(s.session_id, '-') - 1)
            ELSE s.session_id END || '-' || i.version, s.guild_id, s.channel_id, s.user_id, i.from_at,
       min(s.ended_at, coalesce(i.to_at, s.ended_at)), 'opted_in',
       CASE WHEN i.to_at < s.ended_at THEN 'opted_out' ELSE s.ended_by END,
       0, CASE WHEN i.to_at < s.ended_at THEN 0 ELSE s.ended_within_ms END,
       s.afk, 0, 0, 0, 0, 0, 0, i.from_at, s.revision
  FROM voice_sessions AS s
  JOIN consent_intervals AS i ON i.user_id = s.user_id
 WHERE s.user_id = :user_id AND s.started_at < i.from_at AND s.ended_at > i.from_at
   AND EXISTS (SELECT 1 FROM consent_log AS c
                WHERE c.user_id = s.user_id AND c.decision <> 'in'
                  AND c.interaction_id < i.version AND c.at >= s.started_at)
    ON CONFLICT (session_id) DO NOTHING
"""

CUT_SESSIONS = """
UPDATE voice_sessions
   SET ended_at = max(started_at, :at), ended_by = 'opted_out', ended_within_ms = 0,
       muted_ms = min(muted_ms, max(0, :at - started_at)), deafened_ms = min(deafened_ms, max(0, :at - started_at)),
       video_ms = min(video_ms, max(0, :at - started_at)), stream_ms = min(stream_ms, max(0, :at - started_at)),
       alone_ms = min(alone_ms, max(0, :at - started_at))
 WHERE user_id = :user_id AND started_at <= :at AND coalesce(ended_at, 9223372036854775807) > :at
   AND NOT EXISTS (SELECT 1 FROM consent_intervals AS i
                    WHERE i.user_id = voice_sessions.user_id AND i.from_at <= voice_sessions.started_at
                      AND coalesce(i.to_at, 9223372036854775807)
                          >= coalesce(voice_sessions.ended_at, 9223372036854775807))
"""

# Sessions that no consent covers, not even at one moment. What ended before the decision is as it was.
DROP_UNCONSENTED = """
DELETE FROM voice_sessions
 WHERE user_id = :user_id AND coalesce(ended_at, 9223372036854775807) >= :at
   AND NOT EXISTS (SELECT 1 FROM consent_intervals AS i
                    WHERE i.user_id = voice_sessions.user_id AND i.from_at <= voice_sessions.started_at
                      AND coalesce(i.to_at, 9223372036854775807)
                          >= coalesce(voice_sessions.ended_at, voice_sessions.started_at))
"""

# Erasure: everything decided or begun before it goes; the decision itself stays, so that nothing late comes back.
ERASE = (
    "DELETE FROM consent_log WHERE user_id = :user_id AND interaction_id < :interaction_id",
    "DELETE FROM voice_sessions WHERE user_id = :user_id AND started_at < :at",
    """
DELETE FROM opt_in_users
 WHERE user_id = :user_id
   AND NOT EXISTS (SELECT 1 FROM consent_log
                    WHERE user_id = :user_id AND decision = 'in' AND interaction_id > :interaction_id)
""",
)


@statements_for.register
def _(decision: ConsentDecision) -> list[Statement]:
    who: dict[str, int | float | str | None] = {"user_id": decision.user_id}
    when = {**who, "interaction_id": decision.interaction_id}
    at = {**who, "at": decision.at}
    logged = Statement(LOG_DECISION, {**when, "decision": decision.decision, "at": decision.at})
    state = Statement(STATE_FROM_LOG, who)
    if decision.decision == "in":
        profile = Statement(
            STORE_PROFILE,
            {
                **when,
                "at": decision.at,
                "username": decision.username,
                "display_name": decision.display_name,
                "avatar_url": decision.avatar_url,
                "visibility": decision.visibility,
            },
        )
        return [logged, profile, state]
    cut = [Statement(SPLIT_SESSIONS, who), Statement(CUT_SESSIONS, at), Statement(DROP_UNCONSENTED, at)]
    if decision.decision == "out":
        return [logged, state, *cut]
    log, sessions, profile_row = ERASE
    return [
        logged,
        *cut,
        Statement(log, when),
        Statement(sessions, at),
        Statement(DROP_UNCONSENTED, at),
        Statement(profile_row, when),
        state,
    ]


# --- voice sessions --------------------------------------------------------------------------------------------------

# The stay is first cut to what the channel allows: one that began before the channel's unrecorded time ends with its
# beginning, one that began in it begins with its end. The row is then cut to the first consent interval that it meets
# (none: no row), and is written only where it overlaps no other session of the person in the guild. A second listener's
# copy of a session therefore changes nothing. (As stored sessions do not overlap, of those that began no later than
# this one only the last can reach into it: the others, perhaps thousands, need not be read.)
STORE_SESSION = """
WITH stay AS (
  SELECT CASE WHEN u.from_at <= :started_at AND coalesce(u.to_at, 9223372036854775807) > :started_at
              THEN coalesce(u.to_at, 9223372036854775807) ELSE :started_at END AS started_at,
         CASE WHEN u.from_at > :started_at AND u.from_at < coalesce(:ended_at, 9223372036854775807)
              THEN u.from_at ELSE coalesce(:ended_at, 9223372036854775807) END AS until
    FROM (SELECT :channel_id AS channel_id) AS c
    LEFT JOIN unrecorded_channels AS u
      ON u.channel_id = c.channel_id AND coalesce(u.to_at, 9223372036854775807) > u.from_at
),
piece AS (
  SELECT max(t.started_at, i.from_at) AS started_at,
         min(t.until, coalesce(i.to_at, 9223372036854775807)) AS until,
         i.from_at > t.started_at AS begun_by_consent,
         coalesce(i.to_at, 9223372036854775807) < t.until AS ended_by_consent,
         t.started_at > :started_at AS begun_by_channel,
         t.until < coalesce(:ended_at, 9223372036854775807) AS ended_by_channel
    FROM stay AS t JOIN consent_intervals AS i
      ON i.from_at <= t.until AND coalesce(i.to_at, 9223372036854775807) > t.started_at
   WHERE i.user_id = :user_id AND t.started_at <= t.until
   ORDER BY i.from_at LIMIT 1
)
INSERT INTO voice_sessions (session_id, guild_id, channel_id, user_id, started_at, ended_at, started_by, ended_by,
       started_within_ms, ended_within_ms, afk, muted_ms, deafened_ms, video_ms, stream_ms, alone_ms, flags, flags_at,
       revision)
SELECT :session_id, :guild_id, :channel_id, :user_id, p.started_at, nullif(p.until, 9223372036854775807),
       CASE WHEN p.begun_by_consent THEN 'opted_in' WHEN p.begun_by_channel THEN 'recorded' ELSE :started_by END,
       CASE WHEN p.ended_by_consent THEN 'opted_out' WHEN p.ended_by_channel THEN 'not_recorded' ELSE :ended_by END,
       CASE WHEN p.begun_by_consent OR p.begun_by_channel THEN 0 ELSE :started_within_ms END,
       CASE WHEN p.ended_by_consent OR p.ended_by_channel THEN 0 ELSE :ended_within_ms END,
       :afk,
       min(:muted_ms, p.until - p.started_at), min(:deafened_ms, p.until - p.started_at),
       min(:video_ms, p.until - p.started_at), min(:stream_ms, p.until - p.started_at),
       min(:alone_ms, p.until - p.started_at), :flags, :flags_at, :revision
  FROM piece AS p
 WHERE NOT EXISTS (SELECT 1 FROM voice_sessions AS o
                    WHERE o.user_id = :user_id AND o.guild_id = :guild_id AND o.session_id <> :session_id
                      AND o.started_at < p.until AND coalesce(o.ended_at, 9223372036854775807) > p.started_at
                      AND o.started_at >= coalesce((SELECT b.started_at FROM voice_sessions AS b
                                                     WHERE b.user_id = :user_id AND b.guild_id = :guild_id
                                                       AND b.session_id <> :session_id
                                                       AND b.started_at <= p.started_at
                                                     ORDER BY b.started_at DESC LIMIT 1), p.started_at))
    ON CONFLICT (session_id) DO UPDATE SET
       started_at = excluded.started_at, ended_at = excluded.ended_at, started_by = excluded.started_by,
       ended_by = excluded.ended_by, started_within_ms = excluded.started_within_ms,
       ended_within_ms = excluded.ended_within_ms, afk = excluded.afk, muted_ms = excluded.muted_ms,
       deafened_ms = excluded.deafened_ms, video_ms = excluded.video_ms, stream_ms = excluded.stream_ms,
       alone_ms = excluded.alone_ms, flags = excluded.flags, flags_at = excluded.flags_at, revision = excluded.revision
 WHERE excluded.revision > voice_sessions.revision
"""


# An older revision, of when it was still open, may have been cut to a consent that began after the session's end.
DROP_STALE = (
    "DELETE FROM voice_sessions WHERE session_id = :session_id AND revision < :revision AND started_at > :ended_at"
)


@statements_for.register
def _(session: VoiceSession) -> list[Statement]:
    stale = Statement(
        DROP_STALE,
        {"session_id": session.session_id, "revision": session.revision, "ended_at": session.ended_at},
    )
    return [
        *([] if session.ended_at is None else [stale]),
        Statement(
            STORE_SESSION,
            {
                "session_id": session.session_id,
                "guild_id": session.guild_id,
                "channel_id": session.channel_id,
                "user_id": session.user_id,
                "started_at": session.started_at,
                "ended_at": session.ended_at,
                "started_by": session.started_by,
                "ended_by": session.ended_by,
                "started_within_ms": session.started_within_ms,
                "ended_within_ms": session.ended_within_ms,
                "afk": int(session.afk),
                "muted_ms": session.muted_ms,
                "deafened_ms": session.deafened_ms,
                "video_ms": session.video_ms,
                "stream_ms": session.stream_ms,
                "alone_ms": session.alone_ms,
                "flags": session.flags,
                "flags_at": session.flags_at,
                "revision": session.revision,
            },
        ),
    ]


RETRACT_SESSION = "DELETE FROM voice_sessions WHERE session_id = :session_id AND revision < :revision"


@statements_for.register
def _(retraction: Retraction) -> list[Statement]:
    return [Statement(RETRACT_SESSION, {"session_id": retraction.session_id, "revision": retraction.revision})]


# --- names and watermarks --------------------------------------------------------------------------------------------

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


@statements_for.register
def _(guild: Guild) -> list[Statement]:
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


@statements_for.register
def _(channel: Channel) -> list[Statement]:
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


@statements_for.register
def _(watermark: Watermark) -> list[Statement]:
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


@statements_for.register
def _(setting: GuildSetting) -> list[Statement]:
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


@statements_for.register
def _(recording: ChannelRecording) -> list[Statement]:
    channel: dict[str, int | float | str | None] = {
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


# --- removal and rebuilding ------------------------------------------------------------------------------------------

STORE_LEASE = """
INSERT INTO leases (name, holder, until_at) VALUES (:name, :holder, :until_at)
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until_at = excluded.until_at
 WHERE leases.until_at <= :at OR (leases.holder = excluded.holder AND leases.until_at < excluded.until_at)
"""


@statements_for.register
def _(lease: Lease) -> list[Statement]:
    return [
        Statement(STORE_LEASE, {"name": lease.name, "holder": lease.holder, "at": lease.at, "until_at": lease.until_at})
    ]


LEFT_GUILD_DAYS = 30
"""After so many days without the bot a guild's data goes."""

_LEASED = "EXISTS (SELECT 1 FROM leases WHERE name = 'removal' AND holder = :holder AND until_at > :at)"
_LEFT = """EXISTS (SELECT 1 FROM guilds AS g
             WHERE g.guild_id = :guild_id AND g.left_at + :left_days * 86400000 <= :at)"""
_EMPTY = """NOT EXISTS (SELECT 1 FROM voice_sessions WHERE guild_id = :guild_id AND ended_at IS NOT NULL)
   AND NOT EXISTS (SELECT 1 FROM voice_sessions WHERE guild_id = :guild_id AND ended_at IS NULL)"""

# What is due is decided here, by what stands when the batch arrives: a batch that waited follows a newer setting.
REMOVE_SESSIONS = f"""
DELETE FROM voice_sessions
 WHERE rowid IN (WITH {LENGTH_CLASSES},
                      kept (from_at) AS (SELECT :at - 86400000 * CAST(value AS INTEGER) FROM guild_settings
                                          WHERE guild_id = :guild_id AND setting = 'retention_days')
                 SELECT s.rowid FROM kept CROSS JOIN length_classes AS k CROSS JOIN voice_sessions AS s
                  WHERE s.guild_id = :guild_id AND {LENGTH_CLASS} = k.class
                    AND s.started_at < kept.from_at AND s.ended_at <= kept.from_at AND s.ended_at IS NOT NULL
                  LIMIT :most)
   AND {_LEASED}
"""  # noqa: S608
REMOVE_LEFT_SESSIONS = f"""
DELETE FROM voice_sessions
 WHERE rowid IN (SELECT rowid FROM voice_sessions WHERE guild_id = :guild_id AND ended_at IS NOT NULL
                  UNION ALL
                 SELECT rowid FROM voice_sessions WHERE guild_id = :guild_id AND ended_at IS NULL
                  LIMIT :most) AND {_LEFT} AND {_LEASED}
"""  # noqa: S608
REMOVE_LEFT_GUILD = tuple(
    f"DELETE FROM {table} WHERE guild_id = :guild_id AND {_LEFT} AND {_EMPTY} AND {_LEASED}"  # noqa: S608
    for table in ("channels", "guild_settings", "unrecorded_channels", "guilds")
)


@statements_for.register
def _(removal: Removal) -> list[Statement]:
    guild: dict[str, int | float | str | None] = {
        "guild_id": removal.guild_id,
        "at": removal.at,
        "holder": removal.holder,
    }
    left = {**guild, "left_days": LEFT_GUILD_DAYS}
    return [
        Statement(REMOVE_SESSIONS, {**guild, "most": removal.most}),
        Statement(REMOVE_LEFT_SESSIONS, {**left, "most": removal.most}),
        *(Statement(sql, left) for sql in REMOVE_LEFT_GUILD),
    ]


MAKE_TOTALS = (
    "DELETE FROM voice_totals WHERE guild_id = :guild_id",
    """
INSERT INTO voice_totals (guild_id, block, channel_id, user_id, sessions, counted_ms, afk_ms)
SELECT guild_id, block, channel_id, user_id, sum(sessions), sum(counted_ms), sum(afk_ms)
  FROM session_shares
 WHERE guild_id = :guild_id
 GROUP BY guild_id, block, channel_id, user_id
""",
)


@statements_for.register
def _(rebuild: TotalsRebuild) -> list[Statement]:
    return [Statement(sql, {"guild_id": rebuild.guild_id}) for sql in MAKE_TOTALS]


# --- reading ---------------------------------------------------------------------------------------------------------


def consent_after(seq: int, limit: int = 1000) -> Statement:
    """Decisions that arrived after `seq`, oldest arrival first: seq, interaction_id, user_id, decision, at."""
    return Statement(
        "SELECT seq, interaction_id, user_id, decision, at FROM consent_log WHERE seq > :seq ORDER BY seq LIMIT :limit",
        {"seq": seq, "limit": limit},
    )


def newest_seq() -> Statement:
    """How far the consent log goes: seq, 0 if it is empty. Less than before means that the service was restored."""
    return Statement("SELECT coalesce(max(seq), 0) AS seq FROM consent_log", {})


def standing(user_id: int) -> Statement:
    """What stands about one person: opted_in, since, version, visibility; no row if nothing does."""
    return Statement(
        "SELECT opted_in, since, version, visibility FROM opt_in_users WHERE user_id = :user_id", {"user_id": user_id}
    )


def newest_decision(user_id: int) -> Statement:
    """The person's newest decision: interaction_id, decision, at; no row if there is none."""
    return Statement(
        "SELECT interaction_id, decision, at FROM consent_log WHERE user_id = :user_id"
        " ORDER BY interaction_id DESC LIMIT 1",
        {"user_id": user_id},
    )


def open_sessions(shard_id: int, shard_count: int) -> Statement:
    """The open sessions of one shard's guilds, all columns, by session_id.

    https://discord.com/developers/docs/events/gateway#sharding
    """
    return Statement(
        "SELECT * FROM voice_sessions WHERE ended_at IS NULL AND (guild_id >> 22) % :shard_count = :shard_id"
        " ORDER BY session_id",
        {"shard_id": shard_id, "shard_count": shard_count},
    )


def watermark(shard_id: int) -> Statement:
    """The shard's watermark as the service knows it: observed_at."""
    return Statement("SELECT observed_at FROM listener_watermarks WHERE shard_id = :shard_id", {"shard_id": shard_id})


def guild_settings(guild_id: int) -> Statement:
    """What the managers of a guild decided: setting, value (null: the default); no row for what nobody decided."""
    return Statement("SELECT setting, value FROM guild_settings WHERE guild_id = :guild_id", {"guild_id": guild_id})


def unrecorded_in_guild(guild_id: int) -> Statement:
    """The channels of a guild that are not recorded now: channel_id, from_at, by channel_id."""
    return Statement(
        "SELECT channel_id, from_at FROM unrecorded_channels WHERE guild_id = :guild_id AND to_at IS NULL"
        " ORDER BY channel_id",
        {"guild_id": guild_id},
    )


def recording_after(version: int, shard_id: int, shard_count: int) -> Statement:
    """What was decided about channels of one shard's guilds after `version`, oldest first.

    guild_id, channel_id, from_at, to_at (null: not recorded since from_at; else recorded since to_at), version.
    """
    return Statement(
        "SELECT guild_id, channel_id, from_at, to_at, version FROM unrecorded_channels"
        " WHERE version > :version AND (guild_id >> 22) % :shard_count = :shard_id ORDER BY version",
        {"version": version, "shard_id": shard_id, "shard_count": shard_count},
    )


def lease(name: str) -> Statement:
    """Who holds the lease: holder, until_at; no row if nobody ever did."""
    return Statement("SELECT holder, until_at FROM leases WHERE name = :name", {"name": name})


_DUE = f"""
WITH {LENGTH_CLASSES},
kept (guild_id, from_at) AS (
  SELECT guild_id, :at - 86400000 * CAST(value AS INTEGER) FROM guild_settings
   WHERE setting = 'retention_days' AND value IS NOT NULL
)
SELECT guild_id FROM kept
 WHERE EXISTS (SELECT 1 FROM length_classes AS k CROSS JOIN voice_sessions AS s
                WHERE s.guild_id = kept.guild_id AND {LENGTH_CLASS} = k.class
                  AND s.started_at < kept.from_at AND s.ended_at <= kept.from_at AND s.ended_at IS NOT NULL)
 UNION
SELECT guild_id FROM guilds WHERE left_at + :left_days * 86400000 <= :at
 ORDER BY guild_id
"""  # noqa: S608


def removal_due(at: int) -> Statement:
    """The guilds that have something to lose at that moment (ms since 1970 UTC): guild_id."""
    return Statement(_DUE, {"at": at, "left_days": LEFT_GUILD_DAYS})


def guilds_with_totals() -> Statement:
    """Every guild that has ended sessions or totals: guild_id."""
    return Statement(
        """
WITH RECURSIVE
stored (guild_id) AS (
  SELECT min(guild_id) FROM voice_sessions WHERE ended_at IS NOT NULL
   UNION ALL
  SELECT (SELECT min(s.guild_id) FROM voice_sessions AS s WHERE s.ended_at IS NOT NULL AND s.guild_id > stored.guild_id)
    FROM stored WHERE stored.guild_id IS NOT NULL
),
summed (guild_id) AS (
  SELECT min(guild_id) FROM voice_totals
   UNION ALL
  SELECT (SELECT min(t.guild_id) FROM voice_totals AS t WHERE t.guild_id > summed.guild_id)
    FROM summed WHERE summed.guild_id IS NOT NULL
)
SELECT guild_id FROM stored WHERE guild_id IS NOT NULL UNION SELECT guild_id FROM summed WHERE guild_id IS NOT NULL
 ORDER BY guild_id
""",
        {},
    )
