"""Validators and ranges: 304, 412 and 206 must be right whatever a proxy does to the body and its ETag."""

from __future__ import annotations

import gzip

from stack.matrix.check import Differs, check
from stack.matrix.client import Answer, Fields
from stack.matrix.target import Target

GROUP = "Validators and ranges"
GZIP = ("Accept-Encoding", "gzip")
DIGITS = b"0123456789" * 100 + b"\n"


async def tagged(target: Target, *fields: tuple[str, str]) -> str:
    """Return the ETag that a client gets."""
    answer = await target.fetch("/document", fields)
    assert answer.status == 200
    return answer.one("etag") or "none"


async def document(target: Target, *fields: tuple[str, str], method: str = "GET") -> Answer:
    """Ask for the document, or replace it."""
    return await target.fetch("/document", fields, method=method, body=b"new" if method == "PUT" else None)


@check(GROUP, 'the strong ETag `"v1"`, as a client gets it', '"v1"')
async def etag(target: Target) -> str:
    """Get it without compression."""
    return await tagged(target)


@check(
    GROUP,
    "the same of a compressed body",
    '"v1"',
    differs={
        "caddy": Differs(
            '"v1-gzip"',
            "a compressed body gets an ETag of its own; what a client sends back is translated",
        ),
        "apache": Differs(
            '"v1-gzip"',
            "a compressed body gets an ETag of its own; what a client sends back is translated",
        ),
        "nginx": Differs(
            'W/"v1"', "nginx makes the ETags of what it compresses weak; If-Match with it is translated"
        ),
    },
)
async def etag_gzip(target: Target) -> str:
    """Get it with compression."""
    return await tagged(target, GZIP)


@check(GROUP, "If-None-Match with that ETag", "304")
async def not_modified(target: Target) -> str:
    """Ask again for what did not change."""
    return str((await document(target, ("If-None-Match", await tagged(target)))).status)


@check(GROUP, "If-None-Match with the ETag of the compressed body", "304")
async def not_modified_gzip(target: Target) -> str:
    """Ask again as a browser does."""
    return str((await document(target, GZIP, ("If-None-Match", await tagged(target, GZIP)))).status)


@check(GROUP, "If-None-Match with a list that has it", "304")
async def not_modified_list(target: Target) -> str:
    """Ask with several that are known."""
    values = f'"other", {await tagged(target, GZIP)}, W/"third"'
    return str((await document(target, GZIP, ("If-None-Match", values))).status)


@check(GROUP, "If-None-Match with `*`, with a weak one of the same, and with another one", "304 304 200")
async def if_none_match(target: Target) -> str:
    """Ask with what is compared in other ways (RFC 9110, 13.1.2)."""
    values = ("*", 'W/"v1"', '"v2"')
    answers = [await document(target, GZIP, ("If-None-Match", value)) for value in values]
    return " ".join(str(answer.status) for answer in answers)


@check(
    GROUP,
    "the ETag in a 304 is the one of the 200",
    "the same",
    differs={
        "caddy": Differs('"v1"', "a 304 has the application's own ETag, which works as well"),
        "nginx": Differs('"v1"', "a 304 has the application's own ETag, which works as well"),
        "apache": Differs('"v1"', "a 304 has the application's own ETag, which works as well"),
    },
)
async def not_modified_tag(target: Target) -> str:
    """Compare what a cache would compare (RFC 9110, 15.4.5)."""
    mine = await tagged(target, GZIP)
    answer = await document(target, GZIP, ("If-None-Match", mine))
    assert answer.status == 304
    return "the same" if answer.one("etag") == mine else f"{answer.one('etag')}"


@check(GROUP, "If-Match with the ETag that the client got, plain and compressed: PUT is done", "204 204")
async def if_match(target: Target) -> str:
    """Replace what the client has seen."""
    plain, packed = await tagged(target), await tagged(target, GZIP)
    answers = [await document(target, ("If-Match", tag), method="PUT") for tag in (plain, packed)]
    return " ".join(str(answer.status) for answer in answers)


@check(GROUP, "If-Match with another ETag, and none at all: PUT is not done", "412 428")
async def lost_update(target: Target) -> str:
    """Replace what somebody else has changed."""
    other = await document(target, ("If-Match", '"v0"'), method="PUT")
    return f"{other.status} {(await document(target, method='PUT')).status}"


@check(
    GROUP,
    "If-Match with a weak ETag that the application never sent",
    "412",
    differs={
        "nginx": Differs(
            "204",
            "nginx cannot tell its own weak ETag from another one, and makes it strong",
        )
    },
)
async def if_match_weak(target: Target) -> str:
    """Compare strongly (RFC 9110, 13.1.1)."""
    return str((await document(target, ("If-Match", 'W/"v1"'), method="PUT")).status)


@check(GROUP, "If-Modified-Since", "304 200")
async def if_modified_since(target: Target) -> str:
    """Ask by date."""
    dates = ("Sat, 01 Jan 2022 00:00:00 GMT", "Fri, 31 Dec 2021 23:59:59 GMT")
    answers = [await document(target, GZIP, ("If-Modified-Since", date)) for date in dates]
    return " ".join(str(answer.status) for answer in answers)


async def ranged(target: Target, *fields: tuple[str, str]) -> Answer:
    """Ask for a part of the file."""
    return await target.fetch("/file", fields)


@check(GROUP, "Range: the bytes that were asked for, also from who accepts gzip", "206 206")
async def byte_range(target: Target) -> str:
    """Ask for some bytes in the middle."""
    extra: tuple[Fields, ...] = ((), (GZIP,))
    answers = [await ranged(target, ("Range", "bytes=15-24"), *fields) for fields in extra]
    for answer in answers:
        assert answer.body == DIGITS[15:25], answer
        assert answer.one("content-range") == "bytes 15-24/1001"
        assert answer.all("content-encoding") == []
    return " ".join(str(answer.status) for answer in answers)


@check(GROUP, "a range outside of the file, and If-Range with an old ETag", "416 200")
async def range_refused(target: Target) -> str:
    """Ask for what is not there, or no more."""
    outside = await ranged(target, ("Range", "bytes=5000-"))
    old = await ranged(target, ("Range", "bytes=0-4"), ("If-Range", '"old"'))
    assert old.body == DIGITS
    return f"{outside.status} {old.status}"


@check(GROUP, "HEAD of what would be compressed: no body", "200")
async def head_gzip(target: Target) -> str:
    """Ask for the head as a browser does."""
    answer = await document(target, GZIP, method="HEAD")
    assert answer.body == b""
    return str(answer.status)


def unpacked(answer: Answer) -> bytes:
    """Return the content."""
    return gzip.decompress(answer.body) if answer.one("content-encoding") == "gzip" else answer.body
