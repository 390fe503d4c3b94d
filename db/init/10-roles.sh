#!/bin/sh
# Creates the roles and their rights (roles.sql) when a container's database is made: the official image runs what is
# in /docker-entrypoint-initdb.d once, on an empty volume. Passwords come from files:
#
#     PIERHEAD_<ROLE>_PASSWORD_FILE   default /run/secrets/<role>_password    (role: migrator, app, readonly)
#     PIERHEAD_ROLES_SQL              default /etc/postgresql/roles.sql
#
# A role whose file does not exist is created without a password: it can't log in until it has one.
set -eu

password() {  # $1: role, $2: file, $3: variable to set
    if [ -r "$2" ]; then
        value=$(cat "$2")
        [ -n "$value" ] || { echo "roles: $2 is empty; it must hold the password of pierhead_$1" >&2; exit 1; }
        export "$3=$value"
    else
        echo "roles: no password for pierhead_$1, because $2 can't be read" >&2
    fi
}

password migrator "${PIERHEAD_MIGRATOR_PASSWORD_FILE:-/run/secrets/migrator_password}" PIERHEAD_MIGRATOR_PASSWORD
password app "${PIERHEAD_APP_PASSWORD_FILE:-/run/secrets/app_password}" PIERHEAD_APP_PASSWORD
password readonly "${PIERHEAD_READONLY_PASSWORD_FILE:-/run/secrets/readonly_password}" PIERHEAD_READONLY_PASSWORD

exec psql -X -v ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres \
    --file "${PIERHEAD_ROLES_SQL:-/etc/postgresql/roles.sql}"
