-- Times are milliseconds since 1970 UTC, snowflakes are integers. Only INTEGER, TEXT, REAL and BLOB are declared: rqlite
-- converts other types on reading. No default and no trigger reads a clock: times are arguments.

CREATE TABLE opt_in_users (
  user_id      INTEGER PRIMARY KEY,
  username     TEXT    NOT NULL,
  display_name TEXT    NOT NULL,
  avatar_url   TEXT,
  opted_in     INTEGER NOT NULL,
  since        INTEGER NOT NULL,
  version      INTEGER NOT NULL,
  visibility   TEXT    NOT NULL CHECK (visibility IN ('only_me', 'server'))
);

CREATE TABLE consent_log (
  seq            INTEGER PRIMARY KEY AUTOINCREMENT,
  interaction_id INTEGER NOT NULL UNIQUE,
  user_id        INTEGER NOT NULL,
  decision       TEXT    NOT NULL CHECK (decision IN ('in', 'out', 'erase')),
  at             INTEGER NOT NULL
);

CREATE INDEX consent_log_of_user ON consent_log (user_id, interaction_id, decision, at);

-- From which decision to which moment each person's newest decision was "in"; to_at is null while it still is.
CREATE VIEW consent_intervals AS
SELECT c.user_id AS user_id,
       c.interaction_id AS version,
       c.at AS from_at,
       (SELECT n.at FROM consent_log AS n
         WHERE n.user_id = c.user_id AND n.interaction_id > c.interaction_id AND n.decision <> 'in'
         ORDER BY n.interaction_id LIMIT 1) AS to_at
  FROM consent_log AS c
 WHERE c.decision = 'in'
   AND coalesce((SELECT p.decision FROM consent_log AS p
                  WHERE p.user_id = c.user_id AND p.interaction_id < c.interaction_id
                  ORDER BY p.interaction_id DESC LIMIT 1), 'out') <> 'in'
   AND NOT EXISTS (SELECT 1 FROM consent_log AS e
                    WHERE e.user_id = c.user_id AND e.interaction_id > c.interaction_id AND e.decision = 'erase');

CREATE TABLE voice_sessions (
  session_id        TEXT    PRIMARY KEY,
  guild_id          INTEGER NOT NULL,
  channel_id        INTEGER NOT NULL,
  user_id           INTEGER NOT NULL,
  started_at        INTEGER NOT NULL,
  ended_at          INTEGER CHECK (ended_at >= started_at),
  started_by        TEXT    NOT NULL,
  ended_by          TEXT,
  started_within_ms INTEGER NOT NULL,
  ended_within_ms   INTEGER,
  afk               INTEGER NOT NULL,
  muted_ms          INTEGER NOT NULL,
  deafened_ms       INTEGER NOT NULL,
  video_ms          INTEGER NOT NULL,
  stream_ms         INTEGER NOT NULL,
  alone_ms          INTEGER NOT NULL,
  flags             INTEGER NOT NULL,
  flags_at          INTEGER NOT NULL,
  revision          INTEGER NOT NULL
);

CREATE UNIQUE INDEX one_seat ON voice_sessions (guild_id, user_id) WHERE ended_at IS NULL;
CREATE INDEX voice_sessions_of_user ON voice_sessions (user_id, guild_id, started_at);
CREATE INDEX voice_sessions_of_channel ON voice_sessions (channel_id, started_at);

CREATE TABLE guilds (
  guild_id       INTEGER PRIMARY KEY,
  name           TEXT    NOT NULL,
  time_zone      TEXT,
  afk_channel_id INTEGER,
  left_at        INTEGER,
  revision       INTEGER NOT NULL
);

CREATE TABLE channels (
  channel_id INTEGER PRIMARY KEY,
  guild_id   INTEGER NOT NULL,
  name       TEXT    NOT NULL,
  kind       INTEGER NOT NULL,
  parent_id  INTEGER,
  deleted_at INTEGER,
  revision   INTEGER NOT NULL
);

CREATE INDEX channels_of_guild ON channels (guild_id);

CREATE TABLE listener_watermarks (
  shard_id    INTEGER PRIMARY KEY,
  observed_at INTEGER NOT NULL
);

-- Per channel, from the first tracked arrival in an empty channel to the last departure, by the voice sessions alone.
-- An island begins where nobody who came earlier is still there; ended_at is null while somebody is.
CREATE VIEW channel_sessions AS
SELECT min(guild_id) AS guild_id,
       channel_id,
       min(started_at) AS started_at,
       nullif(max(coalesce(ended_at, 9223372036854775807)), 9223372036854775807) AS ended_at,
       count(DISTINCT user_id) AS people
  FROM (SELECT *, sum(begins) OVER (PARTITION BY channel_id ORDER BY started_at, session_id) AS island
          FROM (SELECT guild_id, channel_id, user_id, session_id, started_at, ended_at,
                       CASE WHEN started_at <= max(coalesce(ended_at, 9223372036854775807))
                              OVER (PARTITION BY channel_id ORDER BY started_at, session_id
                                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
                            THEN 0 ELSE 1 END AS begins
                  FROM voice_sessions))
 GROUP BY channel_id, island;
