-- What reports of whole guilds read, so that a report costs what it covers and not what others have stored.
-- Why it is cut like this: db_client/REPORTS.md.

-- Which ended sessions overlap a window [a, b): in classes by length (each four times the last, from a quarter of an
-- hour) those of one class began in (a - longest of the class, b). LENGTH_CLASS in report_statements.py says the same.
CREATE INDEX ended_sessions_of_guild ON voice_sessions (
  guild_id,
  ((ended_at - started_at > 900000) + (ended_at - started_at > 3600000) + (ended_at - started_at > 14400000)
   + (ended_at - started_at > 57600000) + (ended_at - started_at > 230400000) + (ended_at - started_at > 921600000)
   + (ended_at - started_at > 3686400000)),
  started_at, ended_at, channel_id, user_id, afk
) WHERE ended_at IS NOT NULL;

CREATE INDEX ended_sessions_of_channel ON voice_sessions (
  channel_id,
  ((ended_at - started_at > 900000) + (ended_at - started_at > 3600000) + (ended_at - started_at > 14400000)
   + (ended_at - started_at > 57600000) + (ended_at - started_at > 230400000) + (ended_at - started_at > 921600000)
   + (ended_at - started_at > 3686400000)),
  started_at, ended_at, user_id, afk, guild_id
) WHERE ended_at IS NOT NULL;

CREATE INDEX open_sessions_of_channel ON voice_sessions (channel_id, started_at) WHERE ended_at IS NULL;

DROP INDEX voice_sessions_of_channel;

-- The running numbers of the blocks of sixteen weeks (9,676,800,000 ms) since 1970 UTC, until the year 2276.
CREATE TABLE blocks (block INTEGER PRIMARY KEY);

INSERT INTO blocks (block)
WITH RECURSIVE numbers (block) AS (SELECT 0 UNION ALL SELECT block + 1 FROM numbers WHERE block < 999)
SELECT block FROM numbers;

-- The ended sessions of each person in each channel, by block: how many began in it, and how much time lies in it.
CREATE TABLE voice_totals (
  guild_id   INTEGER NOT NULL,
  block      INTEGER NOT NULL,
  channel_id INTEGER NOT NULL,
  user_id    INTEGER NOT NULL,
  sessions   INTEGER NOT NULL,
  counted_ms INTEGER NOT NULL,
  afk_ms     INTEGER NOT NULL,
  PRIMARY KEY (guild_id, block, channel_id, user_id)
) WITHOUT ROWID;

-- What each ended session gives to each block that it touches (for making all totals anew).
CREATE VIEW session_shares AS
SELECT s.guild_id, b.block, s.channel_id, s.user_id,
       s.started_at / 9676800000 = b.block AS sessions,
       (s.afk = 0) * (min(s.ended_at, (b.block + 1) * 9676800000) - max(s.started_at, b.block * 9676800000))
         AS counted_ms,
       (s.afk <> 0) * (min(s.ended_at, (b.block + 1) * 9676800000) - max(s.started_at, b.block * 9676800000))
         AS afk_ms
  FROM voice_sessions AS s
  JOIN blocks AS b ON b.block BETWEEN s.started_at / 9676800000 AND max(s.started_at, s.ended_at - 1) / 9676800000
 WHERE s.ended_at IS NOT NULL;

INSERT INTO voice_totals (guild_id, block, channel_id, user_id, sessions, counted_ms, afk_ms)
SELECT guild_id, block, channel_id, user_id, sum(sessions), sum(counted_ms), sum(afk_ms)
  FROM session_shares
 GROUP BY guild_id, block, channel_id, user_id;

-- Whatever statement inserts, changes or deletes a session, these keep the totals equal to the sum of the sessions, in
-- the same transaction. A row inserted into this view adds one session to the totals (weight 1) or takes it back (-1).
CREATE VIEW totals_change AS
SELECT 1 AS weight, guild_id, channel_id, user_id, started_at, ended_at, afk
  FROM voice_sessions
 WHERE ended_at IS NOT NULL;

CREATE TRIGGER apply_totals_change INSTEAD OF INSERT ON totals_change
BEGIN
  INSERT INTO voice_totals (guild_id, block, channel_id, user_id, sessions, counted_ms, afk_ms)
  SELECT new.guild_id, b.block, new.channel_id, new.user_id,
         new.weight * (new.started_at / 9676800000 = b.block),
         new.weight * (new.afk = 0)
           * (min(new.ended_at, (b.block + 1) * 9676800000) - max(new.started_at, b.block * 9676800000)),
         new.weight * (new.afk <> 0)
           * (min(new.ended_at, (b.block + 1) * 9676800000) - max(new.started_at, b.block * 9676800000))
    FROM blocks AS b
   WHERE b.block BETWEEN new.started_at / 9676800000 AND max(new.started_at, new.ended_at - 1) / 9676800000
      ON CONFLICT (guild_id, block, channel_id, user_id) DO UPDATE SET
         sessions = voice_totals.sessions + excluded.sessions,
         counted_ms = voice_totals.counted_ms + excluded.counted_ms,
         afk_ms = voice_totals.afk_ms + excluded.afk_ms;
  DELETE FROM voice_totals
   WHERE new.weight < 0
     AND guild_id = new.guild_id AND channel_id = new.channel_id AND user_id = new.user_id
     AND block BETWEEN new.started_at / 9676800000 AND max(new.started_at, new.ended_at - 1) / 9676800000
     AND sessions = 0 AND counted_ms = 0 AND afk_ms = 0;
END;

CREATE TRIGGER totals_after_insert AFTER INSERT ON voice_sessions WHEN new.ended_at IS NOT NULL
BEGIN
  INSERT INTO totals_change
  VALUES (1, new.guild_id, new.channel_id, new.user_id, new.started_at, new.ended_at, new.afk);
END;

CREATE TRIGGER totals_after_delete AFTER DELETE ON voice_sessions WHEN old.ended_at IS NOT NULL
BEGIN
  INSERT INTO totals_change
  VALUES (-1, old.guild_id, old.channel_id, old.user_id, old.started_at, old.ended_at, old.afk);
END;

CREATE TRIGGER totals_after_update AFTER UPDATE ON voice_sessions
WHEN old.ended_at IS NOT NULL OR new.ended_at IS NOT NULL
BEGIN
  INSERT INTO totals_change
  SELECT 1, new.guild_id, new.channel_id, new.user_id, new.started_at, new.ended_at, new.afk
   WHERE new.ended_at IS NOT NULL;
  INSERT INTO totals_change
  SELECT -1, old.guild_id, old.channel_id, old.user_id, old.started_at, old.ended_at, old.afk
   WHERE old.ended_at IS NOT NULL;
END;
