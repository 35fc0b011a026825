-- What the managers of a guild decided. Each setting is decided for itself: the newest decision (the interaction's
-- snowflake, `version`) wins, in whatever order they arrive. A null value is the default.
CREATE TABLE guild_settings (
  guild_id INTEGER NOT NULL,
  setting  TEXT    NOT NULL CHECK (setting IN ('time_zone', 'leaderboard', 'retention_days')),
  value    TEXT,
  version  INTEGER NOT NULL,
  PRIMARY KEY (guild_id, setting)
) WITHOUT ROWID;

-- In which channels nothing is recorded, since when, and until when (null while it lasts). Only the newest such time of
-- a channel is kept. An empty one (from_at = to_at) says that the channel is recorded.
CREATE TABLE unrecorded_channels (
  channel_id INTEGER PRIMARY KEY,
  guild_id   INTEGER NOT NULL,
  from_at    INTEGER NOT NULL,
  to_at      INTEGER,
  version    INTEGER NOT NULL
);

CREATE INDEX unrecorded_channels_of_guild ON unrecorded_channels (guild_id);

-- Which process may do what only one may do at a time, and until when.
CREATE TABLE leases (
  name     TEXT    PRIMARY KEY,
  holder   TEXT    NOT NULL,
  until_at INTEGER NOT NULL
) WITHOUT ROWID;
