"""The corpus of raw requests in corpus/: one file a case, what it must lead to above, its bytes below.

The part above `---` is TOML:

    rule = "RFC 9112, 7.1"      # the section it is about
    why = "..."                 # what goes wrong for whoever reads it otherwise
    known = "h11 CVE-..."       # where the like was a vulnerability; may be left out
    status = 400                # it is refused with this; left out: nothing is refused
    end = true                  # the refusal is for the connection's end, and not due before it

    [[request]]                 # each request that the application must see, whole and in this order
    method = "POST"
    target = "/"

with, for a request that differs from the simplest, `version`, `headers` (all of them, where they matter),
`body` (Latin-1; or `body_bytes`, its length), `trailers` (or `trailers_count`), `target_bytes`, `keep_alive`,
`expect_continue`, `upgrade`, and `response`, the status it is answered with.

Below, the ends of the file's lines mean nothing: \\r, \\n, \\t, \\\\ and \\xHH stand for the bytes, and a
line `@N text` for N times the text.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import tomllib
from pathlib import Path
from typing import Any

__all__ = ["FOLDER", "Case", "Expected", "corpus"]

FOLDER = Path(__file__).parent / "corpus"
_ESCAPE = re.compile(rb"\\(?:x([0-9a-f]{2})|(.))")
_REPEAT = re.compile(rb"@([0-9]+) (.+)")
_CHARACTERS = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"\\": b"\\"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Expected:
    """A request that the application must see."""

    method: str
    target: str = ""
    target_bytes: int = 0
    version: str = "1.1"
    headers: tuple[tuple[bytes, bytes], ...] | None = None
    body: bytes = b""
    body_bytes: int = 0
    trailers: tuple[tuple[bytes, bytes], ...] = ()
    trailers_count: int = 0
    keep_alive: bool = True
    expect_continue: bool = False
    upgrade: tuple[str, ...] = ()
    response: int = 200


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """One file of the corpus."""

    name: str
    data: bytes
    rule: str
    why: str
    known: str = ""
    status: int | None = None
    end: bool = False
    requests: tuple[Expected, ...] = ()

    @property
    def group(self) -> str:
        """The folder it is in."""
        return self.name.partition("/")[0]

    @property
    def statuses(self) -> list[int]:
        """The responses in their order."""
        return [request.response for request in self.requests] + ([self.status] if self.status else [])

    @property
    def switching(self) -> bool:
        """Whether the connection goes on in another protocol."""
        return 101 in self.statuses


@functools.cache
def corpus() -> tuple[Case, ...]:
    """Read all cases; raises ValueError, with the file's name, for one that is malformed."""
    return tuple(_read(path) for path in sorted(FOLDER.glob("*/*.http")))


def _read(path: Path) -> Case:
    name = f"{path.parent.name}/{path.stem}"
    try:
        above, _, below = path.read_bytes().partition(b"---\n")
        about = tomllib.loads(above.decode())
        requests = tuple(_expected(request) for request in about.pop("request", []))
        data = b"".join(map(_line, below.splitlines()))
        return Case(name=name, data=data, requests=requests, **about)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error


def _expected(about: dict[str, Any]) -> Expected:
    for key in ("headers", "trailers"):
        if key in about:
            about[key] = tuple((name.encode(), value.encode("latin-1")) for name, value in about[key])
    if "body" in about:
        about["body"] = about["body"].encode("latin-1")
    about["upgrade"] = tuple(about.get("upgrade", ()))
    return Expected(**about)


def _line(line: bytes) -> bytes:
    repeat = _REPEAT.fullmatch(line)
    if repeat:
        return int(repeat[1]) * _line(repeat[2])
    return _ESCAPE.sub(
        lambda match: bytes.fromhex(match[1].decode()) if match[1] else _CHARACTERS[match[2]], line
    )
