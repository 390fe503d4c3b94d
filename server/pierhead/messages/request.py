"""Request: what a client asks for, as facts that the transport states and views computed when asked for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import re
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from pierhead.errors import HTTPError
from pierhead.messages.auth import BasicAuth, parse_basic_auth
from pierhead.messages.body import BodyLimits, BodyReader
from pierhead.messages.cookies import CookieSetter, parse_cookies
from pierhead.messages.headers import Headers
from pierhead.messages.media import MediaType
from pierhead.messages.params import QueryParams
from pierhead.messages.state import State

if TYPE_CHECKING:
    from pierhead.app import App
    from pierhead.messages.blocking import BlockingBody
    from pierhead.messages.channel import ResponseChannel
    from pierhead.messages.params import FormData
    from pierhead.messages.tls import TLSInfo

__all__ = ["Address", "Request"]

_DEFAULT_LIMITS = BodyLimits()
_NO_MEDIA_TYPE = MediaType()
_ENCODED_SLASH = re.compile("(%2[Ff])")
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_UNREAD: Any = object()


class Address(NamedTuple):
    """One end of a connection."""

    host: str
    """An IP address, or "unix:" and the path of a unix socket where it has one."""
    port: int | None
    """None for a unix socket."""


class Request(CookieSetter):
    """One HTTP request.

    The transport states the facts: method, target as received, fields, addresses. Everything else is
    computed when it is first asked for. An application may add to `state`, `params` and `response_headers`;
    `root_path` and `raw_path` are moved by what mounts one application in another.
    """

    __slots__ = (
        "_basic_auth",
        "_body",
        "_consumed",
        "_content_type",
        "_cookies",
        "_id",
        "_json",
        "_loop",
        "_query",
        "_reader",
        "_response_headers",
        "_state",
        "app",
        "channel",
        "client",
        "form_if_read",
        "headers",
        "http_version",
        "limits",
        "method",
        "params",
        "raw_path",
        "refused",
        "root_path",
        "scheme",
        "server",
        "target",
        "tls",
    )

    app: App
    """The application that handles the request."""
    refused: str
    """Why it got an error for an answer; unset where it did not, or where only the application knows."""
    _query: QueryParams | None
    _cookies: dict[str, str] | None
    _content_type: MediaType | None
    _basic_auth: BasicAuth | None
    _state: State | None
    _response_headers: Headers | None
    _body: bytes | None
    _json: Any
    form_if_read: FormData | None
    """The form where `form` has read it, None otherwise."""
    _loop: asyncio.AbstractEventLoop | None

    def __init__(
        self,
        method: str,
        target: str,
        headers: Headers,
        reader: BodyReader | None = None,
        http_version: str = "1.1",
        scheme: str = "http",
        client: Address | None = None,
        server: Address | None = None,
        id: str | Callable[[], str] | None = None,  # noqa: A002 - its name as an attribute
        limits: BodyLimits = _DEFAULT_LIMITS,
    ) -> None:
        self.method = method
        self.target = target
        """The request-target as received (RFC 9112, 3.2)."""
        path = target.partition("?")[0]
        if path[:1] != "/" and "://" in path:  # absolute-form
            _, slash, rest = path.partition("://")[2].partition("/")
            path = "/" + rest if slash else "/"
        self.raw_path = path
        """The path as received, percent-encoded; routes are matched on its segments. "*" for `OPTIONS *`."""
        self.headers = headers
        self.http_version = http_version
        self.scheme = scheme
        """http or https, as the client sees it where a trusted proxy says so."""
        self.client = client
        self.server = server
        """The address the request arrived at."""
        self.limits = limits
        self.root_path = ""
        """The part of the path, percent-encoded, under which the application is mounted; "" at the root."""
        self.params: dict[str, Any] = {}
        """The path parameters of the route, converted."""
        self.channel: ResponseChannel | None = None
        """Where an interface sends a response before `respond` returns; None where nothing transports it."""
        self.tls: TLSInfo | None = None
        """What is known of the TLS connection it came over; None without TLS, and behind a proxy."""
        self._id = id
        self._reader = reader
        # Chained, as this is done for every request: the types are declared above.
        self._query = self._cookies = self._content_type = self._state = self._response_headers = None
        self._body = self.form_if_read = self._loop = None
        self._basic_auth = self._json = _UNREAD
        self._consumed = ""
        if reader is not None:  # only then can a worker thread have to wait for the loop
            with contextlib.suppress(RuntimeError):
                self._loop = asyncio.get_running_loop()

    # Where it goes

    @property
    def id(self) -> str:
        """What logs call the request; taken from a trusted proxy or made here."""
        own = self._id
        if own.__class__ is not str:
            self._id = own = os.urandom(16).hex() if own is None else own()  # type: ignore[operator]
        return own

    @property
    def path(self) -> str:
        """The path decoded as UTF-8, with U+FFFD for bytes that are none.

        %2F stays as it is: decoded it would pass for a separator of segments. Path parameters decode it.
        """
        raw_path = self.raw_path
        if "%" not in raw_path:
            return raw_path
        pieces = _ENCODED_SLASH.split(raw_path)
        pieces[::2] = [unquote(piece) for piece in pieces[::2]]
        return "".join(pieces)

    @property
    def query_string(self) -> str:
        """What follows the question mark, as received."""
        return self.target.partition("?")[2]

    @property
    def query(self) -> QueryParams:
        """The query parameters."""
        if self._query is None:
            self._query = QueryParams.parse(self.query_string)
        return self._query

    @property
    def host(self) -> str:
        """Host and port the client asks for: of an absolute-form target, else of the Host field.

        Without both (HTTP/1.0) it is the address the request arrived at, "" where that has no port.
        """
        target = self.target
        if not target.startswith("/") and "://" in target:
            return re.split("[/?]", target.partition("://")[2], maxsplit=1)[0]
        host = self.headers.get("Host")
        if host is not None:
            return host
        if self.server is None or self.server.port is None:
            return ""
        name = f"[{self.server.host}]" if ":" in self.server.host else self.server.host
        return f"{name}:{self.server.port}"

    @property
    def url(self) -> str:
        """The absolute URL of the request."""
        mark = "?" if "?" in self.target else ""
        path = "" if self.raw_path == "*" else self.raw_path
        return f"{self.scheme}://{self.host}{self.root_path}{path}{mark}{self.query_string}"

    def url_for_path(self, path: str) -> str:
        """Return `path` of this application as a path of the whole site: with the mount's prefix.

        Raises ValueError unless it begins with "/".
        """
        if not path.startswith("/"):
            raise ValueError(f"a path begins with '/', not {path!r}")
        return self.root_path + path

    # What the fields say

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies by name."""
        if self._cookies is None:
            self._cookies = parse_cookies("; ".join(self.headers.getlist("Cookie")))
        return self._cookies

    @property
    def basic_auth(self) -> BasicAuth | None:
        """The Basic credentials, None where there are none that can be read (RFC 7617)."""
        if self._basic_auth is _UNREAD:
            self._basic_auth = parse_basic_auth(self.headers.get("Authorization", ""))
        return self._basic_auth

    @property
    def content_type(self) -> MediaType:
        """The media type of the body; one that is false, with type "", where it is absent or malformed."""
        if self._content_type is None:
            self._content_type = _NO_MEDIA_TYPE
            value = self.headers.get("Content-Type")
            if value is not None:
                with contextlib.suppress(ValueError):
                    self._content_type = MediaType.parse(value)
        return self._content_type

    @property
    def content_length(self) -> int | None:
        """The announced length of the body in bytes, None where none is announced."""
        value = self.headers.get("Content-Length", "")
        return int(value) if value.isascii() and value.isdecimal() and len(value) < 20 else None

    # What the application keeps and adds

    @property
    def state(self) -> State:
        """A namespace of this request, for what its endpoints hand on to each other."""
        if self._state is None:
            self._state = State("request.state")
        return self._state

    @property
    def response_headers(self) -> Headers:
        """Fields to add to whichever response is sent in the end."""
        if self._response_headers is None:
            self._response_headers = Headers.from_raw([])
        return self._response_headers

    def _cookie_headers(self) -> Headers:
        return self.response_headers

    def extend_deadline(self, seconds: float) -> None:
        """Give the application `seconds` more, from now on, before the server answers 504 in its place.

        It puts off `handler_timeout_s` and `isolation_timeout_s` of the server, not a limit that an App, or
        pierhead.toml for one of several applications, has set for itself. It may be called again and again,
        and from any thread. Raises ValueError unless `seconds` is a positive number.
        """
        if not 0 < seconds < math.inf:
            raise ValueError(f"a deadline is extended by a positive number of seconds, not by {seconds!r}")
        if self.channel is not None:
            self.channel.extend(seconds)

    # The body

    def stream(self) -> AsyncIterator[bytes]:
        """Yield the body in pieces as they arrive, or the bytes that `body` has collected.

        Raises RuntimeError when the body was streamed already, ClientDisconnected when the client went away,
        HTTPError 408, 413 or 400 when the body stops coming, is too large or wrongly framed.
        """
        return self._pieces("stream()")

    async def body(self) -> bytes:
        """Return the whole body; raises HTTPError 413 over `limits.max_buffered_body_bytes`."""
        if self._body is None:
            if self._reader is None:
                self._body = b""
            else:
                self._body = await self._collect(self._reader, self.limits.max_buffered_body_bytes)
        return self._body

    async def text(self) -> str:
        """Return the body as text, in the charset of the Content-Type or UTF-8.

        Raises HTTPError 415 for a charset that is not supported, 400 for bytes that are no such text.
        """
        kind = self.content_type
        if kind.codec is None:
            raise HTTPError(415, f"the charset {kind.charset!r} is not supported; send UTF-8")
        body = await self.body()
        try:
            return body.decode(kind.codec)
        except UnicodeError:
            raise HTTPError(400, f"the body is not valid {kind.charset or 'utf-8'} text") from None

    async def json(self) -> Any:
        """Return the body as what its JSON says (RFC 8259).

        Raises HTTPError 415 unless the Content-Type is application/json or ends with +json, and 400 for what
        is no JSON: also NaN, Infinity and text that is not Unicode.
        """
        if self._json is _UNREAD:
            if not self.content_type.is_json:
                raise HTTPError(
                    415,
                    f"the body is {self.content_type or 'of no declared type'}; send application/json",
                    headers={"Accept": "application/json"},
                )
            self._json = _parse_json(await self.body())
        return self._json

    async def form(self) -> FormData:
        """Return the form in the body, urlencoded or multipart (RFC 7578), with its files in `.files`.

        Raises HTTPError 415 for another Content-Type, 400 for a malformed body, 413 over the limits, 507 when
        there is no space for the uploaded files. The files are closed when the request ends.
        """
        if self.form_if_read is None:
            from pierhead.messages import forms

            kind = self.content_type
            if kind.type == forms.URLENCODED:
                if self._body is None and self._reader is not None:
                    limit = min(self.limits.max_form_memory_bytes, self.limits.max_buffered_body_bytes)
                    self._body = await self._collect(self._reader, limit)
                self.form_if_read = forms.parse_form(self._body or b"", self.limits)
            elif kind.type == forms.MULTIPART:
                self.form_if_read = await forms.read_multipart(kind, self._pieces("form()"), self.limits)
            else:
                raise HTTPError(
                    415,
                    f"the body is {kind or 'of no declared type'}; send a form",
                    headers={"Accept": f"{forms.URLENCODED}, {forms.MULTIPART}"},
                )
        return self.form_if_read

    @property
    def trailers(self) -> Headers:
        """The trailer fields; complete once the body was read (RFC 9110, 6.5)."""
        return Headers() if self._reader is None else self._reader.trailers

    @property
    def blocking(self) -> BlockingBody:
        """The body's readers without `await`, for `def` handlers, which run in a thread."""
        from pierhead.messages.blocking import BlockingBody

        return BlockingBody(self, self._loop)

    async def close(self) -> None:
        """Close uploaded files; called by the transport once the response was sent."""
        form = self.form_if_read
        if form is not None and form.files:
            if all(upload.in_memory for _, upload in form.files.items()):
                form.close()
            else:
                await asyncio.to_thread(form.close)

    def dump(self) -> str:
        """Describe the request for debugging, line by line, with passwords and the like masked."""
        from pierhead.messages.dump import dump

        return dump(self)

    async def _pieces(self, reader: str) -> AsyncIterator[bytes]:
        if self._body is not None:
            if self._body:
                yield self._body
            return
        self._consume(reader)
        if self._reader is not None:
            while piece := await self._reader.read():
                yield piece

    def _consume(self, reader: str) -> None:
        if self._consumed:
            raise RuntimeError(
                f"the body was already read by {self._consumed}; read it by body(), text(), json() or form() "
                "to have it more than once"
            )
        self._consumed = reader

    async def _collect(self, reader: BodyReader, limit: int) -> bytes:
        announced = self.content_length
        if announced is not None and announced > limit:
            raise HTTPError(413, f"the body has {announced} bytes, at most {limit} are accepted here")
        self._consume("body()")
        pieces = []
        size = 0
        while piece := await reader.read():
            size += len(piece)
            if size > limit:
                raise HTTPError(413, f"the body has more than the {limit} bytes that are accepted here")
            pieces.append(piece)
        return b"".join(pieces)

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.raw_path} [{self.id}]>"


def _parse_json(body: bytes) -> Any:
    if not body:
        raise HTTPError(400, "the body is empty; send JSON")
    try:
        data = json.loads(body.decode(), parse_float=_finite, parse_constant=_refuse_constant)
        if _SURROGATE_ESCAPE.search(body):
            json.dumps(data, ensure_ascii=False).encode()  # half a surrogate pair would fail later, elsewhere
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise HTTPError(400, f"the body is not JSON: {error.msg} at {where}") from None
    except UnicodeError:
        raise HTTPError(400, "the body is not JSON: its text is not valid Unicode") from None
    except RecursionError:
        raise HTTPError(400, "the body is not JSON that can be read: it is nested too deeply") from None
    except ValueError as error:
        reason = str(error).partition(";")[0]
        raise HTTPError(400, f"the body is not JSON that can be read: {reason}") from None
    return data


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"the number {digits[:40]} is too large")
    return number


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
