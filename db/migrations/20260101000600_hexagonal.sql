-- The schema of examples/hexagonal: users, their sessions, and products.

-- migrate:up
SET LOCAL lock_timeout = '5s';
SET ROLE pierhead_owner;

CREATE SCHEMA hexagonal;

CREATE TABLE hexagonal.users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL UNIQUE CHECK (char_length(email) <= 254),
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    password_hash text NOT NULL CHECK (password_hash LIKE '$argon2id$%')
);

-- A session's token is not in here, only its SHA-256: whoever reads this table can log in as nobody.
CREATE TABLE hexagonal.sessions (
    digest bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
    user_id bigint NOT NULL REFERENCES hexagonal.users ON DELETE CASCADE,
    expires timestamptz NOT NULL
);
CREATE INDEX sessions_user_id ON hexagonal.sessions (user_id);
CREATE INDEX sessions_expires ON hexagonal.sessions (expires);

CREATE TABLE hexagonal.products (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sku text NOT NULL UNIQUE CHECK (sku ~ '^[A-Z0-9][A-Z0-9-]{0,39}$'),
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    price_cents integer NOT NULL CHECK (price_cents >= 0),
    added_by bigint NOT NULL REFERENCES hexagonal.users
);
CREATE INDEX products_added_by ON hexagonal.products (added_by);

RESET ROLE;

-- migrate:down
SET LOCAL lock_timeout = '5s';
SET ROLE pierhead_owner;
DROP SCHEMA hexagonal CASCADE;
RESET ROLE;
