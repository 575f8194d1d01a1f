-- Derived from the log. A user is '' for the owner of this machine, otherwise the subject of a token; two users may have
-- tasks with the same id. The stamps say which operation wrote a field last (merge.rs).
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

-- One row, derived from the log: a time of the hybrid clock not below any operation of '', except the last ones if they were
-- made here.
CREATE TABLE clock (
  ms INTEGER NOT NULL,
  counter INTEGER NOT NULL
) STRICT;
INSERT INTO clock VALUES (0, 0);

-- One row. Every copy gets another epoch, which distinguishes a hub that was restored from what it was before.
CREATE TABLE epoch (epoch TEXT NOT NULL) STRICT;
INSERT INTO epoch VALUES (lower(hex(randomblob(16))));

-- The epoch of a user whose spokes knew operations that this log no longer has at their positions.
CREATE TABLE user_epochs (
  user TEXT PRIMARY KEY,
  epoch TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row if this store was ever a spoke's.
CREATE TABLE spoke (
  id TEXT NOT NULL,             -- a ULID
  epoch TEXT,                   -- the hub's
  cursor_seq INTEGER, cursor_id TEXT,
  sent_seq INTEGER, sent_id TEXT
) STRICT;

-- The numbers of the operations that the hub has not acknowledged; used only with a row in spoke.
CREATE TABLE unsent (seq INTEGER PRIMARY KEY) STRICT;

-- Operations that the hub rejected.
CREATE TABLE refused (seq INTEGER PRIMARY KEY, reason TEXT NOT NULL) STRICT;
