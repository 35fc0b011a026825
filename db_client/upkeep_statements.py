"""What must go in time, who may remove it, and totals made anew (pure)."""

from __future__ import annotations

from db_client.records import Lease, Removal, TotalsRebuild
from db_client.report_windows import LENGTH_CLASS, LENGTH_CLASSES
from db_client.snowflake import DISCORD_EPOCH_MS
from db_client.statements import Parameters, Statement

# One that would last a day longer than this one was taken by a clock that was ahead: it may not hold up the others.
STORE_LEASE = """
INSERT INTO leases (name, holder, until_at) VALUES (:name, :holder, :until_at)
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until_at = excluded.until_at
 WHERE leases.until_at <= :at OR (leases.holder = excluded.holder AND leases.until_at < excluded.until_at)
    OR leases.until_at > excluded.until_at + 86400000
"""


def take_lease(lease: Lease) -> list[Statement]:
    """The lease, if nobody else holds it at that moment."""
    return [
        Statement(STORE_LEASE, {"name": lease.name, "holder": lease.holder, "at": lease.at, "until_at": lease.until_at})
    ]


LEFT_GUILD_DAYS = 30
"""After so many days without the bot a guild's data goes."""
ABSENCE_COUNTS_MS = 24 * 60 * 60 * 1000
"""So long (milliseconds) Discord's word that the bot is still not there counts."""

_LEASED = "EXISTS (SELECT 1 FROM leases WHERE name = 'removal' AND holder = :holder AND until_at > :at)"
# Thirty days after it was noticed, and Discord has said so again since, lately.
_LONG_GONE = """g.left_at + :left_days * 86400000 <= :at AND g.absence_confirmed_at >= g.left_at + :left_days * 86400000
               AND abs(:at - g.absence_confirmed_at) <= :counts_ms"""
_LEFT = f"""EXISTS (SELECT 1 FROM guilds AS g
             WHERE g.guild_id = :guild_id AND {_LONG_GONE})"""  # noqa: S608
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
    for table in (
        "channels",
        "voice_totals",
        "visible_on",
        "guild_settings",
        "unrecorded_channels",
        "unseen_guilds",
        "guilds",
    )
)


def remove(removal: Removal) -> list[Statement]:
    """One batch of what is due, if its holder has the lease."""
    guild: Parameters = {
        "guild_id": removal.guild_id,
        "at": removal.at,
        "holder": removal.holder,
    }
    left = {**guild, "left_days": LEFT_GUILD_DAYS, "counts_ms": ABSENCE_COUNTS_MS}
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


def rebuild_totals(rebuild: TotalsRebuild) -> list[Statement]:
    """The guild's totals, made anew from its sessions."""
    return [Statement(sql, {"guild_id": rebuild.guild_id}) for sql in MAKE_TOTALS]


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
SELECT guild_id FROM guilds AS g WHERE {_LONG_GONE}
 ORDER BY guild_id
"""  # noqa: S608


def newest_moment() -> Statement:
    """One row: the newest moment by Discord's clock that anything here tells of: at (ms since 1970 UTC; null: none).

    Of decisions (their ids are made of it), and of what the listeners have seen.
    """
    return Statement(
        f"""
SELECT max(at) AS at FROM (
  SELECT max(observed_at) AS at FROM listener_watermarks
   UNION ALL SELECT (max(interaction_id) >> 22) + {DISCORD_EPOCH_MS} FROM consent_log
   UNION ALL SELECT (max(version) >> 22) + {DISCORD_EPOCH_MS} FROM guild_settings
   UNION ALL SELECT (max(version) >> 22) + {DISCORD_EPOCH_MS} FROM unrecorded_channels
)
""",  # noqa: S608
        {},
    )


def removal_due(at: int) -> Statement:
    """The guilds that have something to lose at that moment (ms since 1970 UTC): guild_id."""
    return Statement(_DUE, {"at": at, "left_days": LEFT_GUILD_DAYS, "counts_ms": ABSENCE_COUNTS_MS})


_PAST = f"""s.guild_id = :guild_id AND {LENGTH_CLASS} = k.class
     AND s.started_at < :before AND s.ended_at <= :before AND s.ended_at IS NOT NULL"""
_PAST_SESSIONS = f"""
WITH {LENGTH_CLASSES},
past AS (SELECT 1 FROM length_classes AS k CROSS JOIN voice_sessions AS s WHERE {_PAST} LIMIT :most),
oldest (started_at) AS (
  SELECT (SELECT s.started_at FROM voice_sessions AS s WHERE {_PAST} ORDER BY s.started_at LIMIT 1)
    FROM length_classes AS k
)
SELECT (SELECT count(*) FROM past) AS sessions, (SELECT min(started_at) FROM oldest) AS oldest_at
"""  # noqa: S608


def past_sessions(guild_id: int, before: int, *, most: int) -> Statement:
    """One row: how many of a guild's sessions ended by `before` (`most` at most), and when the oldest of them began.

    sessions, oldest_at (ms since 1970 UTC; null if there is none).
    """
    return Statement(_PAST_SESSIONS, {"guild_id": guild_id, "before": before, "most": most})


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
