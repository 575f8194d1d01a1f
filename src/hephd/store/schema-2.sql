-- Derived from the log. A user is '' for the owner of this machine, else who a token names; the same id may belong to
-- tasks of two users. The stamps say which operation wrote a field last (merge.rs).
DROP TABLE tasks;
CREATE TABLE tasks (
  user TEXT NOT NULL,
  id TEXT NOT NULL,
  title TEXT,                   -- null before any operation gave one
  created_at INTEGER,           -- null before it was added
  done_at INTEGER,              -- null while it is open
  deleted INTEGER NOT NULL,
  added_by BLOB,
  titled_by BLOB,               -- null where it is that of added_by
  done_by BLOB,
  PRIMARY KEY (user, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX open_tasks ON tasks (user, created_at, id)
  WHERE done_at IS NULL AND created_at IS NOT NULL AND deleted = 0;

-- Derived from the log: which operations are of users other than ''.
CREATE TABLE user_ops (
  user TEXT NOT NULL,
  seq INTEGER NOT NULL,
  PRIMARY KEY (user, seq)
) STRICT, WITHOUT ROWID;

-- One row, derived from the log: a time of the hybrid clock that no operation of '' is above, but for the last ones, if
-- they were made here.
CREATE TABLE clock (
  ms INTEGER NOT NULL,
  counter INTEGER NOT NULL
) STRICT;
INSERT INTO clock VALUES (0, 0);

-- One row: which life of this store it is. A copy lives another one, so a hub that was restored is told from before.
CREATE TABLE epoch (epoch TEXT NOT NULL) STRICT;
INSERT INTO epoch VALUES (lower(hex(randomblob(16))));

-- The epoch of a user whose spokes knew of operations that this log has no more, or not at their places.
CREATE TABLE user_epochs (
  user TEXT PRIMARY KEY,
  epoch TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row where this store has been that of a spoke.
CREATE TABLE spoke (
  id TEXT NOT NULL,             -- a ULID
  epoch TEXT,                   -- the hub's
  cursor_seq INTEGER, cursor_id TEXT,
  sent_seq INTEGER, sent_id TEXT
) STRICT;

-- Operations that the hub has not acknowledged, by their number here; kept only where there is a row in spoke.
CREATE TABLE unsent (seq INTEGER PRIMARY KEY) STRICT;

-- Operations that the hub does not take.
CREATE TABLE refused (seq INTEGER PRIMARY KEY, reason TEXT NOT NULL) STRICT;
