-- A place for the tables of {name}: the example that it began as keeps none.

-- migrate:up
SET LOCAL lock_timeout = '5s';
SET ROLE pierhead_owner;
CREATE SCHEMA {example};
RESET ROLE;

-- migrate:down
SET LOCAL lock_timeout = '5s';
SET ROLE pierhead_owner;
DROP SCHEMA {example} CASCADE;
RESET ROLE;
