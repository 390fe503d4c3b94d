"""The checks that are made by FastCGI and SCGI as well: what a web server makes of a request there, too.

What the protocols cannot carry (WebSockets, trailer fields, early hints) is not among them, nor what only the
large files for HTTP do, such as compression and error pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from stack.matrix.check import Differs
from stack.matrix.checks import CHECKS

__all__ = ["CHECKS_BY_GATEWAY", "NAMES"]

NAMES = (
    "crud", "problems", "methods", "head", "keep-alive", "own-errors", "cookies", "via", "redirect",
    "etag", "not-modified", "byte-range", "sse", "chunked-response", "broken-off", "expect",
    "client-facts", *(name for name in CHECKS if name.startswith("spoofed-")), "connection-names", "h2c",
    "unknown-host", "absolute-form", "wrong-hosts", "path-encoded-slash", "path-double-slash", "path-dots",
    "path-encoded-percent", "path-utf8", "path-semicolon", "path-empty-query", "path-query", "path-pipe",
    "malformed-two-lengths", "smuggled",
)  # fmt: skip
_DIFFERS: Mapping[str, Mapping[str, Differs]] = {
    "via": {"caddy-fastcgi": Differs("0.0 Caddy", "FastCGI says nothing of a version of HTTP")},
    "path-pipe": {"caddy-fastcgi": CHECKS["path-pipe"].differs["caddy"]},
    "smuggled": {"caddy-fastcgi": CHECKS["smuggled"].differs["caddy"]},
}
CHECKS_BY_GATEWAY = {
    name: replace(check, differs=_DIFFERS.get(name, {})) for name, check in CHECKS.items() if name in NAMES
}
"""By name, in the order of the matrix; with what differs there."""
