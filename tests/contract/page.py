"""The rows of the table of pairs in docs/protocols.md."""

from __future__ import annotations

__all__ = ["DIRECT"]

DIRECT = [
    "HTTP/1.1",
    "HTTP/1.1 on a unix socket",
    "HTTPS",
    "HTTP/1.1 on standard input and output",
    "FastCGI",
    "SCGI",
    "CGI",
]
