"""What a person's decision changes in the service, in whatever order decisions and sessions arrive (pure).

Two rules of the design are kept here: consent (sessions are cut to the person's consent intervals), and erasure is
final.
"""

from __future__ import annotations

from db_client.reading_statements import SHOWN
from db_client.records import EVERY_GUILD, ConsentDecision
from db_client.session_statements import cut, doubt_left
from db_client.statements import Parameters, Statement

# A decision older than the person's newest erasure is not written: nothing may bring an erased person back.
LOG_DECISION = """
INSERT INTO consent_log (interaction_id, user_id, decision, at)
SELECT :interaction_id, :user_id, :decision, :at
 WHERE NOT EXISTS (SELECT 1 FROM consent_log
                    WHERE user_id = :user_id AND decision = 'erase' AND interaction_id > :interaction_id)
    ON CONFLICT (interaction_id) DO NOTHING
"""

STORE_PROFILE = """
INSERT INTO opt_in_users (user_id, username, display_name, avatar_url, opted_in, since, version)
SELECT :user_id, :username, :display_name, :avatar_url, 1, :at, :interaction_id
 WHERE EXISTS (SELECT 1 FROM consent_log WHERE interaction_id = :interaction_id AND decision = 'in')
   AND NOT EXISTS (SELECT 1 FROM consent_log
                    WHERE user_id = :user_id AND decision = 'in' AND interaction_id > :interaction_id)
    ON CONFLICT (user_id) DO UPDATE SET username = excluded.username, display_name = excluded.display_name,
       avatar_url = excluded.avatar_url
"""

# What was chosen about one guild (0: every guild), with a decision that stands in the log. Only the newest that hides
# and what was shown since are needed, so the order in which choices arrive does not matter.
STORE_VISIBILITY = """
INSERT INTO visible_on (user_id, guild_id, version, shown_from)
SELECT :user_id, :guild_id, :interaction_id, :shown_from
 WHERE EXISTS (SELECT 1 FROM consent_log WHERE interaction_id = :interaction_id AND decision = 'in')
    ON CONFLICT (user_id, guild_id, version) DO NOTHING
"""
# A choice of a time when it was made for all guilds at once: for those of which the person has something when it
# arrives. Sent again later (before it is logged: it is in the log then) it is not for those that came since.
STORE_VISIBILITY_OF_ALL = """
INSERT INTO visible_on (user_id, guild_id, version, shown_from)
SELECT :user_id, guild_id, :interaction_id, :shown_from
  FROM (SELECT guild_id FROM voice_sessions WHERE user_id = :user_id
         UNION SELECT guild_id FROM visible_on WHERE user_id = :user_id)
 WHERE (guild_id <> 0 OR :shown_from IS NULL)
   AND NOT EXISTS (SELECT 1 FROM consent_log WHERE interaction_id = :interaction_id)
   AND NOT EXISTS (SELECT 1 FROM consent_log
                    WHERE user_id = :user_id AND decision = 'erase' AND interaction_id > :interaction_id)
    ON CONFLICT (user_id, guild_id, version) DO NOTHING
"""
DROP_OVERRULED = """
DELETE FROM visible_on
 WHERE user_id = :user_id
   AND version < (SELECT max(h.version) FROM visible_on AS h
                   WHERE h.user_id = visible_on.user_id AND h.guild_id = visible_on.guild_id AND h.shown_from IS NULL)
"""

# What stands follows from the log alone, so the order in which decisions arrive does not matter. `since` is the first
# decision behind the newest one of the other kind. The row that stands is the answer: whoever decided is told from it.
STATE_FROM_LOG = f"""
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
RETURNING opted_in, since, version, {SHOWN}
"""  # noqa: S608

# A decision that arrives late can cut sessions that are already stored. First the parts of closed sessions behind a
# later consent are given rows of their own (the listener adds them for open ones), then every session is cut. A part's
# id is that of the stay (what stands before the first '-') and of the consent it begins with, as the listener has it.
SPLIT_SESSIONS = f"""
INSERT INTO voice_sessions (session_id, guild_id, channel_id, user_id, started_at, ended_at, started_by, ended_by,
       started_within_ms, ended_within_ms, afk, muted_ms, deafened_ms, video_ms, stream_ms, flags, flags_at,
       revision)
SELECT CASE WHEN instr(s.session_id, '-') THEN substr(s.session_id, 1, instr(s.session_id, '-') - 1)
            ELSE s.session_id END || '-' || i.version, s.guild_id, s.channel_id, s.user_id, i.from_at,
       min(s.ended_at, coalesce(i.to_at, s.ended_at)), 'opted_in',
       CASE WHEN i.to_at < s.ended_at THEN 'opted_out' ELSE s.ended_by END,
       0, CASE WHEN i.to_at < s.ended_at
               THEN {doubt_left("s.ended_within_ms", "s.ended_at", "i.to_at", "i.from_at")}
               ELSE s.ended_within_ms END,
       s.afk, 0, 0, 0, 0, 0, i.from_at, s.revision
  FROM voice_sessions AS s
  JOIN consent_intervals AS i ON i.user_id = s.user_id
 WHERE s.user_id = :user_id AND s.started_at < i.from_at AND s.ended_at > i.from_at
   AND EXISTS (SELECT 1 FROM consent_log AS c
                WHERE c.user_id = s.user_id AND c.decision <> 'in' AND c.interaction_id < i.version)
    ON CONFLICT (session_id) DO NOTHING
"""  # noqa: S608

CUT_SESSIONS = cut(
    "opted_out",
    """s.user_id = :user_id AND s.started_at <= :at AND coalesce(s.ended_at, 9223372036854775807) > :at
           AND NOT EXISTS (SELECT 1 FROM consent_intervals AS i
                            WHERE i.user_id = s.user_id AND i.from_at <= s.started_at
                              AND coalesce(i.to_at, 9223372036854775807)
                                  >= coalesce(s.ended_at, 9223372036854775807))""",
)

# Sessions that no consent covers, not even at one moment. What ended before the decision is as it was.
DROP_UNCONSENTED = """
DELETE FROM voice_sessions
 WHERE user_id = :user_id AND coalesce(ended_at, 9223372036854775807) >= :at
   AND NOT EXISTS (SELECT 1 FROM consent_intervals AS i
                    WHERE i.user_id = voice_sessions.user_id AND i.from_at <= voice_sessions.started_at
                      AND coalesce(i.to_at, 9223372036854775807) > voice_sessions.started_at
                      AND coalesce(i.to_at, 9223372036854775807)
                          >= coalesce(voice_sessions.ended_at, voice_sessions.started_at))
"""

# Erasure: everything decided or begun before it goes; the decision itself stays, so that nothing late comes back.
ERASE = (
    "DELETE FROM consent_log WHERE user_id = :user_id AND interaction_id < :interaction_id",
    "DELETE FROM voice_sessions WHERE user_id = :user_id AND started_at < :at",
    "DELETE FROM visible_on WHERE user_id = :user_id AND version < :interaction_id",
    """
DELETE FROM opt_in_users
 WHERE user_id = :user_id
   AND NOT EXISTS (SELECT 1 FROM consent_log
                    WHERE user_id = :user_id AND decision = 'in' AND interaction_id > :interaction_id)
""",
)


def decide(decision: ConsentDecision) -> list[Statement]:
    """The statements that log the decision, store or remove the profile, cut the sessions, and say what then stands."""
    who: Parameters = {"user_id": decision.user_id}
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
            },
        )
        return [*_choice_of_all(decision, when), logged, profile, *_choice(decision, when), state]
    cut_off = [Statement(SPLIT_SESSIONS, who), Statement(CUT_SESSIONS, at), Statement(DROP_UNCONSENTED, at)]
    if decision.decision == "out":
        return [logged, state, *cut_off]
    log, sessions, choices, profile_row = ERASE
    return [
        logged,
        *cut_off,
        Statement(log, when),
        Statement(sessions, at),
        Statement(DROP_UNCONSENTED, at),
        Statement(choices, when),
        Statement(profile_row, when),
        state,
    ]


def _choice_of_all(decision: ConsentDecision, when: Parameters) -> list[Statement]:
    """What was chosen with it, by a version before choices were made for a guild."""
    if decision.visibility is None or decision.guild_id is not None:
        return []
    shown_from = None if decision.visibility == "only_me" else 0
    return [Statement(STORE_VISIBILITY_OF_ALL, {**when, "shown_from": shown_from}), _overruled(decision)]


def _choice(decision: ConsentDecision, when: Parameters) -> list[Statement]:
    """What was chosen with it: `everywhere` ends with any other choice, and a choice about a guild with the next."""
    if decision.visibility is None or decision.guild_id is None:
        return []
    shown_from = None if decision.visibility == "only_me" else 0 if decision.show_past else decision.at
    everywhere = shown_from if decision.visibility == "everywhere" else None
    return [
        Statement(STORE_VISIBILITY, {**when, "guild_id": decision.guild_id, "shown_from": shown_from}),
        Statement(STORE_VISIBILITY, {**when, "guild_id": EVERY_GUILD, "shown_from": everywhere}),
        _overruled(decision),
    ]


def _overruled(decision: ConsentDecision) -> Statement:
    return Statement(DROP_OVERRULED, {"user_id": decision.user_id})
