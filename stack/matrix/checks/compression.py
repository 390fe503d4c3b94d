"""Compression: what is worth it, and nothing else."""

from __future__ import annotations

from stack.matrix.check import Differs, check
from stack.matrix.checks.validators import GZIP, unpacked
from stack.matrix.target import Target

GROUP = "Compression"


async def encoding(target: Target, kind: str, *fields: tuple[str, str]) -> str:
    """Return how a text comes."""
    answer = await target.fetch(f"/text/{kind}", fields)
    assert answer.status == 200
    assert unpacked(answer)
    return answer.one("content-encoding") or "identity"


@check(
    GROUP,
    "long text, for who accepts gzip",
    "gzip",
    differs={"direct": Differs("identity", "the server compresses nothing by itself")},
)
async def compressed(target: Target) -> str:
    """Ask for it."""
    return await encoding(target, "long", GZIP)


@check(GROUP, "long text, for who does not: no Accept-Encoding, identity, `gzip;q=0`", "identity")
async def uncompressed(target: Target) -> str:
    """Ask for it in three ways."""
    accepted = [[], [("Accept-Encoding", "identity")], [("Accept-Encoding", "gzip;q=0, identity")]]
    found = [await encoding(target, "long", *fields) for fields in accepted]
    return "identity" if set(found) == {"identity"} else " ".join(found)


@check(
    GROUP,
    "Vary tells caches that it depends on Accept-Encoding",
    "yes",
    differs={
        "direct": Differs("no", "the server compresses nothing by itself"),
        "caddy": Differs(
            "only where it is compressed",
            "a cache may give the plain text to everybody, which is harmless",
        ),
    },
)
async def vary(target: Target) -> str:
    """Look at both ways it may come."""
    answers = [await target.fetch("/text/long", fields) for fields in ([], [GZIP])]
    found = ["accept-encoding" in ", ".join(answer.all("vary")).lower() for answer in answers]
    return {(True, True): "yes", (False, False): "no"}.get(
        (found[0], found[1]), "only where it is compressed"
    )


@check(GROUP, "short text", "identity")
async def short(target: Target) -> str:
    """Ask for what would only get longer."""
    return await encoding(target, "short", GZIP)


@check(GROUP, "an image", "identity")
async def image(target: Target) -> str:
    """Ask for what is compressed by itself."""
    return await encoding(target, "binary", GZIP)


@check(
    GROUP,
    "text with Cache-Control: no-transform",
    "identity",
    differs={
        "nginx": Differs(
            "gzip",
            "nginx does not look at Cache-Control, only at the type",
        )
    },
)
async def no_transform(target: Target) -> str:
    """Ask for what must stay as it is (RFC 9111, 5.2.2.6)."""
    return await encoding(target, "untouched", GZIP)


@check(GROUP, "an event stream", "identity")
async def events_uncompressed(target: Target) -> str:
    """Ask for events as a browser does."""
    answer = await target.fetch("/events?count=1&interval=0", [GZIP, ("Accept", "text/event-stream")])
    return answer.one("content-encoding") or "identity"
