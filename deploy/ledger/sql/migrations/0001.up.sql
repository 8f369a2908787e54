-- The history. `body` is the canonical JSON of the entry; `hash` covers the number, the hash before, and the body.
-- `generation` is a copy out of the body, for looking up; `verify` compares the two.
CREATE TABLE entries (
  number     INTEGER PRIMARY KEY CHECK (number > 0),
  hash       TEXT    NOT NULL CHECK (length(hash) = 64),
  generation INTEGER NOT NULL,
  body       BLOB    NOT NULL
) STRICT;
CREATE INDEX entries_by_generation ON entries (generation, number);

CREATE TRIGGER entries_refuse_update BEFORE UPDATE ON entries
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER entries_refuse_delete BEFORE DELETE ON entries
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;

-- Deployments by spec digest, as they were first read. The entry that accepted a document holds the sha256 of this text.
CREATE TABLE documents (
  spec_digest TEXT NOT NULL PRIMARY KEY,
  body        TEXT NOT NULL
) STRICT;

CREATE TABLE generations (
  id          INTEGER PRIMARY KEY CHECK (id > 0),
  spec_digest TEXT    NOT NULL REFERENCES documents (spec_digest),
  result      TEXT    NOT NULL CHECK (result IN ('pending', 'good', 'failed', 'rolled_back', 'superseded')),
  ever_good   INTEGER NOT NULL CHECK (ever_good IN (0, 1)),
  accepted_ms INTEGER NOT NULL,
  actor       TEXT    NOT NULL,
  reason      TEXT    NOT NULL
) STRICT;

CREATE TABLE quarantine (
  spec_digest TEXT    NOT NULL PRIMARY KEY,
  actor       TEXT    NOT NULL,
  reason      TEXT    NOT NULL,
  since_ms    INTEGER NOT NULL
) STRICT;

-- One row. `commits` grows with every transaction and is also in HEAD: it tells deleted rows from an older copy of the file.
CREATE TABLE state (
  id       INTEGER PRIMARY KEY CHECK (id = 1),
  commits  INTEGER NOT NULL,
  progress TEXT
) STRICT;
INSERT INTO state (id, commits, progress) VALUES (1, 0, NULL);

-- How to go back from version N to N - 1, for a program that is older than the file.
CREATE TABLE migrations (
  version  INTEGER PRIMARY KEY,
  backward TEXT NOT NULL
) STRICT;
