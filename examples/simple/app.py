"""Users over HTTP, in one file: create, list, read, replace, change and delete. Read this example first.

Run `pierhead run app:app` in this folder; README.md has the requests to try.

Where the state lives: in the SQLite file SIMPLE_DB (`simple.db` if unset), or in PostgreSQL if DATABASE_URL
names one. Nothing is kept in memory, so any worker can answer any request. Handlers are plain functions:
each call runs in a thread of its own and may wait for the database.
"""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

from pierhead import App, HTTPError, Request, Response

app = App("simple")
log = logging.getLogger("simple")

TEXT = r"[^\x00-\x1f\x7f]"  # no control characters; PostgreSQL cannot store NUL
FIELDS = {
    "name": (re.compile(rf"(?!\s*$){TEXT}{{1,100}}"), "must be a text of 1 to 100 characters"),
    "email": (
        re.compile(r"(?=.{3,254}$)[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+"),
        "must be an address such as ada@example.org, of at most 254 characters",
    ),
}
LAST_ID = 2**63 - 1
SQLITE_TIMEOUT_S = 5.0
POOL_TIMEOUT_S = 0.8
STATEMENT_TIMEOUT_S = 2


@app.get("/")
def index(request: Request) -> dict[str, str]:
    """Say what is here."""
    return {"example": "simple", "users": request.url_for_path("/users")}


@app.get("/users")
def list_users(request: Request) -> Response:
    """List one page of users, and where the next one is (also in the Link header, RFC 8288)."""
    limit = number(request, "limit", default=20, least=1, most=100)
    after = number(request, "after", default=0, least=0, most=LAST_ID)
    users = run("SELECT id, name, email FROM users WHERE id > ? ORDER BY id LIMIT ?", after, limit + 1)
    if len(users) <= limit:
        return Response.json({"users": users, "next": None})
    url = request.url_for_path(f"/users?limit={limit}&after={users[limit - 1]['id']}")
    return Response.json({"users": users[:limit], "next": url}, headers={"Link": f'<{url}>; rel="next"'})


@app.post("/users")
def create_user(request: Request) -> Response:
    """Create a user and say where it is."""
    user = fields(request.blocking.json())
    sql = "INSERT INTO users (name, email) VALUES (?, ?) RETURNING id, name, email"
    created = run(sql, user["name"], user["email"])[0]
    location = request.url_for_path(f"/users/{created['id']}")
    return Response.json(created, status=201, headers={"Location": location})


@app.get("/users/{user_id:int}")
def show_user(request: Request, user_id: int) -> dict[str, Any]:
    """Show one user."""
    return only(user_id, run("SELECT id, name, email FROM users WHERE id = ?", user_id))


@app.route("/users/{user_id:int}", methods=["PUT", "PATCH"])
def change_user(request: Request, user_id: int) -> dict[str, Any]:
    """Replace all fields of a user (PUT), or change those that are given (PATCH, RFC 7396)."""
    user = fields(request.blocking.json(), partial=request.method == "PATCH")
    sql = (
        "UPDATE users SET name = COALESCE(?, name), email = COALESCE(?, email)"
        " WHERE id = ? RETURNING id, name, email"
    )
    return only(user_id, run(sql, user.get("name"), user.get("email"), user_id))


@app.delete("/users/{user_id:int}")
def delete_user(request: Request, user_id: int) -> Response:
    """Delete a user."""
    only(user_id, run("DELETE FROM users WHERE id = ? RETURNING id", user_id))
    return Response.empty()


def only(user_id: int, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the one row that was found, or raise 404."""
    if not rows:
        raise HTTPError(404, f"there is no user {user_id}")
    return rows[0]


def number(request: Request, name: str, *, default: int, least: int, most: int) -> int:
    """Return a whole number from the query, or raise 400."""
    text = request.query.get(name, str(default))
    if not re.fullmatch(r"[0-9]{1,19}", text) or not least <= int(text) <= most:
        raise HTTPError(400, f"{name} must be a whole number from {least} to {most}", parameter=name)
    return int(text)


def fields(body: object, *, partial: bool = False) -> dict[str, str]:
    """Return the fields of a user that `body` gives, or raise 422 with all that is wrong with it."""
    if not isinstance(body, dict):
        raise HTTPError(422, f"a user must be a JSON object with {' and '.join(FIELDS)}")
    wrong = [
        {"pointer": f"#/{name}", "detail": rule}
        for name, (pattern, rule) in FIELDS.items()
        if not (partial and name not in body)
        and not (isinstance(body.get(name), str) and pattern.fullmatch(body[name]))
    ]
    unknown = body.keys() - FIELDS - {"id"}  # what GET shows may come back: the id in it is not written
    wrong += [{"pointer": "#", "detail": f"a user has no {name[:40]!r}"} for name in sorted(unknown)]
    if wrong:
        raise HTTPError(422, "this is not a valid user", errors=wrong)
    return {name: body[name] for name in FIELDS if name in body}


# The database: a file, or a server. Values never become part of the SQL: they take the places of its `?`.


def run(sql: str, *values: object) -> list[dict[str, Any]]:
    """Run one statement as one transaction; return its rows."""
    database: SQLite | PostgreSQL = app.state.database
    try:
        return database.run(sql, values)
    except database.conflict:
        raise HTTPError(409, "another user has this email") from None
    except database.unavailable as error:
        if not isinstance(error, database.overloaded):  # of those there are many: the access log is enough
            log.warning("the database cannot answer: %s", error)
        raise HTTPError(503, "the database cannot answer now", headers={"Retry-After": "1"}) from None


class SQLite:
    """A file that the workers of one machine share: many of them read, and one writes, at a time."""

    conflict = sqlite3.IntegrityError
    unavailable = sqlite3.OperationalError
    overloaded = ()

    def __init__(self) -> None:
        path = os.environ.get("SIMPLE_DB", "simple.db")
        try:
            self.connection = sqlite3.connect(
                path, timeout=SQLITE_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            self.connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.Error as error:
            fix = "set SIMPLE_DB to a file in a folder that this user may write"
            raise RuntimeError(f"cannot use the SQLite file {path!r}: {error}; {fix}") from error
        self.connection.execute("PRAGMA synchronous = NORMAL")  # a power cut costs the last writes at most
        self.connection.row_factory = sqlite3.Row
        self.lock = threading.Lock()  # one connection of this worker, one statement at a time
        self.close = self.connection.close

    def run(self, sql: str, values: tuple[object, ...] = ()) -> list[dict[str, Any]]:
        """Run one statement."""
        with self.lock:
            return [dict(row) for row in self.connection.execute(sql, values).fetchall()]


class PostgreSQL:
    """A server that all replicas share, and this worker's connections; the table is from db/migrations."""

    def __init__(self, url: str) -> None:
        import psycopg
        from psycopg.rows import dict_row
        from psycopg_pool import ConnectionPool, PoolTimeout, TooManyRequests

        self.conflict = psycopg.IntegrityError
        self.unavailable = (psycopg.OperationalError, psycopg.InterfaceError)
        self.overloaded = (PoolTimeout, TooManyRequests)
        arguments = {
            "row_factory": dict_row,
            "connect_timeout": 2,
            "application_name": "pierhead-simple",
            "options": f"-c search_path=simple -c statement_timeout={STATEMENT_TIMEOUT_S}s",
        }
        if password_file := os.environ.get("DATABASE_PASSWORD_FILE"):
            arguments["password"] = Path(password_file).read_text().strip()
        # Nobody waits longer than `timeout` s for a connection, nor with more than `max_waiting` others.
        self.pool: Any = ConnectionPool(
            url, kwargs=arguments, min_size=1, max_size=4, max_waiting=100, timeout=POOL_TIMEOUT_S,
            reconnect_timeout=2, check=self.check, open=True, name="simple",
        )  # fmt: skip
        self.close = self.pool.close

    def check(self, connection: Any) -> None:
        """Refuse a dead connection; then the others are probably dead too (a restart), so check them all."""
        try:
            self.pool.check_connection(connection)
        except self.unavailable:
            self.pool.check()
            raise

    def run(self, sql: str, values: tuple[object, ...] = ()) -> list[dict[str, Any]]:
        """Run one statement."""
        with self.pool.connection() as connection:
            rows: list[dict[str, Any]] = connection.execute(sql.replace("?", "%s"), values).fetchall()
            return rows


@app.on_start(per="master")
def prepare() -> None:
    """Create the SQLite table once, before there are workers that would all try."""
    if not os.environ.get("DATABASE_URL"):
        with closing(SQLite()) as database:
            database.run(
                "CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY AUTOINCREMENT,"
                " name TEXT NOT NULL, email TEXT NOT NULL UNIQUE)"
            )


@app.on_start
def connect() -> None:
    """Connect this worker to the database."""
    url = os.environ.get("DATABASE_URL")
    app.state.database = PostgreSQL(url) if url else SQLite()


@app.on_stop
def disconnect() -> None:
    """Close this worker's connections."""
    app.state.database.close()
