"""The SQL of what sums people up: nothing in it is about fewer than three whom the asker does not see by name (pure).

*Seen* is the asker's own time, and what lies at or after a person's `shown_from`; the rest is *hidden*. Seen time is
exact. Hidden time counts in cells (`report_cells`), where three people or more were hidden at some time: an hour in a
channel; of a closed day the channel's other hours together; then what is left of all channels together. What is left
then is left out. Each of these groups is in a sum whole or not at all, so sums differ by whole groups. Why so, and what
it does not promise: db_client/REPORTS.md.
"""

# ruff: noqa: S608 - the pieces put together are constants; every value is a parameter

from __future__ import annotations

import json

from db_client.report_cells import Cells
from db_client.report_windows import BLOCK_MS, GUILD_BLOCKS, GUILD_ENDS, LENGTH_CLASS, RUNS_TO, shares_parameters
from db_client.statements import Statement

SMALLEST_GROUP = 3
_NEVER = 2**62
_HOUR = 3_600_000
# 1970-01-01 was a Thursday: this many hours later, the count of weeks since 1970 begins on a Monday.
_TO_MONDAY = 72


def _groups(name: str, of: str, keys: str) -> str:
    """Who is in each group: how many people, and the two of a smaller one, as what is left is grouped again."""
    return f"""{name} AS MATERIALIZED (
  SELECT {keys}, sum(ms) AS ms, count(DISTINCT user_id) AS people, min(user_id) AS one,
         max(user_id) AS other
    FROM {of} GROUP BY {keys}
)"""


def _left(name: str, of: str, keys: str, where: str = "") -> str:
    """What is left of the groups that are too small, by person."""
    return f"""{name} AS (
  SELECT {keys}, ms, one AS user_id FROM {of} WHERE people < {SMALLEST_GROUP}{where}
   UNION ALL
  SELECT {keys}, 0, other FROM {of} WHERE people = 2{where}
)"""


# The stays in the spans, running ones as far as seen, each with from when on the asker sees the person's time.
_STAYS = f"""SELECT g.n, g.offset, s.user_id, s.channel_id, s.afk <> 0 AS afk, w.shown_from,
         max(s.started_at, g.a) AS a, min(s.ended_at, g.b) AS b
    FROM spans AS g CROSS JOIN length_classes AS k CROSS JOIN voice_sessions AS s CROSS JOIN people AS w
   WHERE s.guild_id = :guild_id AND {LENGTH_CLASS} = k.class AND w.user_id = s.user_id
     AND s.started_at > g.a - k.longest AND s.started_at < g.b AND s.ended_at > g.a AND s.ended_at IS NOT NULL
   UNION ALL
  SELECT g.n, g.offset, s.user_id, s.channel_id, s.afk <> 0, w.shown_from, max(s.started_at, g.a),
         min({RUNS_TO}, g.b)
    FROM spans AS g CROSS JOIN voice_sessions AS s CROSS JOIN people AS w
   WHERE s.guild_id = :guild_id AND s.ended_at IS NULL AND s.started_at < g.b AND {RUNS_TO} > g.a
     AND w.user_id = s.user_id"""

# What the asker does not see of a block in which somebody began to show their time, and of stays that still run.
_HALVES = f"""SELECT -1 - i.block AS n, s.user_id, s.channel_id, s.afk <> 0 AS afk,
         min(s.ended_at, w.shown_from, (i.block + 1) * {BLOCK_MS})
         - max(s.started_at, i.block * {BLOCK_MS}) AS ms
    FROM ranges AS r CROSS JOIN people AS w CROSS JOIN blocks AS i CROSS JOIN voice_sessions AS s
   WHERE w.shown_from % {BLOCK_MS} > 0 AND w.shown_from / {BLOCK_MS} >= r.first AND w.shown_from / {BLOCK_MS} < r.behind
     AND i.block = w.shown_from / {BLOCK_MS}
     AND s.user_id = w.user_id AND s.guild_id = :guild_id AND s.started_at < w.shown_from
     AND s.started_at >= coalesce((SELECT max(e.started_at) FROM voice_sessions AS e
                                    WHERE e.user_id = w.user_id AND e.guild_id = :guild_id
                                      AND e.started_at <= i.block * {BLOCK_MS}), 0)
     AND s.ended_at > i.block * {BLOCK_MS}
   UNION ALL
  SELECT -1 - i.block, s.user_id, s.channel_id, s.afk <> 0,
         min({RUNS_TO}, w.shown_from, (i.block + 1) * {BLOCK_MS}) - max(s.started_at, i.block * {BLOCK_MS})
    FROM ranges AS r CROSS JOIN voice_sessions AS s CROSS JOIN people AS w CROSS JOIN blocks AS i
   WHERE s.guild_id = :guild_id AND s.ended_at IS NULL AND w.user_id = s.user_id
     AND s.started_at < r.behind * {BLOCK_MS}
     AND i.block >= max(r.first, s.started_at / {BLOCK_MS}) AND i.block < r.behind"""

_CHANNEL_TIME = f"""
WITH {GUILD_ENDS},
spans (n, a, b, offset) AS MATERIALIZED (
  SELECT key, json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]')
    FROM json_each(:spans)
),
ranges (first, behind) AS MATERIALIZED (
  SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(:blocks)
),
people AS MATERIALIZED (
  SELECT w.user_id, CASE w.user_id WHEN :user_id THEN 0 ELSE coalesce(
           (SELECT min(v.shown_from) FROM opt_in_users AS u CROSS JOIN visible_on AS v
             WHERE u.user_id = w.user_id AND u.opted_in AND v.user_id = w.user_id AND v.guild_id IN (0, :guild_id)),
           {_NEVER}) END AS shown_from
    FROM (SELECT user_id FROM (SELECT DISTINCT user_id FROM {GUILD_BLOCKS} UNION ALL SELECT user_id FROM at_ends)
           GROUP BY user_id) AS w
),
old AS MATERIALIZED (
  SELECT t.block, t.channel_id, t.user_id, t.counted_ms, t.afk_ms
    FROM ranges AS r CROSS JOIN voice_totals AS t
   WHERE t.guild_id = :guild_id AND t.block >= r.first AND t.block < r.behind AND t.counted_ms + t.afk_ms > 0
),
hidden (n, hour, afk, channel_id, user_id, ms) AS (
  SELECT -1 - o.block, 0, o.counted_ms = 0, o.channel_id, o.user_id, max(o.counted_ms, o.afk_ms * (o.counted_ms = 0))
    FROM old AS o CROSS JOIN people AS w
   WHERE w.user_id = o.user_id AND w.shown_from >= (o.block + 1) * {BLOCK_MS}
   UNION ALL
  SELECT -1 - o.block, 0, 1, o.channel_id, o.user_id, o.afk_ms
    FROM old AS o CROSS JOIN people AS w
   WHERE o.counted_ms > 0 AND o.afk_ms > 0
     AND w.user_id = o.user_id AND w.shown_from >= (o.block + 1) * {BLOCK_MS}
   UNION ALL
  SELECT n, 0, afk, channel_id, user_id, ms FROM ({_HALVES}) WHERE ms > 0
   UNION ALL
  SELECT n, 0, afk, channel_id, user_id, min(b, shown_from) - a FROM ({_STAYS})
   WHERE offset IS NULL AND min(b, shown_from) > a
   UNION ALL
  SELECT t.n, t.a / {_HOUR} + i.block, t.afk, t.channel_id, t.user_id,
         min(t.b, (t.a / {_HOUR} + i.block + 1) * {_HOUR}) - max(t.a, (t.a / {_HOUR} + i.block) * {_HOUR})
    FROM (SELECT n, afk, channel_id, user_id, a + offset AS a, min(b, shown_from, :closed_to) + offset AS b
            FROM ({_STAYS}) WHERE offset IS NOT NULL AND min(b, shown_from, :closed_to) > a) AS t
         CROSS JOIN blocks AS i
   WHERE i.block BETWEEN 0 AND (t.b - 1) / {_HOUR} - t.a / {_HOUR}
),
{_groups("of_hours", "hidden", "n, hour, afk, channel_id")},
{_left("other_hours", "of_hours", "n, afk, channel_id", " AND n <> :open_span")},
{_groups("of_days", "other_hours", "n, afk, channel_id")},
{_left("other_channels", "of_days", "n, afk")},
{_groups("others", "other_channels", "n, afk")},
told (channel_id, counted_ms, afk_ms) AS (
  SELECT channel_id, counted_ms, afk_ms FROM at_ends
   UNION ALL
  SELECT * FROM (SELECT channel_id, sum(counted_ms), sum(afk_ms) FROM {GUILD_BLOCKS} GROUP BY block, channel_id)
   UNION ALL
  SELECT channel_id, -(1 - afk) * ms, -afk * ms FROM of_hours WHERE people < {SMALLEST_GROUP}
   UNION ALL
  SELECT channel_id, -(1 - afk) * (b - a), -afk * (b - a)
    FROM (SELECT channel_id, afk, max(a, :closed_to) AS a, min(b, shown_from) AS b FROM ({_STAYS})
           WHERE n = :open_span) WHERE b > a
   UNION ALL
  SELECT channel_id, (1 - afk) * ms, afk * ms FROM of_days WHERE people >= {SMALLEST_GROUP}
   UNION ALL
  SELECT NULL, (1 - afk) * ms, afk * ms FROM others WHERE people >= {SMALLEST_GROUP}
),
by_channel AS MATERIALIZED (
  SELECT channel_id, sum(counted_ms) AS counted_ms, sum(afk_ms) AS afk_ms
    FROM told GROUP BY channel_id HAVING sum(counted_ms + afk_ms) > 0
),
drawn (hour, ms) AS (
  SELECT hour, ms FROM of_hours WHERE hour > 0 AND afk = 0 AND people >= {SMALLEST_GROUP}
   UNION ALL
  SELECT t.a / {_HOUR} + i.block,
         min(t.b, (t.a / {_HOUR} + i.block + 1) * {_HOUR}) - max(t.a, (t.a / {_HOUR} + i.block) * {_HOUR})
    FROM (SELECT max(a, shown_from) + offset AS a, b + offset AS b
            FROM ({_STAYS}) WHERE offset IS NOT NULL AND afk = 0 AND shown_from < b) AS t
         CROSS JOIN blocks AS i
   WHERE i.block BETWEEN 0 AND (t.b - 1) / {_HOUR} - t.a / {_HOUR}
)
SELECT NULL AS hour, NULL AS channel_id, NULL AS deleted_at, coalesce(sum(counted_ms), 0) AS counted_ms,
       coalesce(sum(afk_ms), 0) AS afk_ms, count(channel_id) AS channels
  FROM by_channel
 UNION ALL
SELECT NULL, b.channel_id, c.deleted_at, b.counted_ms, b.afk_ms, 1
  FROM (SELECT * FROM by_channel WHERE channel_id IS NOT NULL
         ORDER BY counted_ms + afk_ms DESC, channel_id LIMIT :limit) AS b
  LEFT JOIN channels AS c ON c.channel_id = b.channel_id
 UNION ALL
SELECT (hour + {_TO_MONDAY}) % 168, NULL, NULL, sum(ms), 0, 0 FROM drawn GROUP BY 1
"""


def channel_time(guild_id: int, user_id: int, cells: Cells, *, seen_to: int, limit: int) -> Statement:
    """How the guild's channels were used, as `user_id` may know it: hour, channel_id, deleted_at, counted_ms, afk_ms,
    channels.

    First the whole guild (both ids null; `channels`: how many there are), then the busiest channels, then the time in
    each hour of the local week (0: Monday from 00:00), of the days that are drawn.
    """
    return Statement(
        _CHANNEL_TIME,
        {
            **shares_parameters(guild_id, cells.window, seen_to),
            "user_id": user_id,
            "spans": json.dumps([list(span) for span in cells.spans]),
            "blocks": json.dumps([list(blocks) for blocks in cells.blocks]),
            "closed_to": cells.closed_to,
            "open_span": cells.open_span,
            "limit": limit,
        },
    )
