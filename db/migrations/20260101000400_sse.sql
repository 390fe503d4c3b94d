-- The schema of examples/sse: the last notifications, for clients that come back.

-- migrate:up
SET LOCAL lock_timeout = '5s';
SET ROLE pierhead_owner;

CREATE SCHEMA sse;

CREATE TABLE sse.notifications (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    text text NOT NULL CHECK (char_length(text) BETWEEN 1 AND 1000),
    sent timestamptz NOT NULL DEFAULT clock_timestamp()
);

RESET ROLE;

-- migrate:down
SET LOCAL lock_timeout = '5s';
SET ROLE pierhead_owner;
DROP SCHEMA sse CASCADE;
RESET ROLE;
