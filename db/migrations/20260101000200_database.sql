-- The schema of examples/database: products.

-- migrate:up
SET LOCAL lock_timeout = '5s';
SET ROLE pierhead_owner;

CREATE SCHEMA database;

-- The application checks all of this first and answers with a readable 422; the constraints are for everybody else.
CREATE TABLE database.products (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sku text NOT NULL UNIQUE CHECK (sku ~ '^[A-Z0-9][A-Z0-9-]{0,39}$'),
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    price_cents integer NOT NULL CHECK (price_cents >= 0),
    stock integer NOT NULL DEFAULT 0 CHECK (stock >= 0),
    updated timestamptz NOT NULL DEFAULT now()
);

RESET ROLE;

-- migrate:down
SET LOCAL lock_timeout = '5s';
SET ROLE pierhead_owner;
DROP SCHEMA database CASCADE;
RESET ROLE;
