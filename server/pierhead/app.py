"""App: an application out of routes, endpoints, hooks and other applications.

    app = App()

    @app.get("/user/{id:int}")
    async def show(request, id): return Response.json({"id": id})

`async def` handlers run on the event loop; `def` handlers may block, each call runs in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any, Literal, TypeVar, overload

from pierhead.errors import HTTPError
from pierhead.messages.request import Request
from pierhead.messages.response import Response
from pierhead.messages.state import State
from pierhead.messages.websocket import WebSocket
from pierhead.routing import Convert, Converters, Handler, Route, Router

__all__ = ["App"]

F = TypeVar("F", bound=Callable[..., Any])
Per = Literal["worker", "master"]
When = Callable[[Request], bool]

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_WEBSOCKET = "WEBSOCKET"


class App:
    """An application: it answers requests, by itself or mounted in another application.

    `name` is for logs; with `debug`, the response to an unhandled exception carries its traceback.
    """

    def __init__(self, name: str = "app", *, debug: bool = False) -> None:
        self.name = name
        self.debug = debug
        self.state = State("app.state")
        """What the application keeps in this worker: pools, caches. Not shared with other workers."""
        self._converters = Converters()
        self._router = Router(self._converters)
        self._websockets = Router(self._converters)
        self._mounts: list[tuple[str, App]] = []
        self._before: list[_Endpoint] = []
        self._after: list[_Endpoint] = []
        self._exceptions: dict[type[BaseException], Handler] = {}
        self._start: dict[Per, list[Callable[[], Any]]] = {"worker": [], "master": []}
        self._stop: dict[Per, list[Callable[[], Any]]] = {"worker": [], "master": []}
        self._lifespans: list[Callable[[App], contextlib.AbstractAsyncContextManager[Any]]] = []
        self._running: contextlib.AsyncExitStack | None = None

    # Routes

    def route(self, path: str, methods: Iterable[str] = ("GET",)) -> Callable[[F], F]:
        """Have the decorated function answer `methods` on `path`; see `pierhead.routing` for patterns.

        It is called with the request and, by name, the path's parameters, and returns a Response, `str`
        (text), `bytes`, a `dict` or `list` (JSON), or None to pass the request on. GET answers HEAD too.
        """
        names = [method.upper() for method in methods]

        def decorate(handler: F) -> F:
            _check(handler, path)
            self._router.add(path, names, _awaitable(handler))
            return handler

        return decorate

    def get(self, path: str) -> Callable[[F], F]:
        """Have the decorated function answer GET and HEAD on `path`; see `route`."""
        return self.route(path, ["GET"])

    def head(self, path: str) -> Callable[[F], F]:
        """Have the decorated function answer HEAD on `path`; see `route`."""
        return self.route(path, ["HEAD"])

    def post(self, path: str) -> Callable[[F], F]:
        """Have the decorated function answer POST on `path`; see `route`."""
        return self.route(path, ["POST"])

    def put(self, path: str) -> Callable[[F], F]:
        """Have the decorated function answer PUT on `path`; see `route`."""
        return self.route(path, ["PUT"])

    def patch(self, path: str) -> Callable[[F], F]:
        """Have the decorated function answer PATCH on `path`; see `route`."""
        return self.route(path, ["PATCH"])

    def delete(self, path: str) -> Callable[[F], F]:
        """Have the decorated function answer DELETE on `path`; see `route`."""
        return self.route(path, ["DELETE"])

    def options(self, path: str) -> Callable[[F], F]:
        """Have the decorated function answer OPTIONS on `path`, which is otherwise answered with Allow."""
        return self.route(path, ["OPTIONS"])

    def websocket(self, path: str) -> Callable[[F], F]:
        """Have the decorated `async` function converse on WebSockets opened at `path`.

        It is called with the WebSocket and, by name, the path's parameters.
        """

        def decorate(handler: F) -> F:
            if not inspect.iscoroutinefunction(handler):
                raise TypeError(f"a WebSocket handler is an 'async def' function, {_name(handler)} is not")
            _check(handler, path)
            self._websockets.add(path, [_WEBSOCKET], handler)
            return handler

        return decorate

    def converter(self, name: str, rule: str | Convert) -> None:
        """Add a type for path parameters: `{param:name}`; see `Converters.add`. Call it before its routes."""
        self._converters.add(name, rule)

    def endpoint(self, priority: int = 0, when: When | None = None) -> Callable[[F], F]:
        """Have the decorated function see requests before the router does, or after it.

        Endpoints are tried from high to low priority, those of equal priority in the order of definition, and
        the router after those of priority 0. `when` tells whether an endpoint is concerned. One that returns
        None passes the request on; before that it may add `response_headers`, cookies and `state`.
        """

        def decorate(handler: F) -> F:
            group = self._before if priority >= 0 else self._after
            group.append(_Endpoint(priority, when, _awaitable(handler)))
            group.sort(key=lambda endpoint: -endpoint.priority)
            return handler

        return decorate

    def exception(self, kind: type[Exception]) -> Callable[[F], F]:
        """Have the decorated function (request, exception) answer where a handler raises `kind`.

        Of several that fit, the most specific class counts. Without one, HTTPError becomes its problem
        document, and anything else a logged 500.
        """

        def decorate(handler: F) -> F:
            self._exceptions[kind] = _awaitable(handler)
            return handler

        return decorate

    def mount(self, prefix: str, app: App) -> None:
        """Have `app` answer everything under `prefix`, which it sees as `request.root_path` only.

        It keeps its own endpoints, exception hooks, state and start and stop hooks. Raises ValueError for a
        prefix that is not of the form "/name", or that is taken.
        """
        if not prefix.startswith("/") or prefix.endswith("/") or "{" in prefix:
            raise ValueError(f"a mount's prefix is like '/name', without a slash at the end, not {prefix!r}")
        if any(prefix == taken for taken, _ in self._mounts):
            raise ValueError(f"there is an application mounted at {prefix} already")
        if app is self:
            raise ValueError("an application cannot be mounted in itself")
        self._mounts.append((prefix, app))
        self._mounts.sort(key=lambda mount: -len(mount[0]))

    def static(self, prefix: str, directory: str) -> None:
        """Serve the files of `directory` under `prefix`; see `pierhead.static` for what is left out."""
        from pierhead.static import StaticFiles

        self._router.add(
            f"{prefix.rstrip('/')}/{{path:path}}", ["GET"], _awaitable(StaticFiles(directory).respond)
        )

    def routes(self, prefix: str = "") -> Iterator[Route]:
        """Yield all routes, those of mounted applications too, for listing."""
        for router in (self._router, self._websockets):
            for route in router.routes():
                yield Route(prefix + route.pattern, route.methods, route.handler)
        for mount, app in self._mounts:
            yield from app.routes(prefix + mount)

    # Hooks

    @overload
    def on_start(self, hook: F, /) -> F: ...
    @overload
    def on_start(self, hook: None = None, /, *, per: Per = "worker") -> Callable[[F], F]: ...
    def on_start(self, hook: Any = None, /, *, per: Per = "worker") -> Any:
        """Have the decorated function called before the first request: in each worker, or once per master.

        A worker's hook may be `async`. The master's runs in the process that imported the application, before
        it forks the workers: it must leave no threads and no event loop. An exception is a failed start.
        """
        return _register(self._start[per], hook, allow_async=per == "worker")

    @overload
    def on_stop(self, hook: F, /) -> F: ...
    @overload
    def on_stop(self, hook: None = None, /, *, per: Per = "worker") -> Callable[[F], F]: ...
    def on_stop(self, hook: Any = None, /, *, per: Per = "worker") -> Any:
        """Have the decorated function called after the last request, in reverse order of definition.

        It is called only where all start hooks of this application succeeded.
        """
        return _register(self._stop[per], hook, allow_async=per == "worker")

    def lifespan(self, function: Callable[[App], AsyncIterator[Any]]) -> Callable[[App], AsyncIterator[Any]]:
        """Have an async generator of one `yield` surround each worker's life: before it start, after it stop."""
        self._lifespans.append(contextlib.asynccontextmanager(function))
        return function

    def start_master(self) -> None:
        """Run the master's start hooks, of mounted applications too; what was started is stopped if one fails."""
        with contextlib.ExitStack() as stack:
            for app in self._tree():
                for hook in app._start["master"]:
                    hook()
                stack.callback(app._stop_master)
            stack.pop_all()

    def stop_master(self) -> None:
        """Run the master's stop hooks, in reverse order."""
        with contextlib.ExitStack() as stack:
            for app in self._tree():
                stack.callback(app._stop_master)

    async def start(self) -> None:
        """Run the worker's start hooks, of mounted applications too; what was started is stopped if one fails."""
        async with contextlib.AsyncExitStack() as stack:
            for app in self._tree():
                for lifespan in app._lifespans:
                    await stack.enter_async_context(lifespan(app))
                for hook in app._start["worker"]:
                    await _call(hook)
                for hook in app._stop["worker"]:
                    stack.push_async_callback(_call, hook)
            self._running = stack.pop_all()

    async def stop(self) -> None:
        """Run the worker's stop hooks, in reverse order; one that fails does not keep the others from running."""
        running, self._running = self._running, None
        if running is not None:
            await running.aclose()

    def _tree(self) -> Iterator[App]:
        """Yield this application and all that are mounted in it, each once."""
        seen: set[int] = set()
        todo = [self]
        while todo:
            app = todo.pop(0)
            if id(app) not in seen:
                seen.add(id(app))
                yield app
                todo += [mounted for _, mounted in app._mounts]

    def _stop_master(self) -> None:
        with contextlib.ExitStack() as stack:
            for hook in self._stop["master"]:
                stack.callback(hook)

    # Answering

    async def handle(self, request: Request) -> Response | None:
        """Answer a request; None where nothing here is concerned.

        Raises what handlers raise and no exception hook of this application takes.
        """
        request.app = self
        try:
            for endpoint in self._before:
                response = await endpoint.respond(request)
                if response is not None:
                    return response
            response = await self._route(request)
            if response is not None:
                return response
            for endpoint in self._after:
                response = await endpoint.respond(request)
                if response is not None:
                    return response
        except Exception as error:
            hook = self._hook_for(error)
            if hook is None:
                raise
            request.app = self
            return _response(await hook(request, error), hook)
        return None

    async def _route(self, request: Request) -> Response | None:
        raw_path = request.raw_path
        fixed = self._router.fixed(raw_path)
        if fixed is not None:
            handler = fixed.handlers.get(request.method)
            if handler is not None:
                response = _response(await handler(request), handler)
                if response is not None:
                    return response
        for prefix, app in self._mounts:
            if raw_path.startswith(prefix) and raw_path[len(prefix) : len(prefix) + 1] in {"", "/"}:
                return await self._delegate(request, prefix, app)
        if raw_path == "*":
            return _allow({"GET", *METHODS}) if request.method == "OPTIONS" else None
        return await self._match(request, raw_path)

    async def _match(self, request: Request, raw_path: str) -> Response | None:
        """Try all routes that match; 405 where some do, but none for the method."""
        method = request.method
        allowed: set[str] = set()
        found = False
        for match in self._router.matches(raw_path):
            handler = match.handlers.get(method)
            if handler is None and method == "HEAD":
                handler = match.handlers.get("GET")
            if handler is None:
                allowed.update(match.handlers)
                continue
            found = True
            request.params = match.params
            response = _response(await handler(request, **match.params), handler)
            if response is not None:
                return response
        if not allowed or found:
            return None
        if method == "OPTIONS":
            return _allow(allowed)
        raise HTTPError(
            405,
            f"{method} is not allowed here",
            headers={"Allow": _allow(allowed).headers["Allow"]},
        )

    async def _delegate(self, request: Request, prefix: str, app: App) -> Response:
        root_path, raw_path = request.root_path, request.raw_path
        request.root_path = root_path + prefix
        request.raw_path = raw_path[len(prefix) :] or "/"
        response = await app.handle(request)
        if response is None:
            raise HTTPError(404, "there is nothing here")
        return response

    async def converse(self, socket: WebSocket) -> None:
        """Handle a WebSocket: with the handler of its route, or by rejecting it with 404."""
        request = socket.request
        request.app = self
        for prefix, app in self._mounts:
            raw_path = request.raw_path
            if raw_path.startswith(prefix) and raw_path[len(prefix) : len(prefix) + 1] in {"", "/"}:
                request.root_path += prefix
                request.raw_path = raw_path[len(prefix) :] or "/"
                await app.converse(socket)
                return
        match = next(self._websockets.matches(request.raw_path), None)
        if match is None:
            await socket.reject(Response.problem(404, "there is no WebSocket here"))
            return
        request.params = match.params
        await match.handlers[_WEBSOCKET](socket, **match.params)

    def _hook_for(self, error: Exception) -> Callable[..., Any] | None:
        for kind in type(error).__mro__:
            hook = self._exceptions.get(kind)
            if hook is not None:
                return hook
        return None


class _Endpoint:
    """A function that sees requests outside the router."""

    def __init__(self, priority: int, when: When | None, handler: Handler) -> None:
        self.priority = priority
        self._when = when
        self._handler = handler

    async def respond(self, request: Request) -> Response | None:
        """Call the function if it is concerned."""
        if self._when is not None and not self._when(request):
            return None
        return _response(await self._handler(request), self._handler)


def _awaitable(handler: Callable[..., Any]) -> Handler:
    """Return a coroutine function as it is; any other is called in a thread, with the caller's context."""
    if inspect.iscoroutinefunction(handler):
        return handler

    @functools.wraps(handler)
    async def in_thread(*arguments: Any, **named: Any) -> Any:
        return await asyncio.to_thread(handler, *arguments, **named)

    return in_thread


async def _call(hook: Callable[[], Any]) -> None:
    """Call a start or stop hook; a plain one is called here, not in a thread: nothing else is running."""
    result = hook()
    if inspect.isawaitable(result):
        await result


def _response(result: Any, handler: Callable[..., Any]) -> Response | None:
    """Turn what a handler returned into a Response; raises TypeError for what is none."""
    if result is None or isinstance(result, Response):
        return result
    if isinstance(result, str):
        return Response.text(result)
    if isinstance(result, bytes):
        return Response(result)
    if isinstance(result, dict | list):
        return Response.json(result)
    raise TypeError(
        f"{_name(handler)} returned {type(result).__name__}; a handler returns a Response, str, bytes, dict, "
        "list, or None to pass the request on"
    )


def _allow(methods: set[str]) -> Response:
    """Answer OPTIONS (RFC 9110, 9.3.7)."""
    names = methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
    return Response.empty(headers={"Allow": ", ".join(sorted(names))})


def _register(hooks: list[Callable[[], Any]], hook: F | None, *, allow_async: bool) -> Any:
    def register(function: F) -> F:
        if not allow_async and inspect.iscoroutinefunction(function):
            raise TypeError(f"a master's hook is a plain function, {_name(function)} is 'async def'")
        hooks.append(function)
        return function

    return register if hook is None else register(hook)


def _check(handler: Callable[..., Any], path: str) -> None:
    """Raise TypeError at once where every request would: for a parameter that the handler does not take."""
    parameters = re.findall(r"\{([A-Za-z_][A-Za-z0-9_]*)", path)
    try:
        inspect.signature(handler).bind(None, **dict.fromkeys(parameters))
    except TypeError as error:
        wanted = ", ".join(["request", *parameters])
        raise TypeError(f"{path}: {_name(handler)} is called with ({wanted}): {error}") from None


def _name(handler: Callable[..., Any]) -> str:
    return getattr(handler, "__qualname__", None) or repr(handler)
