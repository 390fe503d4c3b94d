"""What is added to a response whichever one is sent in the end: `request.response_headers`."""

from __future__ import annotations

import copy

from pierhead.messages.headers import Headers, RawHeaders
from pierhead.messages.request import Request
from pierhead.messages.response import Response

__all__ = ["additions", "with_additions"]

# Fields of which a response has one (RFC 9110, 5.3): its own stays where another was asked for.
_SINGLE = frozenset(
    b"age content-disposition content-length content-location content-range content-type date etag expires "
    b"last-modified location retry-after server".split()
)


def additions(request: Request, fields: RawHeaders) -> RawHeaders:
    """Return the field lines to add to a response that has `fields`."""
    if not request._response_headers:  # the property would make an empty one for each request
        return []
    own = {name.lower() for name, _ in fields}
    return [line for line in request.response_headers.raw if line[0].lower() not in own & _SINGLE]


def with_additions(request: Request, response: Response) -> Response:
    """Add to a copy: the application may send `response` again."""
    added = additions(request, response.headers.raw)
    if not added:
        return response
    response = copy.copy(response)
    response.headers = Headers.from_raw(response.headers.raw + added)
    return response
