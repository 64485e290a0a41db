-- Idempotency keys: which request an operation was asked for with, and what was answered.
-- Digests are SHA-256; the key itself is not kept.
ALTER TABLE operations ADD COLUMN idempotency_key BLOB;
ALTER TABLE operations ADD COLUMN payload BLOB;

-- What is read at start, in order of creation. Every new key goes to its end: an index
-- by key would touch another page for each.
CREATE INDEX operations_idempotency ON operations (id, idempotency_key)
    WHERE idempotency_key IS NOT NULL;

-- The first answer to a request with a key. Not WITHOUT ROWID: a body of usual size would
-- not fit into such a row.
CREATE TABLE answers (
    operation_id BLOB    NOT NULL PRIMARY KEY,
    status       INTEGER NOT NULL,
    headers      TEXT    NOT NULL,
    body         BLOB    NOT NULL
) STRICT;
