"""A body that is in a file: it is read as any other."""

from __future__ import annotations

import io

from pierhead import Headers, Request
from pierhead.messages.body import SpooledBody


async def test_a_body_in_a_file_is_read_piece_by_piece() -> None:
    body = b"x" * 600_000
    request = Request("POST", "/", Headers(), reader=SpooledBody(io.BytesIO(body)))
    pieces = [piece async for piece in request.stream()]
    assert len(pieces) == 3
    assert b"".join(pieces) == body
    assert not list(request.trailers.items())
