"""What all applications have in common that are programs of their own: variables in, CGI output back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from pierhead.errors import ClientDisconnected, HTTPError
from pierhead.failures import log_failure
from pierhead.interfaces.additions import with_additions
from pierhead.interfaces.empty import nothing
from pierhead.interfaces.environ import meta_variables
from pierhead.interfaces.gateway.errors import GatewayError
from pierhead.interfaces.gateway.output import HeadReader, OutputHead
from pierhead.interfaces.gateway.scripts import Script, find_script
from pierhead.interfaces.spool import spooled_body
from pierhead.messages.headers import Headers
from pierhead.messages.request import Request
from pierhead.messages.response import Response
from pierhead.messages.uploads import Upload
from pierhead.messages.websocket import WebSocket

__all__ = ["GatewayApplication", "Run"]


_BODILESS = frozenset({204, 304})
_MOST_REDIRECTS = 5


class Run(Protocol):
    """One request in the hands of a program."""

    async def read(self) -> bytes:
        """Return the next piece of the output, b"" at its end; raises GatewayError where it breaks off."""
        ...

    async def close(self) -> None:
        """End it, if it has not."""
        ...


class GatewayApplication:
    """Fulfils `pierhead.interfaces.base.Application` for a program that speaks CGI's language.

    `root` is a folder of scripts; `index` is the one that answers what no other does, and `suffix` is what
    the names of scripts end with. `variables` are added to those of each request. `timeout_s` is how long the
    program may be silent, else 504.
    """

    def __init__(
        self,
        name: str,
        *,
        root: Path | None = None,
        index: str | None = None,
        suffix: str = "",
        variables: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        self._name = name
        self._root = root
        self._index = index
        self._suffix = suffix
        self._variables = dict(variables or {})
        self._timeout_s = timeout_s

    @property
    def name(self) -> str:
        """What logs call it."""
        return self._name

    def start_master(self) -> None:
        """Do nothing: nothing of it lives in this process."""

    def stop_master(self) -> None:
        """Do nothing: nothing of it lives in this process."""

    async def start(self) -> None:
        """Do nothing before the first request; see Application."""

    async def stop(self) -> None:
        """Do nothing after the last request; see Application."""

    async def respond(self, request: Request) -> Response | None:
        """Answer one request; see Application."""
        try:
            response = await self._answer(request)
        except GatewayError as error:
            log_failure(request, "%s: %s", self._name, error)
            headers = {"Retry-After": "1"} if error.status == 503 else {}
            response = Response.problem(error.status, headers=headers)
        except HTTPError as error:
            response = Response.problem(error.status, error.detail, headers=error.headers)
        except ClientDisconnected:
            response = Response.problem(400, "the request is not complete")
        except Exception as error:  # noqa: BLE001 - the last place where it can become a response
            log_failure(request, "%s failed", self._name, exc_info=error)
            response = Response.problem(500)
        return with_additions(request, response)

    async def converse(self, socket: WebSocket) -> None:
        """Refuse a WebSocket, which CGI does not know."""
        await socket.reject(Response.problem(501, "there are no WebSockets at this path"))

    async def _open(
        self, request: Request, script: Script | None, variables: dict[str, str], body: Upload | None
    ) -> Run:
        """Hand a request over; raises GatewayError where it cannot be. Each kind of program has its own."""
        raise NotImplementedError

    async def _answer(self, request: Request) -> Response:
        for _ in range(_MOST_REDIRECTS + 1):
            head, body = await self._ask(request)
            if head.local_location is None:
                return await self._response(request, head, body)
            await body.aclose()
            request = _redirected(request, head.local_location)
        raise GatewayError(502, f"it redirected more than {_MOST_REDIRECTS} times")

    async def _ask(self, request: Request) -> tuple[OutputHead, _Output]:
        script = await self._script(request)
        body = await self._body(request)
        variables = self._meta_variables(request, script, None if body is None else body.size)
        try:
            run = await self._open(request, script, variables, body)
        except BaseException:
            _close(body)
            raise
        output = _Output(run, self._timeout_s, body)
        try:
            reader = HeadReader(parsed=script is None or not script.file.name.startswith("nph-"))
            while (found := reader.feed(await output.read())) is None:
                pass
        except BaseException:
            await output.aclose()
            raise
        head, output.ahead = found
        return head, output

    async def _script(self, request: Request) -> Script | None:
        if self._root is None:
            return None
        script = await asyncio.to_thread(
            find_script, self._root, request.raw_path, index=self._index, suffix=self._suffix
        )
        if script is None:
            raise HTTPError(404, "there is nothing at this path")
        return script

    async def _body(self, request: Request) -> Upload | None:
        if request._reader is None and request._body is None:
            return None
        return await spooled_body(request)

    def _meta_variables(
        self, request: Request, script: Script | None, content_length: int | None
    ) -> dict[str, str]:
        seen = request
        if script is not None and script.name:
            seen = _moved(request, script.name, script.path_info)
        variables = meta_variables(seen, content_length)
        variables["GATEWAY_INTERFACE"] = "CGI/1.1"
        if script is not None:
            variables["SCRIPT_FILENAME"] = str(script.file)
        if self._root is not None:
            root = self._root.resolve()
            variables["DOCUMENT_ROOT"] = str(root)
            info = variables["PATH_INFO"]
            if info and not {".", ".."} & set(info.split("/")):  # it would lead out of the folder
                variables["PATH_TRANSLATED"] = f"{root}{info}"
        return variables | self._variables

    async def _response(self, request: Request, head: OutputHead, output: _Output) -> Response:
        if request.method != "HEAD" and head.status not in _BODILESS:
            return Response.from_raw(head.status, head.fields, output)
        try:
            while await output.read():
                pass
        finally:
            await output.aclose()
        known = "Content-Length" in Headers.from_raw(head.fields)
        body = b"" if known or head.status in _BODILESS else nothing()
        return Response.from_raw(head.status, head.fields, body)


class _Output:
    """The rest of a program's output, as the body of a response; closing it ends the program."""

    def __init__(self, run: Run, timeout_s: float, body: Upload | None) -> None:
        self.ahead = b""
        """What was read with the head."""
        self._run = run
        self._timeout_s = timeout_s
        self._body = body

    def __aiter__(self) -> _Output:
        return self

    async def __anext__(self) -> bytes:
        piece, self.ahead = self.ahead or await self.read(), b""
        if not piece:
            raise StopAsyncIteration
        return piece

    async def read(self) -> bytes:
        """Return the next piece; raises GatewayError 504 where the program is silent for too long."""
        try:
            async with asyncio.timeout(self._timeout_s or None):
                return await self._run.read()
        except TimeoutError:
            raise GatewayError(504, f"it wrote nothing for {self._timeout_s:g} s") from None

    async def aclose(self) -> None:
        """End the program, if it has not ended."""
        try:
            await self._run.close()
        finally:
            _close(self._body)


def _close(body: Upload | None) -> None:
    if body is not None:
        body.close()


def _moved(request: Request, name: str, path_info: str) -> Request:
    """Return the request as a script sees it that is mounted at `name`."""
    moved = _copy(request, request.method, request.target, request.headers)
    moved.root_path = request.root_path + name
    moved.raw_path = path_info
    return moved


def _redirected(request: Request, location: str) -> Request:
    """Return the request for `location` that takes the place of `request` (RFC 3875, 6.2.2)."""
    left_out = {b"content-length", b"content-type", b"transfer-encoding"}
    fields = [line for line in request.headers.raw if line[0].lower() not in left_out]
    redirected = _copy(request, "GET", location, Headers.from_raw(fields))
    root = request.root_path
    if root and (location == root or location.startswith((f"{root}/", f"{root}?"))):
        redirected.raw_path = redirected.raw_path[len(root) :] or "/"
        redirected.root_path = root
    return redirected


def _copy(request: Request, method: str, target: str, headers: Headers) -> Request:
    return Request(
        method,
        target,
        headers,
        http_version=request.http_version,
        scheme=request.scheme,
        client=request.client,
        server=request.server,
        id=request.id,
        limits=request.limits,
    )
