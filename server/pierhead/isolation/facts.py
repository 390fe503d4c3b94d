"""Requests and responses as facts that go over a link, and back."""

from __future__ import annotations

import dataclasses
from typing import Any

from pierhead.messages.body import BodyLimits, BodyReader
from pierhead.messages.headers import Headers, RawHeaders
from pierhead.messages.request import Address, Request
from pierhead.messages.tls import TLSInfo

__all__ = ["fields_of", "make_request", "request_facts", "texts_of"]


def texts_of(fields: RawHeaders) -> list[list[str]]:
    """Return field lines as JSON can have them: Latin-1 has a character for every byte."""
    return [[name.decode("latin-1"), value.decode("latin-1")] for name, value in fields]


def fields_of(texts: list[list[str]]) -> RawHeaders:
    """Return the field lines that `texts_of` made texts of."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in texts]


def request_facts(request: Request) -> dict[str, Any]:
    """Return all of a request but its body, and what the worker keeps to itself: `state` and `params`."""
    added = request._response_headers
    return {
        "method": request.method,
        "target": request.target,
        "headers": texts_of(request.headers.raw),
        "http_version": request.http_version,
        "scheme": request.scheme,
        "client": request.client,
        "server": request.server,
        "id": request.id,
        "root_path": request.root_path,
        "raw_path": request.raw_path,
        "added": texts_of(added.raw) if added else [],
        "tls": dataclasses.asdict(request.tls) if request.tls is not None else None,
        "limits": dataclasses.astuple(request.limits),
    }


def make_request(facts: dict[str, Any], reader: BodyReader | None) -> Request:
    """Build the request again."""
    request = Request(
        facts["method"],
        facts["target"],
        Headers.from_raw(fields_of(facts["headers"])),
        reader=reader,
        http_version=facts["http_version"],
        scheme=facts["scheme"],
        client=_address(facts["client"]),
        server=_address(facts["server"]),
        id=facts["id"],
        limits=BodyLimits(*facts["limits"]),
    )
    request.root_path = facts["root_path"]
    request.raw_path = facts["raw_path"]
    if facts["added"]:
        request.response_headers.raw += fields_of(facts["added"])
    if facts["tls"] is not None:
        chain = tuple(facts["tls"]["client_cert_chain"])
        request.tls = TLSInfo(**{**facts["tls"], "client_cert_chain": chain})
    return request


def _address(pair: list[Any] | None) -> Address | None:
    return None if pair is None else Address(pair[0], pair[1])
