-- Nothing here tells of people who did not opt in. "Alone" follows from the stored sessions of a channel; as a sum and a
-- flag it told when a stranger came.
UPDATE voice_sessions SET flags = flags & 15 WHERE ended_at IS NULL AND flags > 15;
ALTER TABLE voice_sessions DROP COLUMN alone_ms;

-- Who may see whose time from when on. guild_id 0 is every server; a null shown_from hides from that decision (the
-- interaction's snowflake, `version`) on. Rows older than the newest that hides go: what is left is the newest that hides,
-- if any, and what was shown since.
CREATE TABLE visible_on (
  user_id    INTEGER NOT NULL,
  guild_id   INTEGER NOT NULL,
  version    INTEGER NOT NULL,
  shown_from INTEGER,
  PRIMARY KEY (user_id, guild_id, version)
) WITHOUT ROWID;

CREATE INDEX visible_on_of_guild ON visible_on (guild_id);

INSERT INTO visible_on (user_id, guild_id, version, shown_from)
SELECT DISTINCT u.user_id, s.guild_id, u.version, 0
  FROM opt_in_users AS u JOIN voice_sessions AS s ON s.user_id = u.user_id
 WHERE u.visibility = 'server';
ALTER TABLE opt_in_users DROP COLUMN visibility;

-- Names of channels are names of people: one stands as long as a session in the channel does, whatever removes sessions.
DELETE FROM channels WHERE NOT EXISTS (SELECT 1 FROM voice_sessions AS s WHERE s.channel_id = channels.channel_id);
ALTER TABLE channels DROP COLUMN parent_id;

CREATE TRIGGER names_after_delete AFTER DELETE ON voice_sessions
BEGIN
  DELETE FROM channels
   WHERE channel_id = old.channel_id
     AND NOT EXISTS (SELECT 1 FROM voice_sessions WHERE channel_id = old.channel_id AND ended_at IS NOT NULL)
     AND NOT EXISTS (SELECT 1 FROM voice_sessions WHERE channel_id = old.channel_id AND ended_at IS NULL);
END;

-- The name of a channel in which nothing is recorded stands with that decision, and goes with it.
ALTER TABLE unrecorded_channels ADD COLUMN name TEXT;

-- Whether the bot is in a guild is a fact of its own: left_at is when it was noticed that it is not (null: it is), and
-- absence_confirmed_at when Discord said so again, before anything is removed.
ALTER TABLE guilds ADD COLUMN absence_confirmed_at INTEGER;
ALTER TABLE guilds ADD COLUMN presence_revision INTEGER NOT NULL DEFAULT 0;

INSERT INTO guilds (guild_id, name, revision)
SELECT guild_id, '', -1 FROM guild_settings
 UNION
SELECT guild_id, '', -1 FROM unrecorded_channels
 UNION
SELECT guild_id, '', -1 FROM voice_totals
 UNION
SELECT guild_id, '', -1 FROM voice_sessions WHERE ended_at IS NULL
    ON CONFLICT (guild_id) DO NOTHING;

-- What is true of the whole installation: `application_id`, whose application's data these are.
CREATE TABLE installation (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;
