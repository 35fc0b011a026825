"""All SQL of the reports, as pure functions to statements; none changes anything, none reads a clock.

A window never ends after the moment of asking. A running session is counted as far as it was seen: up to `seen_to`
(`report_windows.seen_to`), and no further than the window. Durations and moments are milliseconds (since 1970 UTC).
Time in the AFK channel is never in `counted_ms`; it stands in `afk_ms`. Other people appear only if their newest
decision is "in" and they show their time to the guild (`visible_on`), with what lies at or after the moment from which
they do. Sums over people who do not are made by `report_sums`.
"""

# ruff: noqa: S608 - the pieces put together are constants; every value is a parameter

from __future__ import annotations

import json
from collections.abc import Sequence

from db_client.periods import Window
from db_client.reading_statements import SESSION_COLUMNS, guild_mark
from db_client.report_windows import (
    BLOCK_MS,
    CHANNEL_SHARES,
    GUILD_SHARES,
    LENGTH_CLASS,
    LENGTH_CLASSES,
    OWN_SESSIONS,
    RUNS_TO,
    SEEN_SESSIONS,
    bounds,
    shares_parameters,
)
from db_client.statements import Parameters, Statement

# From when on the person of a row `u` of opt_in_users shows their time to the guild; null: they do not.
SHOWN_FROM = """(SELECT min(v.shown_from) FROM visible_on AS v
           WHERE v.user_id = u.user_id AND v.guild_id IN (0, :guild_id))"""
SHOWN = f"u.opted_in AND {SHOWN_FROM} IS NOT NULL"

# --- how far the guild was seen ---------------------------------------------------------------------------------------

# That a guild by itself is not seen is known only where somebody sits: who does, and shows it to nobody, must not be
# told of by it.
_GUILD_SIGHT = f"""
SELECT m.mark,
       NOT EXISTS (SELECT 1 FROM unseen_guilds WHERE guild_id = :guild_id)
       OR EXISTS (SELECT 1 FROM voice_sessions AS s LEFT JOIN opt_in_users AS u ON u.user_id = s.user_id
                   WHERE s.guild_id = :guild_id AND s.ended_at IS NULL
                     AND (s.user_id = :user_id OR (u.opted_in AND {SHOWN_FROM} < m.mark))) AS told
  FROM (SELECT {guild_mark(":guild_id")} AS mark) AS m
"""


def guild_sight(guild_id: int, user_id: int) -> Statement:
    """One row: `mark`, up to when the guild was seen (0: never), and `told`: 1 if `user_id` may be told so.

    What may not be told of changes no number about fewer than three people that the person can get.
    """
    return Statement(_GUILD_SIGHT, {"guild_id": guild_id, "user_id": user_id})


# --- one person's own time -------------------------------------------------------------------------------------------

# Of a session cut by the window's edge, the states count in proportion: only their sums are stored.
_OWN_CHANNELS = f"""
WITH {OWN_SESSIONS}
SELECT o.channel_id, c.name, count(*) AS sessions,
       sum((o.afk = 0) * (o.b - o.a)) AS counted_ms, sum((o.afk <> 0) * (o.b - o.a)) AS afk_ms,
       coalesce(sum((o.afk = 0) * o.muted_ms * (o.b - o.a) / max(1, o.ended_at - o.started_at)), 0) AS muted_ms,
       coalesce(sum((o.afk = 0) * o.deafened_ms * (o.b - o.a) / max(1, o.ended_at - o.started_at)), 0) AS deafened_ms
  FROM own AS o LEFT JOIN channels AS c ON c.channel_id = o.channel_id
 GROUP BY o.channel_id
 ORDER BY counted_ms DESC, o.channel_id
"""

_OWN_BARS = f"""
WITH {OWN_SESSIONS}
SELECT e.key AS bar,
       sum(max(0, min(o.b, json_extract(e.value, '$[1]')) - max(o.a, json_extract(e.value, '$[0]')))) AS counted_ms
  FROM json_each(:edges) AS e CROSS JOIN own AS o
 WHERE o.afk = 0 AND o.a < json_extract(e.value, '$[1]') AND o.b > json_extract(e.value, '$[0]')
 GROUP BY e.key
"""

# Of a person whose time the guild may see.
_SHOWN_CHANNELS = f"""
WITH {SEEN_SESSIONS}
SELECT channel_id, count(*) AS sessions, sum(b - a) AS counted_ms
  FROM own WHERE afk = 0
 GROUP BY channel_id
 ORDER BY counted_ms DESC, channel_id
"""
_SHOWN_BARS = _OWN_BARS.replace(OWN_SESSIONS, SEEN_SESSIONS)

_OWN_SESSIONS_PAGE = f"""
WITH {OWN_SESSIONS}
SELECT o.session_id, o.channel_id, c.name, o.started_at, o.ended_at, o.started_by, o.ended_by, o.started_within_ms,
       o.ended_within_ms, o.afk, o.muted_ms, o.deafened_ms, o.b - o.a AS in_window_ms,
       o.runs_to, count(*) OVER () AS of_all
  FROM own AS o LEFT JOIN channels AS c ON c.channel_id = o.channel_id
 ORDER BY o.started_at DESC, o.session_id DESC
 LIMIT :limit OFFSET :offset
"""


def own_channels(guild_id: int, user_id: int, window: Window, *, seen_to: int) -> Statement:
    """Per channel: channel_id, name (or null), sessions, counted_ms, afk_ms, muted_ms, deafened_ms.

    The two states are of ended sessions; those of a running one follow from `own_running`.
    """
    return Statement(_OWN_CHANNELS, {"guild_id": guild_id, "user_id": user_id, **bounds(window, seen_to)})


def own_bars(guild_id: int, user_id: int, bars: Sequence[Window], *, seen_to: int) -> Statement:
    """Per bar that has any time: its index as `bar`, counted_ms. The bars are in order, without holes."""
    return _bars(_OWN_BARS, guild_id, user_id, bars, seen_to)


def _bars(sql: str, guild_id: int, user_id: int, bars: Sequence[Window], seen_to: int) -> Statement:
    window = Window(bars[0].from_at, bars[-1].to_at)
    edges = json.dumps([list(bar) for bar in bars])
    return Statement(sql, {"guild_id": guild_id, "user_id": user_id, **bounds(window, seen_to), "edges": edges})


def own_running(guild_id: int, user_id: int, *, seen_to: int) -> Statement:
    """The person's running session, if any: channel_id, started_at, runs_to (as far as it is counted), afk, the *_ms
    states, flags, flags_at.
    """
    return Statement(
        f"SELECT s.channel_id, s.started_at, {RUNS_TO} AS runs_to, s.afk, s.muted_ms, s.deafened_ms, s.flags,"
        " s.flags_at FROM voice_sessions AS s"
        " WHERE s.guild_id = :guild_id AND s.user_id = :user_id AND s.ended_at IS NULL",
        {"guild_id": guild_id, "user_id": user_id, "seen_to": seen_to},
    )


def own_alone(guild_id: int, user_id: int, window: Window, *, seen_to: int) -> Statement:
    """One row: alone_ms, the counted time in which nobody whose time the person may see was in the same channel."""
    return Statement(_ALONE, {"guild_id": guild_id, "user_id": user_id, **bounds(window, seen_to)})


def own_sessions(
    guild_id: int, user_id: int, window: Window, *, seen_to: int, limit: int, offset: int = 0
) -> Statement:
    """The person's sessions in the window, newest first, with the channel's name and `of_all`, how many there are.

    `runs_to` is how far a running one is counted, `in_window_ms` what of that lies in the window.
    """
    return Statement(
        _OWN_SESSIONS_PAGE,
        {"guild_id": guild_id, "user_id": user_id, **bounds(window, seen_to), "limit": limit, "offset": offset},
    )


def shown_member(guild_id: int, user_id: int) -> Statement:
    """display_name, shown_from of a person whose time the guild may see; no row for everyone else, known or not."""
    return Statement(
        f"SELECT u.display_name, {SHOWN_FROM} AS shown_from FROM opt_in_users AS u"
        f" WHERE u.user_id = :user_id AND {SHOWN}",
        {"guild_id": guild_id, "user_id": user_id},
    )


def shown_channels(guild_id: int, user_id: int, window: Window, *, seen_to: int) -> Statement:
    """As `own_channels`, of somebody else: channel_id, sessions, counted_ms of what the guild may see; else no row."""
    return Statement(_SHOWN_CHANNELS, {"guild_id": guild_id, "user_id": user_id, **bounds(window, seen_to)})


def shown_bars(guild_id: int, user_id: int, bars: Sequence[Window], *, seen_to: int) -> Statement:
    """As `own_bars`, of somebody else: of what the guild may see."""
    return _bars(_SHOWN_BARS, guild_id, user_id, bars, seen_to)


# --- the leaderboard -------------------------------------------------------------------------------------------------

# `own` is 1 in the asker's own row, which is there whatever the asker's visibility: the rank that the time has, or
# would have, among the visible people. Who shows their time from within the window on (`late`) has the whole blocks
# behind that moment from the totals and the rest from their own sessions.
_BOARD = f"""
totals AS MATERIALIZED (
  SELECT user_id, sum(counted_ms) AS counted_ms FROM shares GROUP BY user_id HAVING sum(counted_ms) > 0
),
people AS MATERIALIZED (
  SELECT t.user_id, u.display_name, t.counted_ms, {SHOWN_FROM} AS shown_from
    FROM totals AS t CROSS JOIN opt_in_users AS u
   WHERE u.user_id = t.user_id AND u.opted_in
),
late AS MATERIALIZED (
  SELECT user_id, shown_from, max(:first_block, shown_from / {BLOCK_MS} + (shown_from % {BLOCK_MS} > 0)) AS block
    FROM people WHERE shown_from > :from_at AND shown_from < :to_at
),
parts AS (
  SELECT user_id, shown_from AS a, CASE WHEN block < :end_block THEN block * {BLOCK_MS} ELSE :to_at END AS b FROM late
   UNION ALL
  SELECT user_id, :tail_from, :to_at FROM late WHERE block < :end_block
),
later (user_id, counted_ms) AS (
  SELECT l.user_id, t.counted_ms
    FROM whole_blocks AS t CROSS JOIN late AS l
   WHERE l.user_id = t.user_id AND t.block >= l.block
   UNION ALL
  SELECT x.user_id, min(s.ended_at, x.b) - max(s.started_at, x.a)
    FROM parts AS x CROSS JOIN voice_sessions AS s
   WHERE s.user_id = x.user_id AND s.guild_id = :guild_id AND s.afk = 0 AND :channel_id IN (0, s.channel_id)
     AND s.started_at < x.b AND s.ended_at > x.a
     AND s.started_at >= coalesce((SELECT max(e.started_at) FROM voice_sessions AS e
                                    WHERE e.user_id = x.user_id AND e.guild_id = :guild_id
                                      AND e.started_at <= x.a), x.a)
   UNION ALL
  SELECT s.user_id, min(:to_at, {RUNS_TO}) - max(s.started_at, l.shown_from)
    FROM late AS l CROSS JOIN voice_sessions AS s
   WHERE s.user_id = l.user_id AND s.guild_id = :guild_id AND s.ended_at IS NULL AND s.started_at < :to_at
     AND s.afk = 0 AND :channel_id IN (0, s.channel_id)
),
board AS MATERIALIZED (
  SELECT user_id, display_name, counted_ms, rank() OVER (ORDER BY counted_ms DESC) AS place
    FROM (SELECT user_id, display_name, counted_ms FROM people WHERE shown_from <= :from_at
           UNION ALL
          SELECT l.user_id, y.display_name, l.counted_ms
            FROM (SELECT user_id, sum(counted_ms) AS counted_ms FROM later GROUP BY user_id) AS l CROSS JOIN people AS y
           WHERE y.user_id = l.user_id AND l.counted_ms > 0)
)
SELECT 1 AS own, (SELECT 1 + count(*) FROM board AS b WHERE b.counted_ms > t.counted_ms) AS place,
       t.user_id, NULL AS display_name, t.counted_ms, (SELECT count(*) FROM board) AS people
  FROM totals AS t
 WHERE t.user_id = :user_id
 UNION ALL
SELECT 0, place, user_id, display_name, counted_ms, (SELECT count(*) FROM board)
  FROM (SELECT * FROM board ORDER BY place, user_id LIMIT :limit OFFSET :offset)
 ORDER BY own DESC, place, user_id
"""
_WHOLE_BLOCKS = """whole_blocks AS MATERIALIZED (
  SELECT t.user_id, t.block, t.counted_ms
    FROM blocks AS b CROSS JOIN voice_totals AS t
   WHERE EXISTS (SELECT 1 FROM late) AND b.block >= :first_block AND b.block < :end_block
     AND t.guild_id = :guild_id AND t.block = b.block"""
_GUILD_BOARD = f"WITH {GUILD_SHARES},\n{_WHOLE_BLOCKS}),{_BOARD}"
_CHANNEL_BOARD = f"WITH {CHANNEL_SHARES},\n{_WHOLE_BLOCKS} AND t.channel_id = :channel_id),{_BOARD}"


def leaderboard(
    guild_id: int,
    user_id: int,
    window: Window,
    *,
    seen_to: int,
    limit: int,
    offset: int = 0,
    channel_id: int | None = None,
) -> Statement:
    """A page of the board: own (1: the asker's row, else 0), place, user_id, display_name, counted_ms, people.

    Equal times share a place, and the next place is as many further; pages are in order of place, then user_id.
    """
    page: Parameters = {"user_id": user_id, "channel_id": channel_id or 0, "limit": limit, "offset": offset}
    sql = _GUILD_BOARD if channel_id is None else _CHANNEL_BOARD
    return Statement(sql, {**shares_parameters(guild_id, window, seen_to), **page})


# --- together --------------------------------------------------------------------------------------------------------

# Whose sessions lie beside the person's own, in the same channel; `since`: from when on the guild may see theirs.
_BESIDE = f"""{LENGTH_CLASSES},
{OWN_SESSIONS},
overlaps (session_id, user_id, channel_id, a, b) AS MATERIALIZED (
  SELECT o.session_id, s.user_id, s.channel_id, max(s.started_at, o.a), min(s.ended_at, o.b)
    FROM own AS o CROSS JOIN length_classes AS k CROSS JOIN voice_sessions AS s
   WHERE o.afk = 0 AND s.channel_id = o.channel_id AND {LENGTH_CLASS} = k.class AND s.user_id <> :user_id
     AND s.started_at > o.a - k.longest AND s.started_at < o.b AND s.ended_at > o.a AND s.ended_at IS NOT NULL
   UNION ALL
  SELECT o.session_id, s.user_id, s.channel_id, max(s.started_at, o.a), min({RUNS_TO}, o.b)
    FROM own AS o CROSS JOIN voice_sessions AS s
   WHERE o.afk = 0 AND s.channel_id = o.channel_id AND s.started_at < o.b AND s.ended_at IS NULL
     AND s.user_id <> :user_id
),
companions AS MATERIALIZED (
  SELECT u.user_id, u.display_name, {SHOWN_FROM} AS since
    FROM (SELECT DISTINCT user_id FROM overlaps) AS w CROSS JOIN opt_in_users AS u
   WHERE u.user_id = w.user_id AND u.opted_in
)"""

# Of each own session what no other's covers: an overlap covers what lies behind all that began before it.
_ALONE = f"""
WITH {_BESIDE},
covers AS (
  SELECT o.session_id, max(o.a, w.since) AS a, o.b FROM overlaps AS o CROSS JOIN companions AS w
   WHERE w.user_id = o.user_id AND o.b > max(o.a, w.since)
),
covered AS (
  SELECT b - max(a, coalesce(max(b) OVER (PARTITION BY session_id ORDER BY a, b
                                          ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), a)) AS ms
    FROM covers
)
SELECT coalesce((SELECT sum(b - a) FROM own WHERE afk = 0), 0)
       - coalesce((SELECT sum(ms) FROM covered WHERE ms > 0), 0) AS alone_ms
"""

_TOGETHER = f"""
WITH {_BESIDE},
me AS MATERIALIZED (
  SELECT {SHOWN_FROM} AS since FROM opt_in_users AS u WHERE u.user_id = :user_id AND u.opted_in
),
shared AS (
  SELECT o.user_id, o.channel_id, max(o.a, w.since, m.since) AS a, o.b
    FROM overlaps AS o CROSS JOIN companions AS w CROSS JOIN me AS m
   WHERE w.user_id = o.user_id AND (:member_id IS NULL OR o.user_id = :member_id)
),
by_channel AS (
  SELECT p.user_id, p.channel_id, sum(p.b - p.a) AS together_ms, count(*) AS times, min(p.a) AS since, max(p.b) AS last
    FROM shared AS p
   WHERE p.b > p.a
   GROUP BY p.user_id, p.channel_id
),
ranked AS (
  SELECT *, row_number() OVER (PARTITION BY user_id ORDER BY together_ms DESC, channel_id) AS liking FROM by_channel
),
people AS (
  SELECT r.user_id, w.display_name, sum(r.together_ms) AS together_ms, sum(r.times) AS times, min(r.since) AS since,
         max(r.last) AS last, max(CASE r.liking WHEN 1 THEN r.channel_id END) AS favourite_id,
         max(CASE r.liking WHEN 1 THEN r.together_ms END) AS favourite_ms
    FROM ranked AS r CROSS JOIN companions AS w
   WHERE w.user_id = r.user_id
   GROUP BY r.user_id
)
SELECT p.*, c.name AS favourite_name, count(*) OVER () AS people
  FROM people AS p LEFT JOIN channels AS c ON c.channel_id = p.favourite_id
 ORDER BY p.together_ms DESC, p.user_id
 LIMIT :limit OFFSET :offset
"""


def together(
    guild_id: int,
    user_id: int,
    window: Window,
    *,
    seen_to: int,
    limit: int,
    offset: int = 0,
    member_id: int | None = None,
) -> Statement:
    """With whom the person shared a channel, longest first; with `member_id`, that person only.

    user_id, display_name, together_ms, times, since, last, favourite_id, favourite_name, favourite_ms, people (how many
    there are). Only what lies behind the later of the two moments from which both show their time; without the AFK
    channel.
    """
    who = {"guild_id": guild_id, "user_id": user_id, "member_id": member_id}
    return Statement(_TOGETHER, {**who, **bounds(window, seen_to), "limit": limit, "offset": offset})


# --- everything about one person -------------------------------------------------------------------------------------


def person_counts(user_id: int) -> Statement:
    """One row: how much is stored about the person, as profiles (0 or 1), decisions, sessions, servers."""
    return Statement(
        "SELECT (SELECT count(*) FROM opt_in_users WHERE user_id = :user_id) AS profiles,"
        " (SELECT count(*) FROM consent_log WHERE user_id = :user_id) AS decisions,"
        " count(*) AS sessions, count(DISTINCT guild_id) AS servers FROM voice_sessions WHERE user_id = :user_id",
        {"user_id": user_id},
    )


def person_profile(user_id: int) -> Statement:
    """The person's row of opt_in_users, all columns; no row if there is none."""
    return Statement(
        "SELECT user_id, username, display_name, avatar_url, opted_in, since, version FROM opt_in_users"
        " WHERE user_id = :user_id",
        {"user_id": user_id},
    )


def person_visible_on(user_id: int) -> Statement:
    """The person's rows of visible_on, all columns."""
    return Statement(
        "SELECT user_id, guild_id, version, shown_from FROM visible_on"
        " WHERE user_id = :user_id ORDER BY guild_id, version",
        {"user_id": user_id},
    )


def person_decisions(user_id: int) -> Statement:
    """The person's decisions, oldest first: interaction_id, decision, at."""
    return Statement(
        "SELECT interaction_id, decision, at FROM consent_log WHERE user_id = :user_id ORDER BY interaction_id",
        {"user_id": user_id},
    )


def person_sessions(user_id: int, *, after: tuple[int, int, str] = (0, 0, ""), limit: int = 2000) -> Statement:
    """The person's sessions in all servers behind `after`, all columns, by (guild_id, started_at, session_id)."""
    guild_id, started_at, session_id = after
    return Statement(
        f"SELECT {SESSION_COLUMNS} FROM voice_sessions WHERE user_id = :user_id"
        " AND (guild_id, started_at, session_id) > (:guild_id, :started_at, :session_id)"
        " ORDER BY guild_id, started_at, session_id LIMIT :limit",
        {
            "user_id": user_id,
            "guild_id": guild_id,
            "started_at": started_at,
            "session_id": session_id,
            "limit": limit,
        },
    )


_OWN_PLACES = "SELECT DISTINCT guild_id, channel_id FROM voice_sessions WHERE user_id = :user_id"


def person_totals(user_id: int) -> Statement:
    """The person's rows of voice_totals, all columns (they follow from the sessions)."""
    return Statement(
        "SELECT t.guild_id, t.block, t.channel_id, t.user_id, t.sessions, t.counted_ms, t.afk_ms"
        f" FROM ({_OWN_PLACES}) AS p CROSS JOIN blocks AS b CROSS JOIN voice_totals AS t"
        " WHERE t.guild_id = p.guild_id AND t.block = b.block AND t.channel_id = p.channel_id AND t.user_id = :user_id"
        " ORDER BY t.guild_id, t.block, t.channel_id",
        {"user_id": user_id},
    )


def person_guilds(user_id: int) -> Statement:
    """The servers of the person's sessions, as far as their names are known: guild_id, name."""
    return Statement(
        f"SELECT g.guild_id, g.name FROM guilds AS g WHERE g.guild_id IN (SELECT guild_id FROM ({_OWN_PLACES}))"
        " ORDER BY g.guild_id",
        {"user_id": user_id},
    )


def person_channels(user_id: int) -> Statement:
    """The channels of the person's sessions, as far as their names are known: channel_id, guild_id, name, kind."""
    return Statement(
        "SELECT c.channel_id, c.guild_id, c.name, c.kind FROM channels AS c"
        f" WHERE c.channel_id IN (SELECT channel_id FROM ({_OWN_PLACES})) ORDER BY c.channel_id",
        {"user_id": user_id},
    )


def person_rivals(user_id: int, interactions: str, stays: str) -> Statement:
    """A row if one of those decisions, or a session of those stays (JSON arrays of ids), is another person's."""
    return Statement(
        "SELECT 1 AS rival FROM json_each(:interactions) AS i JOIN consent_log AS c ON c.interaction_id = i.value"
        " WHERE c.user_id <> :user_id"
        " UNION ALL "
        "SELECT 1 FROM json_each(:stays) AS t JOIN voice_sessions AS s"
        " ON s.session_id >= t.value AND s.session_id < t.value || '.'"
        " WHERE s.user_id <> :user_id LIMIT 1",
        {"user_id": user_id, "interactions": interactions, "stays": stays},
    )
