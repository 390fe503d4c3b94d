"""The native interface: runs an App, and turns whatever happens in it into responses."""

from __future__ import annotations

import asyncio
import functools
import threading
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pierhead.app import App, Endpoint
from pierhead.errors import ClientDisconnected, HTTPError
from pierhead.failures import log_failure
from pierhead.hooks import Undo, start_all, start_all_in_master, undo, undo_in_master
from pierhead.interfaces.additions import with_additions
from pierhead.interfaces.limits import limit_body
from pierhead.interfaces.threads import ThreadPool
from pierhead.messages.conditional import conditional
from pierhead.messages.files import FileBody
from pierhead.messages.request import Request
from pierhead.messages.response import Response
from pierhead.messages.websocket import WebSocket
from pierhead.routing import Handler, Limits, Mount, Route
from pierhead.routing.handlers import to_response

__all__ = ["NativeApplication", "enter_mount"]

T = TypeVar("T")

_VALIDATORS = frozenset({b"etag", b"last-modified"})


class NativeApplication:
    """Fulfils `pierhead.interfaces.base.Application` for an App.

    `threads` is how many calls of `def` functions run at once in each worker; more wait for a thread. Nothing
    here creates a task: a handler that does not wait is never scheduled.
    """

    def __init__(self, app: App, *, threads: int = 40) -> None:
        self.app = app
        self._threads = ThreadPool(threads)
        self._undo_in_master: list[Undo] = []
        self._undo: list[Undo] = []

    @property
    def name(self) -> str:
        """What logs call it."""
        return self.app.name

    # Starting and stopping

    def start_master(self) -> None:
        """Run the master's start hooks; see Application.

        Raises what they raise, and RuntimeError where one of them left a thread: it would not survive the
        fork.
        """
        before = set(threading.enumerate())
        self._undo_in_master = start_all_in_master([app.hooks for app in self.app.tree()])
        left = [thread.name for thread in threading.enumerate() if thread not in before]
        if left:
            undo_in_master(self._undo_in_master, quiet=True)
            raise RuntimeError(
                f"a start hook of the master left threads ({', '.join(left)}), which workers would not have: "
                "start them in a hook per worker, `@app.on_start`"
            )

    def stop_master(self) -> None:
        """Run the master's stop hooks; see Application."""
        undo_in_master(self._undo_in_master)

    async def start(self) -> None:
        """Run the worker's start hooks and enter its lifespans; see Application."""
        self._threads = ThreadPool(self._threads.size)
        self._undo = await start_all([app.hooks for app in self.app.tree()])

    async def stop(self) -> None:
        """Leave the worker's lifespans and run its stop hooks; see Application."""
        try:
            await undo(self._undo)
        finally:
            await self._threads.close()

    # Requests

    async def respond(self, request: Request) -> Response:
        """Answer one request; see Application."""
        try:
            app = self.app
            fixed = None
            if not (app.before or app.exceptions or app.limits):
                fixed = app.router.fixed(request.raw_path, request.method)
            if fixed is not None and fixed.handler.is_plain:  # the same as below, in fewer steps
                request.app = app
                result = await fixed.handler.call(request)
                if result.__class__ is Response:
                    response = result
                else:
                    response = await self._go_on(app, request, fixed, result)
            else:
                response = await self._answer(app, request)
            if response.status == 200 and _has_validators(response):
                response = conditional(request, response)
            return with_additions(request, response) if request._response_headers else response
        except Exception as error:  # noqa: BLE001 - the last place where it can become a response
            return self._failure(request, error)

    async def _answer(self, app: App, request: Request) -> Response:
        """Have `app` answer; raises what it does not handle itself."""
        request.app = app
        try:
            if app.limits is None:
                return await self._ask(app, request)
            return await _within(app.limits, request, app.name, self._ask, app, request)
        except Exception as error:
            if not app.exceptions:
                raise
            response = await self._handle(app, request, error)
            if response is None:
                raise
            return response

    async def _ask(self, app: App, request: Request) -> Response:
        """Ask endpoints and router in their order; raises HTTPError 404 where nobody answers."""
        response: Response | None
        if app.before:
            response = await self._ask_endpoints(app.before, request)
            if response is not None:
                return response
        fixed = app.router.fixed(request.raw_path, request.method)
        result = None if fixed is None else await self._call(fixed.handler, request)
        return await self._go_on(app, request, fixed, result)

    async def _go_on(self, app: App, request: Request, fixed: Route | None, result: Any) -> Response:
        """Make a response of what the handler of `fixed` returned, or ask those after it."""
        if result is not None:
            assert fixed is not None
            return to_response(result, fixed.handler)
        response = await self._route(app, request, fixed)
        if response is not None:
            return response
        if app.after:
            response = await self._ask_endpoints(app.after, request)
            if response is not None:
                return response
        raise HTTPError(404, "there is nothing at this path")

    async def _ask_endpoints(self, endpoints: list[Endpoint], request: Request) -> Response | None:
        for endpoint in endpoints:
            if endpoint.when is None or endpoint.when(request):
                result = await self._call(endpoint.handler, request)
                if result is not None:
                    return to_response(result, endpoint.handler)
        return None

    async def _route(self, app: App, request: Request, fixed: Route | None) -> Response | None:
        """Have the routes answer, the most specific first; None where none matches or all pass on.

        `fixed` is a route that was asked already and passed on. Raises HTTPError 405, or 426, where the
        path is known but the method is not.
        """
        method = request.method
        raw_path = request.raw_path
        if raw_path == "*":
            return _allow(_all_methods(app)) if method == "OPTIONS" else None
        passed_on = fixed is not None
        allowed: set[str] = set()
        only_websocket = False
        for place, values, index in app.router.matches(raw_path):
            if isinstance(place, Mount):
                return await self._delegate(place, request, index)
            route = place.methods.get(method)
            if route is None:
                allowed |= place.allow
                only_websocket = only_websocket or place.websocket is not None
            elif route is not fixed:
                request.params = params = dict(zip(route.names, values, strict=True))
                result = await self._call(route.handler, request, **params)
                if result is not None:
                    return to_response(result, route.handler)
                passed_on = True
        request.params = {}
        if passed_on or not (allowed or only_websocket):
            return None
        if method == "OPTIONS":
            return _allow(allowed or {"OPTIONS"})
        if not allowed:
            raise HTTPError(426, "this path takes WebSockets only", headers={"Upgrade": "websocket"})
        raise HTTPError(
            405, f"this path does not take {method}", headers={"Allow": ", ".join(sorted(allowed))}
        )

    async def _delegate(self, mount: Mount[App], request: Request, index: int) -> Response:
        """Have a mounted application answer; it sees the path without its prefix."""
        seen = enter_mount(request, index)
        try:
            return await self._answer(mount.app, request)
        except Exception:
            # For the exception handlers here. An answer leaves it: a streamed body may still look at it.
            request.app, request.root_path, request.raw_path = seen
            raise

    async def _handle(self, app: App, request: Request, error: Exception) -> Response | None:
        """Ask the exception handlers of `app` that fit, the most specific first."""
        for kind in type(error).__mro__:
            handler = app.exceptions.get(kind)
            if handler is not None:
                result = await self._call(handler, request, error)
                if result is not None:
                    return to_response(result, handler)
        return None

    def _call(self, handler: Handler, *arguments: Any, **named: Any) -> Awaitable[Any]:
        if handler.limits is not None:
            (request,) = arguments
            return _within(handler.limits, request, handler.name, self._run, handler, request, **named)
        return self._run(handler, *arguments, **named)

    def _run(self, handler: Handler, *arguments: Any, **named: Any) -> Awaitable[Any]:
        if handler.is_async:
            called: Awaitable[Any] = handler.call(*arguments, **named)
            return called
        return self._threads.run(functools.partial(handler.call, *arguments, **named), handler.name)

    # WebSockets

    async def converse(self, socket: WebSocket) -> None:
        """Handle one WebSocket; see Application.

        An exception before the handshake is answered rejects it; after that it is raised.
        """
        try:
            await self._converse(self.app, socket)
        except Exception as error:
            if socket.answered:
                raise
            await socket.reject(self._failure(socket.request, error))

    async def _converse(self, app: App, socket: WebSocket) -> None:
        request = socket.request
        request.app = app
        try:
            response = await self._ask_endpoints(app.before, request)
            if response is None:
                await self._route_websocket(app, socket)
        except Exception as error:
            if socket.answered:
                raise
            response = await self._handle(app, request, error)
            if response is None:
                raise
        if response is not None:
            await socket.reject(with_additions(request, response))

    async def _route_websocket(self, app: App, socket: WebSocket) -> None:
        request = socket.request
        for place, values, index in app.router.matches(request.raw_path):
            if isinstance(place, Mount):
                seen = enter_mount(request, index)
                try:
                    await self._converse(place.app, socket)
                except Exception:
                    request.app, request.root_path, request.raw_path = seen
                    raise
                return
            route = place.websocket
            if route is not None:
                request.params = dict(zip(route.names, values, strict=True))
                await route.handler.call(socket, **request.params)
                return
        raise HTTPError(404, "there is no WebSocket at this path")

    # Failures

    def _failure(self, request: Request, error: Exception) -> Response:
        """Turn what nobody handled into a response, and log what is not the client's business."""
        try:
            return with_additions(request, self._problem(request, error))
        except Exception:  # noqa: BLE001 - such as a member of the problem that JSON cannot have
            log_failure(request, "its error response cannot be made", exc_info=True)
            return Response.problem(500)

    def _problem(self, request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPError):
            request.refused = error.detail
            return Response.problem(
                error.status,
                error.detail,
                type=error.type,
                title=error.title,
                headers=error.headers,
                **error.extensions,
            )
        if isinstance(error, ClientDisconnected):
            return Response.problem(400, "the request is not complete")  # which nobody is there to read
        log_failure(request, "unhandled exception", exc_info=error)
        if not self.app.debug:
            return Response.problem(500)
        lines = [line.rstrip("\n") for line in traceback.format_exception(error)]
        return Response.problem(500, f"{type(error).__name__}: {error}", traceback=lines)


async def _within(
    limits: Limits,
    request: Request,
    name: str,
    call: Callable[..., Awaitable[T]],
    *arguments: Any,
    **named: Any,
) -> T:
    """Return what a call returns within limits, which are those of `name`.

    Raises HTTPError 413 or 504 beyond them.
    """
    if limits.max_body_bytes is not None:
        limit_body(request, limits.max_body_bytes)
    deadline = asyncio.timeout(limits.handler_timeout_s)
    try:
        async with deadline:
            return await call(*arguments, **named)
    except TimeoutError:
        if not deadline.expired():
            raise
        log_failure(
            request, "took longer than the handler_timeout_s=%g of %s", limits.handler_timeout_s, name
        )
        raise HTTPError(504, "the application did not answer in time") from None


def enter_mount(request: Request, index: int) -> tuple[App, str, str]:
    """Move the first `index` segments from the request's path to its root; returns what it was before."""
    seen = request.app, request.root_path, request.raw_path
    raw_path = request.raw_path
    prefix = "/".join(raw_path.split("/", index)[:index])
    request.root_path += prefix
    request.raw_path = raw_path[len(prefix) :] or "/"
    return seen


def _has_validators(response: Response) -> bool:
    """Tell, at less cost than trying, whether conditions of the request can change a response."""
    if response.body.__class__ is not bytes and isinstance(response.body, FileBody):
        return True
    for name, _ in response.headers.raw:
        if (len(name) == 4 or len(name) == 13) and name.lower() in _VALIDATORS:
            return True
    return False


def _allow(methods: set[str]) -> Response:
    return Response.empty(headers={"Allow": ", ".join(sorted(methods))})


def _all_methods(app: App) -> set[str]:
    """Return the methods that any path answers, for `OPTIONS *` (RFC 9110, 9.3.7)."""
    methods = {"OPTIONS"}
    for each in app.tree():
        for _, names in each.router.routes:
            methods.update(names)
    if "GET" in methods:
        methods.add("HEAD")
    return methods - {"WEBSOCKET"}
