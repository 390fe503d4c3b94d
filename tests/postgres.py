"""A real PostgreSQL for tests, by the kit: the roles of db/roles.sql, and db/migrations applied."""

from __future__ import annotations

import urllib.parse
from pathlib import Path

from tests.kit import Kit

__all__ = ["Postgres"]


class Postgres:
    """A database server of its own, on a free port that it keeps when it is started again."""

    def __init__(self) -> None:
        self.kit = Kit()
        try:
            self.kit("up", "--detach", "--only", "db", "--ports", "auto")
            self.status = self.kit.status()["db"]
        except BaseException:
            self.kit.close()
            raise

    def url(self, user: str = "app") -> str:
        """Return the URL with the password of `app`, `migrator`, `readonly`, or the superuser `postgres`."""
        parts = urllib.parse.urlsplit(self.status["url"])
        file = Path(self.status["password_file"]).with_name(f"{user}-password")
        password = urllib.parse.quote(file.read_text(encoding="utf-8").strip(), safe="")
        name = user if user == "postgres" else f"pierhead_{user}"
        return f"postgresql://{name}:{password}@{parts.hostname}:{parts.port}{parts.path}"

    def stop(self) -> None:
        """Stop the server; the data stays."""
        self.kit("down")

    def start(self) -> None:
        """Start it again, on the same port."""
        port = urllib.parse.urlsplit(self.status["url"]).port
        self.kit("up", "--detach", "--only", "db", "--ports", f"db={port}")

    def close(self) -> None:
        """Stop the server and remove its data."""
        self.kit.close()
