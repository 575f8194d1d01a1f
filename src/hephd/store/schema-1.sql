-- "heph" in ASCII: says whose file this is, whatever its name.
PRAGMA application_id = 0x68657068;

-- One row. Its layout is part of the contract between releases (schema.rs).
CREATE TABLE meta (
  schema INTEGER NOT NULL,
  oldest_reader INTEGER NOT NULL
) STRICT;
INSERT INTO meta VALUES (0, 0);

-- The log. Its layout is part of the contract between releases (schema.rs).
CREATE TABLE ops (
  seq INTEGER PRIMARY KEY,      -- the order in which this store took them
  id TEXT NOT NULL UNIQUE,      -- a ULID
  kind TEXT NOT NULL,           -- what it does: 'task.add', 'task.done'
  task TEXT NOT NULL,           -- the ULID of the task it is about
  body TEXT NOT NULL,           -- a JSON object, by kind
  created_at INTEGER NOT NULL   -- milliseconds since 1970, UTC
) STRICT;
CREATE TRIGGER ops_are_never_changed BEFORE UPDATE ON ops
  BEGIN SELECT raise(ABORT, 'operations are never changed'); END;
CREATE TRIGGER ops_are_never_removed BEFORE DELETE ON ops
  BEGIN SELECT raise(ABORT, 'operations are never removed'); END;

-- Derived from the log.
CREATE TABLE tasks (
  id TEXT PRIMARY KEY,
  title TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  done_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX open_tasks ON tasks (created_at, id) WHERE done_at IS NULL;
