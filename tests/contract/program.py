"""The application of `behaviour` as a program that is started by CGI, and written for that alone."""

from __future__ import annotations

import os
import sys

from tests.contract.behaviour import Asked, answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["fields_of", "main"]


def fields_of(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the header fields among the variables of CGI or WSGI."""
    fields = [
        (name[5:].replace("_", "-"), value) for name, value in environ.items() if name.startswith("HTTP_")
    ]
    names = ("CONTENT_TYPE", "CONTENT_LENGTH")
    return fields + [(name.replace("_", "-"), environ[name]) for name in names if environ.get(name)]


def main() -> None:
    """Answer the one request."""
    environ = {os.fsdecode(name): value.decode("latin-1") for name, value in os.environb.items()}
    length = int(environ.get("CONTENT_LENGTH") or "0")
    said = answer(
        Asked(
            method=environ["REQUEST_METHOD"],
            path=environ["PATH_INFO"].encode("latin-1").decode(),
            query=environ["QUERY_STRING"],
            fields=fields_of(environ),
            body=sys.stdin.buffer.read(length),
            client=environ["REMOTE_ADDR"] or "unix:",
            scheme="https" if environ.get("HTTPS") == "on" else "http",
        )
    )
    pieces = list(said.pieces)
    fields = list(said.fields)
    if not said.streamed and said.status not in {204, 304}:
        fields.append(("Content-Length", str(sum(map(len, pieces)))))
    head = "".join(f"{name}: {value}\n" for name, value in [("Status", f"{said.status} Said"), *fields])
    sys.stdout.buffer.write(f"{head}\n".encode("latin-1"))
    if environ["REQUEST_METHOD"] != "HEAD":
        sys.stdout.buffer.writelines(pieces)
