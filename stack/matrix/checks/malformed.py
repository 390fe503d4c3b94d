"""Malformed and ambiguous requests: two readers that disagree about them could be played off."""

from __future__ import annotations

import asyncio
import functools
import time

from stack.matrix.check import Differs, check
from stack.matrix.target import Target

GROUP = "Malformed requests"
POST = "POST /seen HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n"
GET = "GET /seen HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n"
LENGTH = f"{POST}Content-Length:"
CODING = f"{POST}Transfer-Encoding:"
CHUNKS = f"{POST}Transfer-Encoding: chunked\r\n\r\n"
EMPTY = "0\r\n\r\n"

REFUSED = {
    "cl-te": ("both Content-Length and chunked", f"{CODING} chunked\r\nContent-Length: 3\r\n\r\n{EMPTY}"),
    "two-lengths": ("two Content-Lengths that differ", f"{LENGTH} 3\r\nContent-Length: 4\r\n\r\nabcd"),
    "length-list": ("a list of Content-Lengths that differ", f"{LENGTH} 3, 4\r\n\r\nabcd"),
    "length-plus": ("`Content-Length: +3`", f"{LENGTH} +3\r\n\r\nabc"),
    "length-empty": ("an empty Content-Length", f"{LENGTH} \r\n\r\nabc"),
    "te-twice": ("`Transfer-Encoding: chunked, chunked`", f"{CODING} chunked, chunked\r\n\r\n{EMPTY}"),
    "te-x": ("`Transfer-Encoding: xchunked`", f"{CODING} xchunked\r\n\r\n{EMPTY}"),
    "te-1.0": (
        "Transfer-Encoding in HTTP/1.0",
        "POST /seen HTTP/1.0\r\nHost: example.org\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "chunk-size": ("a chunk size that is no number", f"{CHUNKS}xyz\r\nabc\r\n0\r\n\r\n"),
    "chunk-0x": ("a chunk size of `0x3`", f"{CHUNKS}0x3\r\nabc\r\n0\r\n\r\n"),
    "chunk-end": ("a chunk longer than it says", f"{CHUNKS}3\r\nabcdef\r\n0\r\n\r\n"),
    "chunk-bare-lf": ("chunks that end with a bare LF", f"{CHUNKS}3\nabc\n0\n\n"),
    "obs-fold": ("a folded line (obs-fold)", f"{GET}X-One: 1\r\n 2\r\n\r\n"),
    "bare-lf": ("lines that end with a bare LF", GET.replace("\r\n", "\n") + "\n"),
    "bare-cr": ("a bare CR in a field", f"{GET}X-One: 1\r2\r\n\r\n"),
    "space-before-colon": ("a space before the colon", f"{GET}X-One : 1\r\n\r\n"),
    "no-colon": ("a line without a colon", f"{GET}nonsense\r\n\r\n"),
    "nul": ("NUL in a field", f"{GET}X-One: 1\x002\r\n\r\n"),
    "field-name": ("a field name with a slash", f"{GET}X/One: 1\r\n\r\n"),
    "tab-line": ("a tab between method and target", GET.replace("GET /", "GET\t/", 1) + "\r\n"),
    "version": ("HTTP/1.x with another name: `HTTQ/1.1`", GET.replace("HTTP/1.1", "HTTQ/1.1") + "\r\n"),
}  # fmt: skip


CHUNKED = "reads it as chunked, and sends it on without the length (RFC 9112, 6.3)"
UNFOLDED = "makes one line of it"
OTHER = "refuses it too, with another status"
DROPPED = Differs("200", "nginx leaves such a line out")
BODY = Differs("502", "Caddy has asked the application before it sees that the body is malformed")
DIFFERS = {
    "cl-te": {"caddy": Differs("200", f"Caddy {CHUNKED}"), "apache": Differs("200", f"Apache {CHUNKED}")},
    "te-twice": {
        "caddy": Differs("501", f"Caddy {OTHER}"),
        "nginx": Differs("501", f"nginx {OTHER}"),
        "apache": Differs("500", f"Apache {OTHER}"),
    },
    "te-x": {"caddy": Differs("501", f"Caddy {OTHER}"), "nginx": Differs("501", f"nginx {OTHER}")},
    "te-1.0": {"caddy": Differs("200", f"Caddy {CHUNKED}"), "apache": Differs("200", f"Apache {CHUNKED}")},
    "chunk-size": {"caddy": BODY},
    "chunk-0x": {"caddy": BODY},
    "chunk-end": {"caddy": BODY},
    "chunk-bare-lf": {"caddy": BODY},
    "obs-fold": {
        "caddy": Differs("200", f"Caddy {UNFOLDED}"),
        "apache": Differs("200", f"Apache {UNFOLDED}"),
    },
    "bare-lf": {
        "caddy": Differs("200", "Caddy takes LF for the end of a line, and sends CRLF on"),
        "nginx": Differs("200", "nginx takes LF for the end of a line, and sends CRLF on"),
    },
    "no-colon": {"nginx": DROPPED},
    "field-name": {"nginx": DROPPED},
}


async def refused(data: str, target: Target) -> str:
    """Send it; return the status."""
    return await target.status_of(data.encode("latin-1"))


for name, (about, data) in REFUSED.items():
    check(GROUP, about, "400", differs=DIFFERS.get(name, {}), name=f"malformed-{name}")(
        functools.partial(refused, data)
    )


@check(GROUP, "malformed bodies of one client do not keep others from the application", "200, at once")
async def malformed_others(target: Target) -> str:
    """Send several, and ask: a proxy that takes them for failures of the application would have us wait."""
    took = []
    for _ in range(3):
        await asyncio.gather(*(refused(REFUSED["chunk-size"][1], target) for _ in range(6)))
        began = time.monotonic()
        answer = await target.fetch("/seen")
        assert answer.status == 200, answer.status
        took.append(time.monotonic() - began)
        if took[-1] < 1:
            return "200, at once"
    return f"200, after {min(took):.1f} s"


@check(
    GROUP,
    "HTTP/3.0 in the request line",
    "505",
    differs={"apache": Differs("200", "Apache answers as it would to HTTP/1.1, and sends HTTP/1.1 on")},
)
async def version_3(target: Target) -> str:
    """Claim another version."""
    return await target.status_of(GET.replace("HTTP/1.1", "HTTP/3.0").encode() + b"\r\n")


@check(
    GROUP,
    "HTTP/0.9: a line without a version",
    "400",
    differs={"nginx": Differs("closed", "nginx answers in HTTP/0.9, that is without a status, and closes")},
)
async def version_0_9(target: Target) -> str:
    """Ask as the first browsers did."""
    return await target.status_of(b"GET /seen\r\n\r\n")


@check(
    GROUP,
    "an empty line before the request (RFC 9112, 2.2)",
    "200",
    differs={"caddy": Differs("400", "Caddy takes it for a malformed request")},
)
async def empty_line(target: Target) -> str:
    """Be as sloppy as is allowed."""
    return await target.status_of(f"\r\n{GET}\r\n".encode())


@check(
    GROUP,
    "a field name with an underscore",
    "dropped",
    differs={
        "direct": Differs("passed on", "the server passes it on: to Python, `_` and `-` are two characters"),
        "apache": Differs(
            "passed on", "Apache takes out only those that could be mistaken for forwarding fields"
        ),
    },
)
async def underscore(target: Target) -> str:
    """Send what some applications can't tell from a hyphen."""
    facts = await target.seen(fields=[("X_Custom", "1")])
    return "passed on" if any(name.lower() == "x_custom" for name, _ in facts["headers"]) else "dropped"


@check(GROUP, "a byte above 127 in a field", "passed on")
async def high_byte(target: Target) -> str:
    """Send Latin-1, which is allowed and discouraged (RFC 9110, 5.5)."""
    answers = await target.raw(GET.encode() + b"X-Name: caf\xe9\r\n\r\n")
    status = answers[0].split(b" ", 2)[1].decode() if answers else "closed"
    if status != "200":
        return status
    return "passed on" if b"X-Name" in answers[0] or b"x-name" in answers[0].lower() else "dropped"


@check(
    GROUP,
    "a request hidden in another one's body is not answered",
    "one answer",
    differs={
        "caddy": Differs(
            "two answers",
            "to Caddy, Transfer-Encoding counts: they are two requests, and arrive as two",
        )
    },
)
async def smuggled(target: Target) -> str:
    """Send CL.TE as in the book, and count what comes back."""
    hidden = "GET /status/418 HTTP/1.1\r\nHost: example.org\r\n\r\n"
    data = (
        "POST /seen HTTP/1.1\r\nHost: example.org\r\n"
        f"Content-Length: {len(hidden) + 5}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"
    )
    answers = await target.raw(data.encode(), end=True)
    return {1: "one answer", 2: "two answers"}.get(len(answers), f"{len(answers)} answers")
