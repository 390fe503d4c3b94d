-- The schema of examples/simple: users.
--
-- Migrations are run by pierhead_migrator, which may log in but owns nothing; SET ROLE gives every object to
-- pierhead_owner, which may not log in, and whose default privileges (roles.sql) let the application in. RESET ROLE
-- comes last: dbmate notes the migration as itself.

-- migrate:up
SET LOCAL lock_timeout = '5s';  -- rather fail than queue behind a long transaction and stop everybody after us
SET ROLE pierhead_owner;

CREATE SCHEMA simple;

CREATE TABLE simple.users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    email text NOT NULL UNIQUE CHECK (char_length(email) <= 254)
);

RESET ROLE;

-- migrate:down
SET LOCAL lock_timeout = '5s';
SET ROLE pierhead_owner;
DROP SCHEMA simple CASCADE;
RESET ROLE;
