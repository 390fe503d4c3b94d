"""One request in WSGI: calls the application in a thread and takes its response (PEP 3333)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from types import TracebackType
from typing import Any, BinaryIO, TypeVar

from pierhead.errors import ClientDisconnected
from pierhead.failures import log_failure
from pierhead.interfaces.additions import additions
from pierhead.interfaces.empty import nothing
from pierhead.interfaces.environ import meta_variables
from pierhead.interfaces.fields import response_fields
from pierhead.interfaces.wsgi.streams import ErrorStream, FileWrapper
from pierhead.messages.channel import ResponseChannel
from pierhead.messages.headers import RawHeaders
from pierhead.messages.request import Request
from pierhead.messages.response import Response

__all__ = ["WSGIApp", "WSGICall"]

Environ = dict[str, Any]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType]
WSGIApp = Callable[[Environ, Callable[..., Callable[[bytes], None]]], Iterable[bytes]]

_CONSTANT: Environ = {
    "wsgi.version": (1, 0),
    "wsgi.input_terminated": True,
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
    "wsgi.file_wrapper": FileWrapper,
}

_T = TypeVar("_T")
_BODILESS = frozenset({204, 304})
_WHOLE = (list, tuple)  # what applications return whose response is all there
_known: dict[str, bytes] = {}  # field name -> its bytes
_MOST_NAMES = 1024


class WSGICall:
    """One call of the application; `run` is called in a thread, and is all that is.

    A response whose first block is all of it is returned. Otherwise each block is handed to the event loop,
    and the thread waits until the client's side took it.
    """

    def __init__(
        self,
        app: WSGIApp,
        request: Request,
        channel: ResponseChannel,
        loop: asyncio.AbstractEventLoop,
        body: BinaryIO,
        length: int | None,
    ) -> None:
        self._app = app
        self._request = request
        self._channel = channel
        self._loop = loop
        self._body = body
        self._length = length
        self._status = 0
        self._fields: RawHeaders = []
        self._announced: bytes | None = None
        self._streaming = False

    def run(self) -> Response | None:
        """Call the application to its end; None where the response was sent through the channel.

        Raises what the application raises, ClientDisconnected where the client left, and RuntimeError,
        TypeError or ValueError for a response that PEP 3333 does not allow.
        """
        errors = ErrorStream(self._request)
        try:
            result = self._app(self._environ(errors), self.start_response)
            try:
                return self._take(result)
            finally:
                self._close(result)
        finally:
            errors.flush()

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None, /
    ) -> Callable[[bytes], None]:
        """Take status and headers, which are sent with the first block; returns `write` (PEP 3333)."""
        if exc_info is not None:
            try:
                if self._streaming:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # or it would hold the frames of the thread
        elif self._status:
            raise RuntimeError("start_response was called twice; the second time it needs exc_info")
        code = status[:3]
        if not (code.isascii() and code.isdecimal() and 200 <= int(code) <= 599):
            raise ValueError(f"a status is like '200 OK', from 200 to 599, not {status!r}")
        self._fields, self._announced = response_fields(
            [(_name(name), value.encode("latin-1")) for name, value in headers]
        )
        self._status = int(code)
        return self.write

    def write(self, data: bytes) -> None:
        """Send a block before the application returns; for old applications (PEP 3333)."""
        self._send(_checked(data))

    # Inside

    def _environ(self, errors: ErrorStream) -> Environ:
        environ: Environ = meta_variables(self._request, self._length)
        environ |= _CONSTANT
        environ["wsgi.url_scheme"] = self._request.scheme
        environ["wsgi.input"] = self._body
        environ["wsgi.errors"] = errors
        return environ

    def _take(self, result: Iterable[bytes]) -> Response | None:
        if not self._streaming and isinstance(result, _WHOLE):
            return self._whole(b"".join([_checked(block) for block in result]))
        blocks = iter(result)
        first = b""
        for block in blocks:
            if first := _checked(block):
                break
        if self._streaming:
            if first:
                self._send(first)
        elif not first or self._announced == b"%d" % len(first):
            # All that may come: more would be an error. The end is asked for, as work may be done there.
            return self._whole(first + b"".join([_checked(block) for block in blocks]))
        else:
            self._send(first)
        for block in blocks:
            if _checked(block):
                self._send(block)
        self._wait(self._channel.end())
        return None

    def _close(self, result: Iterable[bytes]) -> None:
        if hasattr(result, "close"):
            try:
                result.close()
            except Exception as error:  # noqa: BLE001 - the response is as good as it was
                log_failure(self._request, "close() failed", exc_info=error)

    def _whole(self, body: bytes) -> Response:
        self._check_started()
        if self._announced is not None and (not body or self._announced != b"%d" % len(body)):
            self._fields.append((b"Content-Length", self._announced))  # for the protocol to say or to refuse
        if self._status in _BODILESS:
            body = b""
        elif self._request.method == "HEAD" and not body and self._announced is None:
            # Nobody says how long the body would be, so neither does the server (RFC 9110, 8.6).
            return Response.from_raw(self._status, self._fields, nothing())
        return Response.from_raw(self._status, self._fields, body)

    def _send(self, block: bytes) -> None:
        self._check_started()
        if self._streaming:
            self._wait(self._channel.write(block))
            return
        if self._status in _BODILESS:
            raise RuntimeError(f"a {self._status} response has no body, this one has {len(block)} bytes")
        if self._announced is not None:
            self._fields.append((b"Content-Length", self._announced))
        fields = self._fields + additions(self._request, self._fields)
        self._wait(self._channel.send(Response.from_raw(self._status, fields, block), more=True))
        self._streaming = True

    def _check_started(self) -> None:
        if not self._status:
            raise RuntimeError("the application did not call start_response before its first block")

    def _wait(self, step: Coroutine[Any, Any, _T]) -> _T:
        """Have the event loop take a step, and wait for it."""
        try:
            future = asyncio.run_coroutine_threadsafe(step, self._loop)
        except RuntimeError:  # the loop is closed: the worker is ending
            step.close()
            raise ClientDisconnected("the server is stopping") from None
        return future.result()


def _checked(block: object) -> bytes:
    if not isinstance(block, bytes):
        raise TypeError(f"a WSGI application's blocks are bytes, not {type(block).__name__}: {block!r:.80}")
    return block


def _name(name: str) -> bytes:
    """Return a field name as bytes, always the same ones for a name."""
    raw = _known.get(name)
    if raw is None:
        if len(_known) >= _MOST_NAMES:
            _known.clear()
        raw = _known[name] = name.encode("latin-1", "replace")
    return raw
