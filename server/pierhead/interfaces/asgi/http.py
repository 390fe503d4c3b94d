"""One HTTP request in ASGI: the `receive` and `send` that an application is called with.

Neither creates a task or a queue: a message goes through the request's channel to the transport while the
application waits for it to be taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from pierhead.errors import ClientDisconnected, HTTPError
from pierhead.failures import log_failure
from pierhead.interfaces.additions import additions, with_additions
from pierhead.interfaces.asgi.scope import Message
from pierhead.interfaces.fields import checked_fields, response_fields
from pierhead.messages.channel import ResponseChannel
from pierhead.messages.files import FileBody
from pierhead.messages.headers import RawHeaders
from pierhead.messages.request import Request
from pierhead.messages.response import Response

__all__ = ["HttpCall"]

_BODILESS = frozenset({204, 304})


# What the application has sent; plain numbers, as they are compared several times a request.
_NOTHING, _START, _BODY, _WHOLE_BODY, _ALL = range(5)
_STAGES = ("nothing", "http.response.start", "a part of the body", "the whole body", "the whole response")


class HttpCall:
    """The `receive` and `send` of one request, and what becomes of it when the application is done."""

    # fmt: off
    __slots__ = (
        "_announced", "_channel", "_fields", "_gone", "_length", "_pieces", "_refused", "_request",
        "_sent", "_status", "_trailers", "_unread",
    )
    # fmt: on

    def __init__(self, request: Request, channel: ResponseChannel) -> None:
        self._request = request
        self._channel = channel
        self._sent = _NOTHING
        self._status = 0
        self._fields: RawHeaders = []
        self._trailers: RawHeaders | None = None
        self._length: bytes | None = None  # the Content-Length
        self._announced = False  # whether trailers are
        self._pieces: AsyncIterator[bytes] | None = None
        self._unread = True
        self._gone = False
        self._refused = False

    # What the application calls

    async def receive(self) -> Message:
        """Return the next piece of the body, and after it http.disconnect once that is so."""
        if self._unread:
            if self._request._reader is None and self._request._body is None:
                self._unread = False
                return {"type": "http.request", "body": b"", "more_body": False}
            try:
                if self._pieces is None:
                    self._pieces = self._request.stream()
                piece = await anext(self._pieces, b"")
                self._unread = bool(piece)
                return {"type": "http.request", "body": piece, "more_body": self._unread}
            except ClientDisconnected:
                pass
            except HTTPError as error:  # the body is too large, stopped coming, or is malformed
                await self._refuse(error)
            self._unread = False
            self._gone = True
        elif not self._gone:
            await self._channel.disconnect()
            self._gone = True
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Send what the message says.

        Raises ClientDisconnected, an OSError, once the client is gone, ValueError or TypeError for a message
        that is malformed, and RuntimeError for one that does not follow on the ones before it.
        """
        kind = message["type"]
        sent = self._sent
        if sent == _NOTHING and kind == "http.response.start":
            status = message["status"]
            if status.__class__ is not int:
                status = int(status)
            if not 200 <= status <= 599:
                raise ValueError(f"a response's status is 200 to 599, not {status}")
            fields, self._length = response_fields(message.get("headers", ()))
            if self._request._response_headers:
                fields += additions(self._request, fields)
            if message.get("trailers", False):
                self._announced = True
            self._status = status
            self._fields = fields
            self._sent = _START
        elif sent == _START and kind == "http.response.body":
            body = message.get("body", b"")
            if not body or message.get("more_body", False) or self._announced:
                await self._begin(bytes(body), message.get("more_body", False))
                return
            self._sent = _ALL
            length = self._length
            if length is not None and length != b"%d" % len(body):
                self._fields.append((b"content-length", length))  # for the protocol to refuse
            if body.__class__ is not bytes:
                body = bytes(body)
            if (sending := self._channel.answer(self._status, self._fields, body)) is not None:
                await sending
        elif sent == _BODY and kind == "http.response.body":
            if body := message.get("body", b""):
                await self._channel.write(bytes(body))
            if not message.get("more_body", False):
                await self._end()
        elif kind == "http.response.pathsend" and sent == _START:
            await self._file(message["path"])
        elif kind == "http.response.trailers" and sent == _WHOLE_BODY:
            self._trailers = (self._trailers or []) + checked_fields(message.get("headers", ()))
            if not message.get("more_trailers", False):
                self._sent = _ALL
                await self._channel.end(self._trailers)
        elif kind == "http.response.early_hint" and sent == _NOTHING:
            self._channel.hint(checked_fields((b"Link", link) for link in message.get("links", ())))
        elif sent != _ALL or self._status not in _BODILESS:
            raise RuntimeError(
                f"{kind!r} was sent after {_STAGES[sent]}: the server does not expect it there"
            )

    # What becomes of it

    def failed(self, error: Exception) -> Response | None:
        """Return the response to a request whose application raised; raises `error` where it is too late."""
        channel = self._channel
        left = self._gone or channel.client_left or isinstance(error, ClientDisconnected)
        if channel.done:
            if not (self._refused or isinstance(error, ClientDisconnected)):
                log_failure(self._request, "failed after its response", exc_info=error)
            return None
        if channel.started:
            if left:
                raise ClientDisconnected("the client closed the connection") from error
            raise error
        if left:
            return _not_read()
        log_failure(self._request, "unhandled exception", exc_info=error)
        return with_additions(self._request, Response.problem(500))

    def finished(self) -> Response | None:
        """Return the response to a request whose application returned without one."""
        if self._channel.done:
            return None
        if self._channel.started:
            if self._gone or self._channel.client_left:
                raise ClientDisconnected("the client closed the connection")
            raise RuntimeError("the application returned before its response was complete")
        if self._gone:
            return _not_read()
        log_failure(
            self._request, "the application returned without a response (it sent %s)", _STAGES[self._sent]
        )
        return with_additions(self._request, Response.problem(500))

    # Inside

    async def _begin(self, body: bytes, more: bool) -> None:
        """Send a response that is not all there, or has no body."""
        if self._length is not None:
            self._fields.append((b"content-length", self._length))
        response = Response.from_raw(self._status, self._fields, body)
        length_is_unknown = self._length is None and self._request.method == "HEAD"
        if self._status in _BODILESS or not (more or self._announced or length_is_unknown):
            self._sent = _ALL
            await self._channel.send(response)
            return
        # A response to HEAD says nothing about a length that nobody knows (RFC 9110, 8.6).
        self._sent = _BODY
        await self._channel.send(response, more=True)
        if not more:
            await self._end()

    async def _end(self) -> None:
        if self._announced:
            self._sent = _WHOLE_BODY
        else:
            self._sent = _ALL
            await self._channel.end()

    async def _file(self, path: str) -> None:
        body = await asyncio.to_thread(FileBody.of, path)
        length = b"%d" % body.length if self._length is None else self._length
        self._fields.append((b"content-length", length))
        self._sent = _ALL
        await self._channel.send(Response.from_raw(self._status, self._fields, body))

    async def _refuse(self, error: HTTPError) -> None:
        """Answer for the application, which cannot know why the body ends."""
        self._refused = True
        if not self._channel.started:
            response = Response.problem(error.status, error.detail, headers=error.headers)
            await self._channel.send(with_additions(self._request, response))


def _not_read() -> Response:
    return Response.problem(400, "the request is not complete")  # nobody is there to read it
