"""Requests to the stack as a client sends them."""

from __future__ import annotations

import http.client
import json
import urllib.parse
import uuid
from typing import Any

__all__ = ["request", "round_trip"]


def request(url: str, method: str, path: str, data: object = None) -> tuple[int, Any, dict[str, str]]:
    """Send one request; return status, JSON and headers."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    body = None if data is None else json.dumps(data)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        response = connection.getresponse()
        content = response.read()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return response.status, json.loads(content) if content else None, headers
    finally:
        connection.close()


def round_trip(url: str) -> None:
    """Create, read, change and delete a record in the database, through `url`."""
    user = {"name": "Ada", "email": f"{uuid.uuid4()}@example.org"}
    status, created, headers = request(url, "POST", "/simple/users", user)
    assert status == 201
    place = urllib.parse.urlsplit(headers["location"]).path
    assert request(url, "GET", place)[:2] == (200, created)
    assert request(url, "PATCH", place, {"name": "Ada L."})[1]["name"] == "Ada L."
    assert request(url, "DELETE", place)[0] == 204
    assert request(url, "GET", place)[0] == 404
