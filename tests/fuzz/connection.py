"""What must hold for any bytes that are sent over a connection; `check` is the fuzz target.

- What comes back are whole responses, one for each request the codec accepts, in order, then one refusal.
- The application is asked exactly those requests: nothing behind a refusal or a close is carried out.
- The server goes on.
"""

from __future__ import annotations

from tests.wire.connection import Wire, answers
from tests.wire.reading import read

__all__ = ["check"]

GOOD = b"GET /good HTTP/1.1\r\nHost: a\r\n\r\n"


def check(wire: Wire, data: bytes, cut: int = 0) -> tuple[int, ...]:
    """Raise AssertionError where something does not hold for these bytes; returns the statuses."""
    reading = read([data], switching=True)
    answer, noted = wire.send([data[:cut], data[cut:]])
    methods = [seen.method for seen in reading.requests] + (
        [reading.begun.split()[0]] if reading.begun else []
    )
    found = answers(answer, methods)
    statuses = tuple(response.status for response in found)
    refused = () if reading.refused is None else (reading.refused[0],)
    if any("websocket" in seen.upgrade for seen in reading.requests):
        return statuses  # the handshake has rules of its own, and what follows it is no request
    assert statuses == (200,) * len(reading.requests) + refused, answer
    if refused:
        assert found[-1].headers["connection"] == "close"
    assert [(seen.method, seen.target, seen.body, seen.trailers) for seen in reading.requests] == [
        (seen.method, seen.target, seen.body, seen.trailers) for seen in noted
    ]
    assert answers(wire.send([GOOD])[0], ["GET"])[0].status == 200
    return statuses
