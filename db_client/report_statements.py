"""All SQL of the reports, as pure functions to statements; none changes anything, none reads a clock.

A window never ends after the moment of asking: a running session is counted up to the window's end. Durations and
moments are milliseconds (since 1970 UTC). Time in the AFK channel is never in `counted_ms`; it stands in `afk_ms`.
Other people appear only if their newest decision is "in" and they show their time to the guild (`visible_on`).
"""

# ruff: noqa: S608 - the pieces put together are constants; every value is a parameter

from __future__ import annotations

import json
from collections.abc import Sequence

from db_client.periods import HOUR_MS, Window
from db_client.report_windows import (
    CHANNEL_SHARES,
    GUILD_SHARES,
    LENGTH_CLASS,
    LENGTH_CLASSES,
    OWN_SESSIONS,
    bounds,
    shares_parameters,
)
from db_client.statements import Statement

# From when on the person of a row `u` of opt_in_users shows their time to the guild; null: they do not.
SHOWN_FROM = """(SELECT min(v.shown_from) FROM visible_on AS v
           WHERE v.user_id = u.user_id AND v.guild_id IN (0, :guild_id))"""
SHOWN = f"u.opted_in AND {SHOWN_FROM} IS NOT NULL"

# --- one person's own time -------------------------------------------------------------------------------------------

# Of a session cut by the window's edge, the states count in proportion: only their sums are stored.
_OWN_CHANNELS = f"""
WITH {OWN_SESSIONS}
SELECT o.channel_id, c.name, count(*) AS sessions,
       sum((o.afk = 0) * (o.b - o.a)) AS counted_ms, sum((o.afk <> 0) * (o.b - o.a)) AS afk_ms,
       coalesce(sum((o.afk = 0) * o.muted_ms * (o.b - o.a) / max(1, o.ended_at - o.started_at)), 0) AS muted_ms,
       coalesce(sum((o.afk = 0) * o.deafened_ms * (o.b - o.a) / max(1, o.ended_at - o.started_at)), 0) AS deafened_ms,
       0 AS alone_ms
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

_OWN_SESSIONS_PAGE = f"""
WITH {OWN_SESSIONS}
SELECT o.session_id, o.channel_id, c.name, o.started_at, o.ended_at, o.started_by, o.ended_by, o.started_within_ms,
       o.ended_within_ms, o.afk, o.muted_ms, o.deafened_ms, o.b - o.a AS in_window_ms,
       count(*) OVER () AS of_all
  FROM own AS o LEFT JOIN channels AS c ON c.channel_id = o.channel_id
 ORDER BY o.started_at DESC, o.session_id DESC
 LIMIT :limit OFFSET :offset
"""


def own_channels(guild_id: int, user_id: int, window: Window) -> Statement:
    """Per channel: channel_id, name (or null), sessions, counted_ms, afk_ms, muted_ms, deafened_ms, alone_ms.

    The three states are of ended sessions; those of a running one follow from `own_running`.
    """
    return Statement(_OWN_CHANNELS, {"guild_id": guild_id, "user_id": user_id, **bounds(window)})


def own_bars(guild_id: int, user_id: int, bars: Sequence[Window]) -> Statement:
    """Per bar that has any time: its index as `bar`, counted_ms. The bars are in order, without holes."""
    window = Window(bars[0].from_at, bars[-1].to_at)
    edges = json.dumps([list(bar) for bar in bars])
    return Statement(_OWN_BARS, {"guild_id": guild_id, "user_id": user_id, **bounds(window), "edges": edges})


def own_running(guild_id: int, user_id: int) -> Statement:
    """The person's running session, if any: channel_id, started_at, afk, the *_ms states, flags, flags_at."""
    return Statement(
        "SELECT channel_id, started_at, afk, muted_ms, deafened_ms, 0 AS alone_ms, flags, flags_at FROM voice_sessions"
        " WHERE guild_id = :guild_id AND user_id = :user_id AND ended_at IS NULL",
        {"guild_id": guild_id, "user_id": user_id},
    )


def own_sessions(guild_id: int, user_id: int, window: Window, *, limit: int, offset: int = 0) -> Statement:
    """The person's sessions in the window, newest first, with the channel's name and `of_all`, how many there are."""
    return Statement(
        _OWN_SESSIONS_PAGE,
        {"guild_id": guild_id, "user_id": user_id, **bounds(window), "limit": limit, "offset": offset},
    )


def shown_member(guild_id: int, user_id: int) -> Statement:
    """display_name, shown_from of a person whose time the guild may see; no row for everyone else, known or not."""
    return Statement(
        f"SELECT u.display_name, {SHOWN_FROM} AS shown_from FROM opt_in_users AS u"
        f" WHERE u.user_id = :user_id AND {SHOWN}",
        {"guild_id": guild_id, "user_id": user_id},
    )


# --- the leaderboard -------------------------------------------------------------------------------------------------

# `own` is 1 in the asker's own row, which is there whatever the asker's visibility: the rank that the time has, or
# would have, among the visible people.
_BOARD = f"""
totals AS MATERIALIZED (
  SELECT user_id, sum(counted_ms) AS counted_ms FROM shares GROUP BY user_id HAVING sum(counted_ms) > 0
),
board AS MATERIALIZED (
  SELECT t.user_id, u.display_name, t.counted_ms, rank() OVER (ORDER BY t.counted_ms DESC) AS place
    FROM totals AS t CROSS JOIN opt_in_users AS u
   WHERE u.user_id = t.user_id AND {SHOWN}
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
_GUILD_BOARD = f"WITH {GUILD_SHARES},{_BOARD}"
_CHANNEL_BOARD = f"WITH {CHANNEL_SHARES},{_BOARD}"


def leaderboard(
    guild_id: int, user_id: int, window: Window, *, limit: int, offset: int = 0, channel_id: int | None = None
) -> Statement:
    """A page of the board: own (1: the asker's row, else 0), place, user_id, display_name, counted_ms, people.

    Equal times share a place, and the next place is as many further; pages are in order of place, then user_id.
    """
    parameters = {**shares_parameters(guild_id, window), "user_id": user_id, "limit": limit, "offset": offset}
    if channel_id is None:
        return Statement(_GUILD_BOARD, parameters)
    return Statement(_CHANNEL_BOARD, {**parameters, "channel_id": channel_id})


# --- together --------------------------------------------------------------------------------------------------------

_TOGETHER = f"""
WITH {LENGTH_CLASSES},
{OWN_SESSIONS},
overlaps (user_id, channel_id, a, b) AS (
  SELECT s.user_id, s.channel_id, max(s.started_at, o.a), min(s.ended_at, o.b)
    FROM own AS o CROSS JOIN length_classes AS k CROSS JOIN voice_sessions AS s
   WHERE o.afk = 0 AND s.channel_id = o.channel_id AND {LENGTH_CLASS} = k.class
     AND s.started_at > o.a - k.longest AND s.started_at < o.b AND s.ended_at > o.a AND s.ended_at IS NOT NULL
   UNION ALL
  SELECT s.user_id, s.channel_id, max(s.started_at, o.a), o.b
    FROM own AS o CROSS JOIN voice_sessions AS s
   WHERE o.afk = 0 AND s.channel_id = o.channel_id AND s.started_at < o.b AND s.ended_at IS NULL
),
by_channel AS (
  SELECT p.user_id, p.channel_id, sum(p.b - p.a) AS together_ms, count(*) AS times, min(p.a) AS since, max(p.b) AS last
    FROM overlaps AS p
   WHERE p.b > p.a AND p.user_id <> :user_id AND (:member_id IS NULL OR p.user_id = :member_id)
   GROUP BY p.user_id, p.channel_id
),
ranked AS (
  SELECT *, row_number() OVER (PARTITION BY user_id ORDER BY together_ms DESC, channel_id) AS liking FROM by_channel
),
people AS (
  SELECT r.user_id, u.display_name, sum(r.together_ms) AS together_ms, sum(r.times) AS times, min(r.since) AS since,
         max(r.last) AS last, max(CASE r.liking WHEN 1 THEN r.channel_id END) AS favourite_id,
         max(CASE r.liking WHEN 1 THEN r.together_ms END) AS favourite_ms
    FROM ranked AS r CROSS JOIN opt_in_users AS u
   WHERE u.user_id = r.user_id AND {SHOWN}
     AND EXISTS (SELECT 1 FROM opt_in_users AS u WHERE u.user_id = :user_id AND {SHOWN})
   GROUP BY r.user_id
)
SELECT p.*, c.name AS favourite_name, count(*) OVER () AS people
  FROM people AS p LEFT JOIN channels AS c ON c.channel_id = p.favourite_id
 ORDER BY p.together_ms DESC, p.user_id
 LIMIT :limit OFFSET :offset
"""


def together(
    guild_id: int, user_id: int, window: Window, *, limit: int, offset: int = 0, member_id: int | None = None
) -> Statement:
    """With whom the person shared a channel, longest first; with `member_id`, that person only.

    user_id, display_name, together_ms, times, since, last, favourite_id, favourite_name, favourite_ms, people (how many
    there are). No row unless both show their time. The AFK channel is left out.
    """
    who = {"guild_id": guild_id, "user_id": user_id, "member_id": member_id}
    return Statement(_TOGETHER, {**who, **bounds(window), "limit": limit, "offset": offset})


# --- the server's channels -------------------------------------------------------------------------------------------

_CHANNEL_TIME = f"""
WITH {GUILD_SHARES},
by_person AS MATERIALIZED (
  SELECT channel_id, user_id, sum(sessions) AS sessions, sum(counted_ms) AS counted_ms, sum(afk_ms) AS afk_ms
    FROM shares GROUP BY channel_id, user_id
),
by_channel AS MATERIALIZED (
  SELECT channel_id, sum(sessions) AS sessions, count(*) AS people, sum(counted_ms) AS counted_ms, sum(afk_ms) AS afk_ms
    FROM by_person GROUP BY channel_id
)
SELECT *
  FROM (SELECT NULL AS channel_id, NULL AS name, NULL AS deleted_at, sum(sessions) AS sessions,
               (SELECT count(DISTINCT user_id) FROM by_person) AS people, sum(counted_ms) AS counted_ms,
               sum(afk_ms) AS afk_ms, count(*) AS channels
          FROM by_channel
         UNION ALL
        SELECT b.channel_id, c.name, c.deleted_at, b.sessions, b.people, b.counted_ms, b.afk_ms, 1
          FROM (SELECT * FROM by_channel ORDER BY counted_ms + afk_ms DESC, channel_id LIMIT :limit) AS b
          LEFT JOIN channels AS c ON c.channel_id = b.channel_id)
 ORDER BY channel_id IS NOT NULL, counted_ms + afk_ms DESC, channel_id
"""

# How often the hours of a local week begin and end sessions is enough to know how long they were in use: see heat_map.
_HEAT_MAP = f"""
WITH {LENGTH_CLASSES},
pieces (a, b, shift) AS (
  SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]') FROM json_each(:pieces)
),
present (a, b) AS (
  SELECT max(s.started_at, p.a) + p.shift, min(s.ended_at, p.b) + p.shift
    FROM pieces AS p CROSS JOIN length_classes AS k CROSS JOIN voice_sessions AS s
   WHERE s.guild_id = :guild_id AND {LENGTH_CLASS} = k.class AND s.afk = 0
     AND s.started_at > p.a - k.longest AND s.started_at < p.b AND s.ended_at > p.a AND s.ended_at IS NOT NULL
   UNION ALL
  SELECT max(s.started_at, p.a) + p.shift, p.b + p.shift
    FROM pieces AS p CROSS JOIN voice_sessions AS s
   WHERE s.guild_id = :guild_id AND s.afk = 0 AND s.started_at < p.b AND s.ended_at IS NULL
)
SELECT a / 3600000 % 168 AS begin_hour, b / 3600000 % 168 AS end_hour, count(*) AS times,
       sum(b / 604800000 - a / 604800000) AS weeks, sum(a % 3600000) AS begin_rest_ms, sum(b % 3600000) AS end_rest_ms
  FROM present
 GROUP BY begin_hour, end_hour
"""
# 1970-01-01 was a Thursday: this much later, the count of whole weeks since 1970 begins on a Monday.
_TO_MONDAY = 3 * 24 * HOUR_MS


def channel_time(guild_id: int, window: Window, *, limit: int) -> Statement:
    """First the whole server (channel_id null; `channels`: how many there are), then the busiest channels.

    channel_id, name, deleted_at, sessions, people, counted_ms, afk_ms, channels.
    """
    return Statement(_CHANNEL_TIME, {**shares_parameters(guild_id, window), "limit": limit})


def week_edges(guild_id: int, pieces: Sequence[tuple[Window, int]]) -> Statement:
    """How often sessions begin in one hour of the local week and end in another: begin_hour, end_hour, times, with the
    sums weeks (how many Mondays lie between), begin_rest_ms and end_rest_ms (how far into those hours).

    `pieces` are windows with their offset from UTC in ms (`periods.steady_windows`). For `reports.heat_map`.
    """
    shifted = json.dumps([[window.from_at, window.to_at, offset + _TO_MONDAY] for window, offset in pieces])
    return Statement(_HEAT_MAP, {"guild_id": guild_id, "pieces": shifted})


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
    return Statement("SELECT * FROM opt_in_users WHERE user_id = :user_id", {"user_id": user_id})


def person_visible_on(user_id: int) -> Statement:
    """The person's rows of visible_on, all columns."""
    return Statement(
        "SELECT * FROM visible_on WHERE user_id = :user_id ORDER BY guild_id, version", {"user_id": user_id}
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
        "SELECT * FROM voice_sessions WHERE user_id = :user_id"
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
        f"SELECT t.* FROM ({_OWN_PLACES}) AS p CROSS JOIN blocks AS b CROSS JOIN voice_totals AS t"
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
