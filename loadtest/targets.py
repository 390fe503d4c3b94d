"""Where the load goes: the app itself and each proxy in front of it, proven to give right answers first."""

from __future__ import annotations

import contextlib
import http.client
import json
import urllib.parse
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["DIRECT", "PROXIES", "Target", "TargetError", "chosen", "fetch", "probe_record"]

DIRECT = "direct"
PROXIES = ("caddy", "nginx", "apache")
TIMEOUT_S = 5.0


class TargetError(Exception):
    """A target that is missing, dead or wrong; the message names it and the fix."""


@dataclass(frozen=True)
class Target:
    """One way to the application: `direct`, or through a proxy."""

    name: str
    url: str

    def __post_init__(self) -> None:
        """Refuse a URL that no load tool could use."""
        parts = urllib.parse.urlsplit(self.url)
        if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/") or parts.query:
            raise TargetError(f"target {self.name}: {self.url!r} is not like http://127.0.0.1:8080")
        object.__setattr__(self, "url", self.url.rstrip("/"))


def chosen(
    status: Mapping[str, Mapping[str, Any]],
    names: list[str] | None,
    more: list[str],
    always: Iterable[str] = (),
) -> list[Target]:
    """Return the targets of a run, `direct` first.

    `status` is what `./kit status --json` says (role -> url, ...), `names` the wanted ones (None: all that
    run), `more` further ones as NAME=URL, of which `always` are wanted in any case. Raises TargetError.
    """
    running: dict[str, str] = {}
    for role in ("app", *PROXIES):
        if role in status:
            running[DIRECT if role == "app" else role] = str(status[role]["url"])
    for item in more:
        name, found, url = item.partition("=")
        if not found or not name:
            raise TargetError(f"--target {item!r} is not NAME=URL")
        running[name] = url
    if not running:
        raise TargetError("nothing runs that could be measured; start the stack first: ./kit up --detach")
    missing = [name for name in names or () if name not in running]
    if missing:
        raise TargetError(f"not running: {', '.join(missing)}; running: {', '.join(running)}")
    wanted = list(dict.fromkeys([*names, *always])) if names else list(running)
    return [Target(name, running[name]) for name in sorted(wanted, key=lambda name: name != DIRECT)]


def fetch(target: Target, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """Send one request on a connection of its own; return the status and the JSON (None: no JSON).

    `body` is sent as it is if it is bytes, else as JSON.

    Raises TargetError if there is no answer within TIMEOUT_S.
    """
    parts = urllib.parse.urlsplit(target.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
    fields = {} if data is None else {"Content-Type": kind}
    try:
        connection.request(method, path, data, fields)
        response = connection.getresponse()
        content = response.read()
    except (OSError, http.client.HTTPException) as error:
        reason = str(error) or type(error).__name__
        raise TargetError(f"{target.name} ({target.url}) does not answer: {reason}") from error
    finally:
        connection.close()
    try:
        return response.status, json.loads(content)
    except ValueError:
        return response.status, None


@contextlib.contextmanager
def probe_record(target: Target) -> Iterator[dict[str, Any]]:
    """Create a user through `target`, and delete it when the run is over. Raises TargetError."""
    user = {"name": "Bench", "email": f"bench-{uuid.uuid4()}@example.org"}
    status, created = fetch(target, "POST", "/simple/users", user)
    if status != 201 or not isinstance(created, dict) or not user.items() <= created.items():
        raise TargetError(
            f"{target.name} ({target.url}): POST /simple/users gave {status} {created}, not 201"
        )
    try:
        yield created
    finally:
        with contextlib.suppress(TargetError):  # died during the run: that has been said already
            fetch(target, "DELETE", f"/simple/users/{created['id']}")
