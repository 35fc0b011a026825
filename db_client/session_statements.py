"""A voice session as the service keeps it: never outside of consent, never two at once (pure)."""

from __future__ import annotations

from db_client.reading_statements import guild_mark
from db_client.records import Retraction, VoiceSession
from db_client.statements import Statement


def doubt_left(within: str, ended_at: str, at: str, started_at: str) -> str:
    """SQL for how far the end of a session that is over may still be off (ms) when a decision cuts it to `at`.

    It may have been over before the decision, too: nothing more is known of how early that was than `within`.
    """
    return f"max(0, min({at} - {started_at}, {within} - ({ended_at} - {at})))"


# The stay is first cut to what the channel allows: one that began before the channel's unrecorded time ends with its
# beginning, one that began in it begins with its end. The row is then cut to the first consent interval that it meets
# (none: no row), and is written only where it overlaps no other session of the person in the guild. A second listener's
# copy of a session therefore changes nothing. (As stored sessions do not overlap, of those that began no later than
# this one only the last can reach into it: the others, perhaps thousands, need not be read.)
#
# What ends an open session here is a decision of which whoever saw it did not know yet: it counts up to where its guild
# was seen, and its true end may be as late as the decision. What the listener says of it later is a newer revision.
STORE_SESSION = f"""
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
),
seen AS (
  SELECT started_at, until, begun_by_consent, ended_by_consent, begun_by_channel, ended_by_channel,
         CASE WHEN :ended_at IS NULL AND until < 9223372036854775807
              THEN min(until, max(started_at, {guild_mark(":guild_id")})) ELSE until END AS seen_until
    FROM piece
)
INSERT INTO voice_sessions (session_id, guild_id, channel_id, user_id, started_at, ended_at, started_by, ended_by,
       started_within_ms, ended_within_ms, afk, muted_ms, deafened_ms, video_ms, stream_ms, flags, flags_at,
       revision)
SELECT :session_id, :guild_id, :channel_id, :user_id, p.started_at, nullif(p.seen_until, 9223372036854775807),
       CASE WHEN p.begun_by_consent THEN 'opted_in' WHEN p.begun_by_channel THEN 'recorded' ELSE :started_by END,
       CASE WHEN p.ended_by_consent THEN 'opted_out' WHEN p.ended_by_channel THEN 'not_recorded' ELSE :ended_by END,
       CASE WHEN p.begun_by_consent OR p.begun_by_channel THEN 0 ELSE :started_within_ms END,
       CASE WHEN NOT (p.ended_by_consent OR p.ended_by_channel) THEN :ended_within_ms
            WHEN :ended_at IS NULL THEN p.until - p.seen_until
            ELSE {doubt_left(":ended_within_ms", ":ended_at", "p.until", "p.started_at")} END,
       :afk,
       min(:muted_ms, p.seen_until - p.started_at), min(:deafened_ms, p.seen_until - p.started_at),
       min(:video_ms, p.seen_until - p.started_at), min(:stream_ms, p.seen_until - p.started_at),
       :flags, :flags_at, :revision
  FROM seen AS p
 WHERE NOT EXISTS (SELECT 1 FROM voice_sessions AS o
                    WHERE o.user_id = :user_id AND o.guild_id = :guild_id AND o.session_id <> :session_id
                      AND o.started_at < p.seen_until AND coalesce(o.ended_at, 9223372036854775807) > p.started_at
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
       flags = excluded.flags, flags_at = excluded.flags_at, revision = excluded.revision
 WHERE excluded.revision > voice_sessions.revision
"""  # noqa: S608


def cut(by: str, which: str) -> str:
    """SQL that ends those sessions `s` for which `which` is true at the decision `:at`; open ones as above."""
    return f"""
UPDATE voice_sessions
   SET ended_at = c.seen_until, ended_by = '{by}',
       ended_within_ms = CASE WHEN ended_at IS NULL THEN :at - c.seen_until
                              ELSE {doubt_left("ended_within_ms", "ended_at", ":at", "started_at")} END,
       muted_ms = min(muted_ms, c.seen_until - started_at), deafened_ms = min(deafened_ms, c.seen_until - started_at),
       video_ms = min(video_ms, c.seen_until - started_at), stream_ms = min(stream_ms, c.seen_until - started_at)
  FROM (SELECT s.session_id AS cut_id,
               CASE WHEN s.ended_at IS NULL THEN min(:at, max(s.started_at, {guild_mark("s.guild_id")}))
                    ELSE :at END AS seen_until
          FROM voice_sessions AS s
         WHERE {which}) AS c
 WHERE session_id = c.cut_id
"""  # noqa: S608


# An older revision, of when it was still open, may have been cut to a consent that began after the session's end.
# The same goes for the parts that the service split off (their ids follow on the session's, with a '-').
DROP_STALE = """
DELETE FROM voice_sessions
 WHERE session_id >= :session_id AND session_id < :session_id || :until AND revision < :revision
   AND started_at > :ended_at
"""
# After these a stay may still go on: what follows is another part of it.
PARTLY = frozenset({"opted_out", "not_recorded"})


def store(session: VoiceSession) -> list[Statement]:
    """The statements that make this revision of the session stand, as far as consent and its channel allow."""
    stale = Statement(
        DROP_STALE,
        {
            "session_id": session.session_id,
            "until": "-" if session.ended_by in PARTLY else ".",
            "revision": session.revision,
            "ended_at": session.ended_at,
        },
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
                "flags": session.flags,
                "flags_at": session.flags_at,
                "revision": session.revision,
            },
        ),
    ]


RETRACT_SESSION = "DELETE FROM voice_sessions WHERE session_id = :session_id AND revision < :revision"


def retract(retraction: Retraction) -> list[Statement]:
    """The statement that removes the session, unless a newer revision stands."""
    return [Statement(RETRACT_SESSION, {"session_id": retraction.session_id, "revision": retraction.revision})]
