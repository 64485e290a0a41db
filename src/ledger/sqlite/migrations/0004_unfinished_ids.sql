-- So that the ids alone can be read from the index: with a damaged page in the table, the
-- operations on its other pages are still found.
DROP INDEX operations_unfinished;
CREATE INDEX operations_unfinished ON operations (finished_at, id) WHERE finished_at IS NULL;
