"""What the programs ask the service about consent, sessions and settings (pure; reports have `report_statements`)."""

from __future__ import annotations

import json
from collections.abc import Sequence

from db_client.records import VoiceSession
from db_client.statements import Statement

SESSION_COLUMNS = ", ".join(VoiceSession._fields)

# Where the person of a row of opt_in_users shows their time, and from when on: [[guild_id, ms since 1970 UTC], ...].
SHOWN = """(SELECT json_group_array(json_array(guild_id, shown_from))
          FROM (SELECT guild_id, min(shown_from) AS shown_from FROM visible_on AS v
                 WHERE v.user_id = opt_in_users.user_id GROUP BY guild_id)
         WHERE shown_from IS NOT NULL) AS shown"""


def consent_after(seq: int, limit: int = 1000) -> Statement:
    """Decisions that arrived after `seq`, oldest arrival first: seq, interaction_id, user_id, decision, at."""
    return Statement(
        "SELECT seq, interaction_id, user_id, decision, at FROM consent_log WHERE seq > :seq ORDER BY seq LIMIT :limit",
        {"seq": seq, "limit": limit},
    )


def newest_seq() -> Statement:
    """How far the consent log goes: seq, 0 if it is empty. Less than before means that the service was restored."""
    return Statement("SELECT coalesce(max(seq), 0) AS seq FROM consent_log", {})


def consent_between(first: int, last: int) -> Statement:
    """Which decisions stand in these rows of the consent log, both included: seq, interaction_id."""
    return Statement(
        "SELECT seq, interaction_id FROM consent_log WHERE seq BETWEEN :first AND :last ORDER BY seq",
        {"first": first, "last": last},
    )


def standing(user_id: int) -> Statement:
    """What stands about one person: opted_in, since, version, shown (see `SHOWN`); no row if nothing does."""
    return Statement(
        f"SELECT opted_in, since, version, {SHOWN} FROM opt_in_users WHERE user_id = :user_id",  # noqa: S608
        {"user_id": user_id},
    )


def open_sessions(
    shard_id: int, shard_count: int, *, after: tuple[int, int] = (0, 0), limit: int = 2**63 - 1
) -> Statement:
    """The open sessions of one shard's guilds, all columns, by guild_id and user_id, of whom each has one at most.

    `after` is the guild and the person of the last row that is known already: what comes after it, `limit` at most.
    https://discord.com/developers/docs/events/gateway#sharding
    """
    guild_id, user_id = after
    return Statement(
        f"SELECT {SESSION_COLUMNS} FROM voice_sessions"  # noqa: S608
        " WHERE ended_at IS NULL AND (guild_id, user_id) > (:guild_id, :user_id)"
        " AND (guild_id >> 22) % :shard_count = :shard_id"
        " ORDER BY guild_id, user_id LIMIT :limit",
        {
            "shard_id": shard_id,
            "shard_count": shard_count,
            "guild_id": guild_id,
            "user_id": user_id,
            "limit": limit,
        },
    )


def guild_names(shard_id: int, shard_count: int, *, after: int = 0, limit: int = 2**63 - 1) -> Statement:
    """What one shard's guilds are called here, by guild_id: guild_id, name, afk_channel_id, revision.

    Those after `after`, `limit` at most; none of which no name is known.
    """
    return Statement(
        "SELECT guild_id, name, afk_channel_id, revision FROM guilds"
        " WHERE guild_id > :after AND name <> '' AND (guild_id >> 22) % :shard_count = :shard_id"
        " ORDER BY guild_id LIMIT :limit",
        {"shard_id": shard_id, "shard_count": shard_count, "after": after, "limit": limit},
    )


def channel_names(shard_id: int, shard_count: int, *, after: int = 0, limit: int = 2**63 - 1) -> Statement:
    """What one shard's channels are called here, by channel_id: channel_id, guild_id, name, channel_type, revision.

    Those after `after`, `limit` at most; none that is marked deleted.
    """
    return Statement(
        "SELECT channel_id, guild_id, name, kind AS channel_type, revision FROM channels"
        " WHERE channel_id > :after AND deleted_at IS NULL AND (guild_id >> 22) % :shard_count = :shard_id"
        " ORDER BY channel_id LIMIT :limit",
        {"shard_id": shard_id, "shard_count": shard_count, "after": after, "limit": limit},
    )


def nameless_channels(channel_ids: Sequence[int]) -> Statement:
    """Of these channels those in which a session stands, and which have no name here: channel_id."""
    return Statement(
        "SELECT c.value AS channel_id FROM json_each(:channel_ids) AS c"
        " WHERE NOT EXISTS (SELECT 1 FROM channels AS n WHERE n.channel_id = c.value)"
        " AND (EXISTS (SELECT 1 FROM voice_sessions AS s WHERE s.channel_id = c.value AND s.ended_at IS NOT NULL)"
        " OR EXISTS (SELECT 1 FROM voice_sessions AS s WHERE s.channel_id = c.value AND s.ended_at IS NULL))",
        {"channel_ids": json.dumps(list(channel_ids))},
    )


def watermark(shard_id: int, shard_count: int) -> Statement:
    """The shard's mark as the service knows it: observed_at; no row if none was told."""
    return Statement(
        "SELECT observed_at FROM listener_watermarks WHERE shard_id = :shard_id AND shard_count = :shard_count",
        {"shard_id": shard_id, "shard_count": shard_count},
    )


def guild_mark(guild_id: str) -> str:
    """SQL for the moment (ms since 1970 UTC) up to which a guild was seen; never null, and 0 if it is not known to be.

    `guild_id` is SQL as well: a parameter or a column. It is when the guild was lost sight of, if it is not seen; else
    the newest mark of a shard that has, or had, the guild (https://discord.com/developers/docs/events/gateway#sharding).
    """
    return f"""coalesce(
  (SELECT coalesce(u.unseen_since, 0) FROM unseen_guilds AS u WHERE u.guild_id = {guild_id}),
  (SELECT max(w.observed_at) FROM listener_watermarks AS w WHERE ({guild_id} >> 22) % w.shard_count = w.shard_id),
  0)"""  # noqa: S608


def open_guild_marks(shard_id: int, shard_count: int) -> Statement:
    """The guilds of one shard in which a session is open, by guild_id, and up to when each was seen: guild_id, mark."""
    return Statement(
        f"SELECT o.guild_id, {guild_mark('o.guild_id')} AS mark"  # noqa: S608
        " FROM (SELECT DISTINCT guild_id FROM voice_sessions WHERE ended_at IS NULL) AS o"
        " WHERE (o.guild_id >> 22) % :shard_count = :shard_id ORDER BY o.guild_id",
        {"shard_id": shard_id, "shard_count": shard_count},
    )


def unseen_guilds(shard_id: int, shard_count: int) -> Statement:
    """The guilds of one shard that are said not to be seen, by guild_id: guild_id, unseen_since (or null), revision."""
    return Statement(
        "SELECT guild_id, unseen_since, revision FROM unseen_guilds"
        " WHERE (guild_id >> 22) % :shard_count = :shard_id ORDER BY guild_id",
        {"shard_id": shard_id, "shard_count": shard_count},
    )


_GUILDS = """
WITH RECURSIVE
ended (guild_id) AS (
  SELECT min(guild_id) FROM voice_sessions WHERE ended_at IS NOT NULL
   UNION ALL
  SELECT (SELECT min(s.guild_id) FROM voice_sessions AS s WHERE s.ended_at IS NOT NULL AND s.guild_id > ended.guild_id)
    FROM ended WHERE ended.guild_id IS NOT NULL
),
open (guild_id) AS (
  SELECT min(guild_id) FROM voice_sessions WHERE ended_at IS NULL
   UNION ALL
  SELECT (SELECT min(s.guild_id) FROM voice_sessions AS s WHERE s.ended_at IS NULL AND s.guild_id > open.guild_id)
    FROM open WHERE open.guild_id IS NOT NULL
),
shown (guild_id) AS (
  SELECT min(guild_id) FROM visible_on WHERE guild_id > 0
   UNION ALL
  SELECT (SELECT min(v.guild_id) FROM visible_on AS v WHERE v.guild_id > shown.guild_id)
    FROM shown WHERE shown.guild_id IS NOT NULL
),
stored (guild_id) AS (
  SELECT guild_id FROM guilds UNION SELECT guild_id FROM unseen_guilds
   UNION SELECT guild_id FROM ended UNION SELECT guild_id FROM open UNION SELECT guild_id FROM shown
)
SELECT stored.guild_id, coalesce(g.presence_revision, 0) AS revision, g.left_at, g.absence_confirmed_at AS confirmed_at
  FROM stored LEFT JOIN guilds AS g ON g.guild_id = stored.guild_id
 WHERE stored.guild_id IS NOT NULL AND (stored.guild_id >> 22) % :shard_count = :shard_id
 ORDER BY stored.guild_id
"""


def guilds_of_shard(shard_id: int, shard_count: int) -> Statement:
    """Every guild of the shard of which anything is stored, and whether the bot is in it.

    The fields of `GuildPresence`; left_at null: the bot is there, as far as is known.
    https://discord.com/developers/docs/events/gateway#sharding
    """
    return Statement(_GUILDS, {"shard_id": shard_id, "shard_count": shard_count})


def application() -> Statement:
    """Whose data these are: value, the application's id as text; no row if nobody has said so."""
    return Statement("SELECT value FROM installation WHERE name = 'application_id'", {})


def guild_settings(guild_id: int) -> Statement:
    """What the managers of a guild decided: setting, value (null: the default); no row for what nobody decided."""
    return Statement("SELECT setting, value FROM guild_settings WHERE guild_id = :guild_id", {"guild_id": guild_id})


def unrecorded_in_guild(guild_id: int) -> Statement:
    """The channels of a guild that are not recorded now: channel_id, name (or null), from_at, by channel_id."""
    return Statement(
        "SELECT channel_id, name, from_at FROM unrecorded_channels WHERE guild_id = :guild_id AND to_at IS NULL"
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
