"""How a window of time is read: whole blocks from the totals, both ends from the sessions (pure).

The SQL pieces here are shared by all reports of `report_statements`. Why it is done so: db_client/REPORTS.md.
"""

# ruff: noqa: S608 - the pieces put together are constants; every value is a parameter

from __future__ import annotations

from typing import TypeAlias

from db_client.periods import Window

Parameters: TypeAlias = dict[str, int | float | str | None]

BLOCK_MS = 16 * 7 * 86_400_000
"""The length of a block of `voice_totals`; the same number stands in schema/0002."""

# The same expression as in the indexes of schema/0002: SQLite uses them only for the same text.
LENGTH_CLASS = """((s.ended_at - s.started_at > 900000) + (s.ended_at - s.started_at > 3600000)
        + (s.ended_at - s.started_at > 14400000) + (s.ended_at - s.started_at > 57600000)
        + (s.ended_at - s.started_at > 230400000) + (s.ended_at - s.started_at > 921600000)
        + (s.ended_at - s.started_at > 3686400000))"""

# Each class with the longest that a session in it can be.
LENGTH_CLASSES = """length_classes (class, longest) AS (
  VALUES (0, 900000), (1, 3600000), (2, 14400000), (3, 57600000), (4, 230400000), (5, 921600000), (6, 3686400000),
         (7, 4611686018427387904)
)"""

FRESH_MS = 120_000
"""A guild that was seen so lately counts as seen now: marks come every half minute, by way of a queue file."""

# Where a session `s` that has not ended is counted to; the moment of its beginning was seen, whatever came after.
RUNS_TO = "max(s.started_at, :seen_to)"


def seen_to(mark: int, now: int) -> int:
    """Up to when a guild has been seen, as its running sessions are counted at `now`: until then, and no further.

    `mark` is the last moment at which the guild is known to have been seen (`reading_statements.guild_mark`), 0 if
    there is none. All are milliseconds since 1970 UTC.
    """
    return now if now - mark <= FRESH_MS else mark


# The two ends of the window. A session that was running when the window began counts as one of its sessions.
_ENDS = f"""{LENGTH_CLASSES},
ends (a, b) AS (VALUES (:head_from, :head_to), (:tail_from, :tail_to))"""

_SHARE = """s.started_at >= e.a OR e.a = :from_at AS sessions,
         (s.afk = 0) * (min(s.ended_at, e.b) - max(s.started_at, e.a)) AS counted_ms,
         (s.afk <> 0) * (min(s.ended_at, e.b) - max(s.started_at, e.a)) AS afk_ms"""

_OVERLAPS = f"""{LENGTH_CLASS} = k.class
     AND s.started_at > e.a - k.longest AND s.started_at < e.b AND (s.ended_at > e.a OR s.started_at >= e.a)
     AND s.ended_at IS NOT NULL AND (e.b > e.a OR e.a = :from_at)"""

_RUNNING = f"""  SELECT s.channel_id, s.user_id, 1,
         (s.afk = 0) * (min(:to_at, {RUNS_TO}) - max(s.started_at, :from_at)),
         (s.afk <> 0) * (min(:to_at, {RUNS_TO}) - max(s.started_at, :from_at))
    FROM voice_sessions AS s
   WHERE s.guild_id = :guild_id AND s.ended_at IS NULL AND s.started_at < :to_at
     AND ({RUNS_TO} > :from_at OR s.started_at >= :from_at)"""

# The whole blocks of the window.
GUILD_BLOCKS = """voice_totals
   WHERE guild_id = :guild_id AND block >= :first_block AND block < :end_block"""

_GUILD_ENDS = f"""  SELECT s.channel_id, s.user_id, {_SHARE}
    FROM ends AS e CROSS JOIN length_classes AS k CROSS JOIN voice_sessions AS s
   WHERE s.guild_id = :guild_id AND {_OVERLAPS}
   UNION ALL
{_RUNNING}
)"""

# channel_id, user_id, sessions, counted_ms, afk_ms: rows to be summed, together exactly what lies in the window.
GUILD_SHARES = f"""{_ENDS},
shares (channel_id, user_id, sessions, counted_ms, afk_ms) AS (
  SELECT channel_id, user_id, sessions, counted_ms, afk_ms
    FROM {GUILD_BLOCKS}
   UNION ALL
{_GUILD_ENDS}"""

# The same without the whole blocks.
GUILD_ENDS = f"""{_ENDS},
at_ends (channel_id, user_id, sessions, counted_ms, afk_ms) AS MATERIALIZED (
{_GUILD_ENDS}"""

CHANNEL_SHARES = f"""{_ENDS},
shares (channel_id, user_id, sessions, counted_ms, afk_ms) AS (
  SELECT t.channel_id, t.user_id, t.sessions, t.counted_ms, t.afk_ms
    FROM blocks AS b CROSS JOIN voice_totals AS t
   WHERE b.block >= :first_block AND b.block < :end_block
     AND t.guild_id = :guild_id AND t.block = b.block AND t.channel_id = :channel_id
   UNION ALL
  SELECT s.channel_id, s.user_id, {_SHARE}
    FROM ends AS e CROSS JOIN length_classes AS k CROSS JOIN voice_sessions AS s
   WHERE s.guild_id = :guild_id AND s.channel_id = :channel_id AND {_OVERLAPS}
   UNION ALL
{_RUNNING} AND s.channel_id = :channel_id
)"""


def _sessions_since(since: str) -> str:
    """One person's sessions in one guild that lie in the window, from `since` on.

    As nobody sits twice, none that began before the last one at `since` can reach into it.
    """
    return f"""own AS MATERIALIZED (
  SELECT s.*, {RUNS_TO} AS runs_to, max(s.started_at, {since}) AS a, min(coalesce(s.ended_at, {RUNS_TO}), :to_at) AS b
    FROM voice_sessions AS s
   WHERE s.user_id = :user_id AND s.guild_id = :guild_id AND s.started_at < :to_at
     AND (coalesce(s.ended_at, {RUNS_TO}) > {since} OR s.started_at >= {since})
     AND s.started_at >= coalesce((SELECT max(p.started_at) FROM voice_sessions AS p
                                    WHERE p.user_id = :user_id AND p.guild_id = :guild_id
                                      AND p.started_at <= {since}), {since})
)"""


OWN_SESSIONS = _sessions_since(":from_at")
# From when on they show it to the guild; nothing of somebody who does not.
SEEN_SESSIONS = f"""since (at) AS MATERIALIZED (
  SELECT at FROM (SELECT max(:from_at, (SELECT min(v.shown_from) FROM visible_on AS v
                                         WHERE v.user_id = :user_id AND v.guild_id IN (0, :guild_id))) AS at
                    FROM opt_in_users AS u WHERE u.user_id = :user_id AND u.opted_in)
   WHERE at < :to_at
),
{_sessions_since("(SELECT at FROM since)")}"""


def shares_parameters(guild_id: int, window: Window, seen_to: int) -> Parameters:
    """The parameters of `GUILD_SHARES`, and of `CHANNEL_SHARES` but for :channel_id.

    The blocks lie whole inside the window; head and tail are the rest of it, and either may be empty.
    """
    first, end = -(-window.from_at // BLOCK_MS), window.to_at // BLOCK_MS
    if first < end:
        head, tail = Window(window.from_at, first * BLOCK_MS), Window(end * BLOCK_MS, window.to_at)
    else:
        first = end = 0
        head, tail = window, Window(window.to_at, window.to_at)
    return {
        "guild_id": guild_id,
        **bounds(window, seen_to),
        "first_block": first,
        "end_block": end,
        "head_from": head.from_at,
        "head_to": head.to_at,
        "tail_from": tail.from_at,
        "tail_to": tail.to_at,
    }


def bounds(window: Window, seen_to: int) -> Parameters:
    """The window as :from_at and :to_at, and up to when the guild has been seen as :seen_to."""
    return {"from_at": window.from_at, "to_at": window.to_at, "seen_to": seen_to}
