-- What callers asked for, and what became of it: one row an operation.
-- Times are microseconds since 1970 in UTC. Words are those of the HTTP contract.
CREATE TABLE operations (
    id                    BLOB    NOT NULL PRIMARY KEY, -- UUIDv7, so rows lie in order of creation
    action                TEXT    NOT NULL,
    status                TEXT    NOT NULL,
    outcome               TEXT,
    offer_id              TEXT    NOT NULL,
    publisher_id          TEXT    NOT NULL,
    requested_by          TEXT    NOT NULL,
    request_id            TEXT    NOT NULL,
    created_at            INTEGER NOT NULL,
    updated_at            INTEGER NOT NULL,
    portal_http_status    INTEGER,
    portal_status         TEXT,
    portal_location       TEXT,
    portal_correlation_id TEXT,
    delivered             TEXT    NOT NULL,
    error_code            TEXT,
    error_message         TEXT,
    evidence              TEXT,                         -- JSON; NULL while there is none
    finished_at           INTEGER                       -- NULL while unfinished
) STRICT, WITHOUT ROWID;

-- What has to be followed after a restart, however long the history is.
CREATE INDEX operations_unfinished ON operations (id) WHERE finished_at IS NULL;

-- The row that readiness writes, to learn whether the disk still takes anything.
CREATE TABLE gateway (
    id        INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    probed_at INTEGER NOT NULL
) STRICT;

INSERT INTO gateway (id, probed_at) VALUES (1, 0);
