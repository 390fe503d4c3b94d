-- Roles, the database, and who may do what in it. Run by a superuser with psql; running it again repairs and changes
-- nothing else, so it is also how a password is changed. Roles belong to the whole PostgreSQL server, and so come
-- before migrations, which belong to one database.
--
--     PIERHEAD_APP_PASSWORD=... psql -X -v ON_ERROR_STOP=1 -d postgres -f roles.sql
--
-- Environment: PIERHEAD_MIGRATOR_PASSWORD, PIERHEAD_APP_PASSWORD, PIERHEAD_READONLY_PASSWORD (a role whose password is
-- not given keeps the one it has; a new one can't log in yet), PIERHEAD_DATABASE (default: pierhead). Passwords come by
-- environment because arguments are visible to every user of the machine.
--
--     pierhead_owner     owns every object; nobody can log in as it
--     pierhead_migrator  changes the schema, as the owner: migrations begin with SET ROLE pierhead_owner
--     pierhead_app       reads and writes rows; can't change the schema
--     pierhead_readonly  reads rows

\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = warning;
SET password_encryption = 'scram-sha-256';
-- No password in the server's log, whatever it is set to write:
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';

\set database pierhead
\getenv database PIERHEAD_DATABASE
\getenv migrator_password PIERHEAD_MIGRATOR_PASSWORD
\getenv app_password PIERHEAD_APP_PASSWORD
\getenv readonly_password PIERHEAD_READONLY_PASSWORD

-- --- roles. (Two of these files at the same time would get in each other's way.)
SELECT pg_advisory_lock(1346978162) \g /dev/null

SELECT format('CREATE ROLE %I', name)
FROM unnest(ARRAY['pierhead_owner', 'pierhead_migrator', 'pierhead_app', 'pierhead_readonly']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

ALTER ROLE pierhead_owner NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
ALTER ROLE pierhead_migrator LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
ALTER ROLE pierhead_app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
ALTER ROLE pierhead_readonly LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;

\if :{?migrator_password}
ALTER ROLE pierhead_migrator PASSWORD :'migrator_password';
\endif
\if :{?app_password}
ALTER ROLE pierhead_app PASSWORD :'app_password';
\endif
\if :{?readonly_password}
ALTER ROLE pierhead_readonly PASSWORD :'readonly_password';
\endif

-- The migrator has none of the owner's rights until it says SET ROLE.
GRANT pierhead_owner TO pierhead_migrator WITH INHERIT FALSE, SET TRUE, ADMIN FALSE;

-- Nothing may hold locks, or a snapshot, for ever. A client can set another value for itself.
ALTER ROLE pierhead_app SET statement_timeout = '60s';  -- shorter than a handler's 120 s
ALTER ROLE pierhead_app SET idle_in_transaction_session_timeout = '60s';
ALTER ROLE pierhead_readonly SET statement_timeout = '300s';
ALTER ROLE pierhead_readonly SET idle_in_transaction_session_timeout = '60s';
ALTER ROLE pierhead_readonly SET default_transaction_read_only = on;

-- --- the database
SELECT format('CREATE DATABASE %I OWNER pierhead_owner', :'database')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec

ALTER DATABASE :"database" OWNER TO pierhead_owner;
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO pierhead_migrator, pierhead_app, pierhead_readonly;
-- Where dbmate keeps its table: a schema of its own, for `public` is closed.
ALTER ROLE pierhead_migrator IN DATABASE :"database" SET search_path = dbmate;
SELECT pg_advisory_unlock(1346978162) \g /dev/null

-- --- inside the database
\connect :"database"
SET client_min_messages = warning;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
CREATE SCHEMA IF NOT EXISTS dbmate AUTHORIZATION pierhead_migrator;

-- What the owner will create: usable by the application, readable by the read-only role, closed to everybody else.
ALTER DEFAULT PRIVILEGES FOR ROLE pierhead_owner GRANT USAGE ON SCHEMAS TO pierhead_app, pierhead_readonly;
ALTER DEFAULT PRIVILEGES FOR ROLE pierhead_owner GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO pierhead_app;
ALTER DEFAULT PRIVILEGES FOR ROLE pierhead_owner GRANT SELECT ON TABLES TO pierhead_readonly;
ALTER DEFAULT PRIVILEGES FOR ROLE pierhead_owner GRANT USAGE, SELECT ON SEQUENCES TO pierhead_app;
ALTER DEFAULT PRIVILEGES FOR ROLE pierhead_owner GRANT SELECT ON SEQUENCES TO pierhead_readonly;
ALTER DEFAULT PRIVILEGES FOR ROLE pierhead_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE pierhead_owner GRANT EXECUTE ON FUNCTIONS TO pierhead_app;
