"""HTTP Basic authentication (RFC 7617)."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import re

__all__ = ["BasicAuth", "basic_challenge", "parse_basic_auth"]

_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


@dataclasses.dataclass(frozen=True, slots=True)
class BasicAuth:
    """The credentials of an Authorization field; `repr` does not show the password."""

    username: str
    password: str = dataclasses.field(repr=False)

    def matches(self, username: str, password: str) -> bool:
        """Tell whether both are right, in a time that does not tell how far they are."""
        import hmac

        same_username = hmac.compare_digest(self.username.encode(), username.encode())
        same_password = hmac.compare_digest(self.password.encode(), password.encode())
        return same_username and same_password


def parse_basic_auth(value: str) -> BasicAuth | None:
    """Parse an Authorization field value; None where it is of another scheme or malformed.

    Malformed is also what is not UTF-8 and what has control characters (RFC 7617, 2 and 2.1).
    """
    scheme, _, encoded = value.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        credentials = base64.b64decode(encoded.strip(" "), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    username, colon, password = credentials.partition(":")
    if not colon or _CONTROLS.search(credentials):
        return None
    return BasicAuth(username, password)


def basic_challenge(realm: str) -> str:
    """Render the WWW-Authenticate value that makes a client ask for credentials.

    `realm` is shown to the user; raises ValueError unless it is printable ASCII.
    """
    if not realm.isascii() or not realm.isprintable():
        raise ValueError(f"a realm is printable ASCII, not {realm!r}")
    quoted = realm.replace("\\", "\\\\").replace('"', '\\"')
    return f'Basic realm="{quoted}", charset="UTF-8"'
