-- When each task of this machine's owner was deleted, by the clock of this machine: what another machine writes into the log is
-- that machine's word. A trigger keeps it, so that it stays right under a release that does not know of it.
CREATE TABLE deletions (
  number INTEGER PRIMARY KEY,   -- the order of the deletions here
  task TEXT NOT NULL UNIQUE,
  at INTEGER NOT NULL           -- milliseconds since 1970, UTC
) STRICT;
-- Of those before, only the log says when they were.
INSERT INTO deletions (task, at)
  SELECT task, min(ops.created_at) FROM ops JOIN tasks ON tasks.user = '' AND tasks.id = ops.task
    WHERE ops.kind = 'task.delete' AND tasks.deleted = 1 AND tasks.created_at IS NOT NULL
    GROUP BY task ORDER BY min(seq);

CREATE TRIGGER deletions_of_visible_tasks AFTER UPDATE OF deleted ON tasks
  WHEN new.user = '' AND new.deleted = 1 AND old.deleted = 0 AND old.created_at IS NOT NULL BEGIN
  INSERT INTO deletions (task, at) VALUES (new.id, CAST(unixepoch('subsec') * 1000 AS INTEGER))
    ON CONFLICT (task) DO NOTHING;
END;
