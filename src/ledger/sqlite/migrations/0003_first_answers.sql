-- The first answer to a request with an idempotency key: what the operation said then, as
-- far as it changes later, and what else the answer consisted of.
CREATE TABLE first_answers (
    operation_id         BLOB    NOT NULL PRIMARY KEY,
    status               TEXT    NOT NULL,
    updated_at           INTEGER NOT NULL,
    portal_status        TEXT,
    problem_code         TEXT,    -- NULL where the operation itself was the answer
    portal_error_code    TEXT,    -- the vendor's own words, with a problem
    portal_error_message TEXT,
    waited_seconds       INTEGER  -- of the applied `Prefer: wait`
) STRICT;

-- Version 0.1.0 stored answers as text: each the JSON of an operation or of a problem.
INSERT INTO first_answers
SELECT
    operation_id,
    CASE WHEN NOT is_problem THEN json ->> '$.status'
         WHEN error_code IS json ->> '$.code' THEN present_status
         ELSE 'Running' END,
    CASE WHEN is_problem THEN present_updated_at
         ELSE unixepoch(substr(updated_at, 1, 19)) * 1000000
            + CAST(substr(rtrim(substr(updated_at, 21), 'Z') || '000000', 1, 6) AS INTEGER) END,
    CASE WHEN NOT is_problem THEN json ->> '$.portal.status' END,
    CASE WHEN is_problem THEN json ->> '$.code' END,
    CASE WHEN is_problem THEN json ->> '$.portal.code' END,
    CASE WHEN is_problem THEN json ->> '$.portal.message' END,
    NULL
FROM (
    SELECT
        answers.operation_id,
        answers.status >= 400 AS is_problem,
        CAST(answers.body AS TEXT) AS json,
        CAST(answers.body AS TEXT) ->> '$.updatedAt' AS updated_at,
        operations.status AS present_status,
        operations.updated_at AS present_updated_at,
        operations.error_code AS error_code
    FROM answers JOIN operations ON operations.id = answers.operation_id
    WHERE json_valid(CAST(answers.body AS TEXT))
);

DROP TABLE answers;
