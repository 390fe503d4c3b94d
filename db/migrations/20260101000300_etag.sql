-- The schema of examples/etag: users with a text large enough that proxies compress it.

-- migrate:up
SET LOCAL lock_timeout = '5s';
SET ROLE pierhead_owner;

CREATE SCHEMA etag;

CREATE TABLE etag.users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    about text NOT NULL DEFAULT '' CHECK (char_length(about) <= 65536),
    version bigint NOT NULL DEFAULT 1,
    updated timestamptz NOT NULL DEFAULT now()
);

RESET ROLE;

-- migrate:down
SET LOCAL lock_timeout = '5s';
SET ROLE pierhead_owner;
DROP SCHEMA etag CASCADE;
RESET ROLE;
