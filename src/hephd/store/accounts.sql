-- What a hub keeps of its users, derived from the log. Triggers keep it, so that it stays right under a release that does not
-- know of it. The owner of this machine ('') has no account: the owner's numbers are those of the log.

-- What the user's spokes know instead of `seq`, which would tell them how much other users write. Operations from before have
-- the number that the spokes know already.
ALTER TABLE user_ops ADD COLUMN number INTEGER;
UPDATE user_ops SET number = seq;

CREATE TABLE accounts (
  user TEXT PRIMARY KEY,
  last INTEGER NOT NULL,        -- the number of the user's last operation
  operations INTEGER NOT NULL,
  bytes INTEGER NOT NULL        -- each operation counts its body and 256 bytes
) STRICT, WITHOUT ROWID;
INSERT INTO accounts
  SELECT user, max(seq), count(*), sum(octet_length(body) + 256) FROM user_ops JOIN ops USING (seq) GROUP BY user;

CREATE TRIGGER user_ops_count AFTER INSERT ON user_ops BEGIN
  INSERT INTO accounts (user, last, operations, bytes)
    SELECT new.user, 1, 1, octet_length(body) + 256 FROM ops WHERE seq = new.seq
    ON CONFLICT (user) DO UPDATE SET last = last + 1, operations = operations + 1, bytes = bytes + excluded.bytes;
  UPDATE user_ops SET number = (SELECT last FROM accounts WHERE user = new.user)
    WHERE user = new.user AND seq = new.seq;
END;
-- A release that does not know of it fills `user_ops` anew when it restores a backup.
CREATE TRIGGER user_ops_discount AFTER DELETE ON user_ops BEGIN
  UPDATE accounts SET operations = operations - 1,
    bytes = bytes - (SELECT octet_length(body) + 256 FROM ops WHERE seq = old.seq)
    WHERE user = old.user;
END;
