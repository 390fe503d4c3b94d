-- examples/database: a version of each product, which grows with each change. Whoever writes says which one was read.

-- migrate:up
SET LOCAL lock_timeout = '5s';
SET ROLE pierhead_owner;

ALTER TABLE database.products ADD COLUMN version integer NOT NULL DEFAULT 1;

RESET ROLE;

-- migrate:down
SET LOCAL lock_timeout = '5s';
SET ROLE pierhead_owner;
ALTER TABLE database.products DROP COLUMN version;
RESET ROLE;
