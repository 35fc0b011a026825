-- Up to which moment a guild was seen: the mark of its shard, unless the guild itself is known not to be seen.

-- A shard's number says which guilds it has only together with how many shards there are. Nobody wrote down how many there
-- were: as many as the greatest number implies. With that a listener that goes on overwrites its own row; under any other
-- count the old row, perhaps of a clock that was ahead, would stand beside it for ever.
ALTER TABLE listener_watermarks RENAME TO watermarks_before;

CREATE TABLE listener_watermarks (
  shard_id    INTEGER NOT NULL,
  shard_count INTEGER NOT NULL,
  observed_at INTEGER NOT NULL,
  PRIMARY KEY (shard_id, shard_count)
) WITHOUT ROWID;

INSERT INTO listener_watermarks (shard_id, shard_count, observed_at)
SELECT shard_id, (SELECT max(shard_id) + 1 FROM watermarks_before), observed_at FROM watermarks_before;

DROP TABLE watermarks_before;

-- The guilds that are not seen while their shard is, and in which something is open: since when (null: they never were).
CREATE TABLE unseen_guilds (
  guild_id     INTEGER PRIMARY KEY,
  unseen_since INTEGER,
  revision     INTEGER NOT NULL
);
