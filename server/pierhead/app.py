"""App: an application made of routes, endpoints, hooks and other applications.

    app = App()

    @app.get("/user/{id:int}")
    async def show(request, id): return Response.json({"id": id})

An App is a declaration: what it declares is checked at once, and run by `pierhead.interfaces.native`.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from pierhead.hooks import Hooks, Per
from pierhead.messages.headers import HeaderItems
from pierhead.messages.request import Request
from pierhead.messages.state import State
from pierhead.routing import Converters, Handler, Limits, LimitsGiven, RouteOptions, Router, parse_pattern
from pierhead.routing.converters import Convert
from pierhead.routing.limits import Isolated
from pierhead.static import StaticFiles

if TYPE_CHECKING:
    from pierhead.interfaces.asgi.served import ServedApp

__all__ = ["App", "Endpoint", "Listed"]

F = TypeVar("F", bound=Callable[..., Any])
When = Callable[[Request], bool]

_METHOD = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++")


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Endpoint:
    """A handler that sees requests outside of the router."""

    handler: Handler
    priority: int
    when: When | None


@dataclasses.dataclass(frozen=True, slots=True)
class Listed:
    """A route, endpoint or mount for people to read."""

    pattern: str
    """The whole path with the mounts' prefixes; "*" for an endpoint at the root, "/prefix*" in a mount."""
    methods: tuple[str, ...]
    """The methods; ("WEBSOCKET",), or ("ANY",) for an endpoint."""
    handler: str
    """Module and name of the function."""
    where: str
    """File and line of the function, "" where not known."""
    app: str
    """The name of the application it belongs to."""
    priority: int = 0
    """An endpoint's priority; routes are at 0."""
    isolated: bool = False
    """Whether what leads to it runs in a process of its own (`isolation="process"`)."""

    def __str__(self) -> str:
        priority = f"  priority {self.priority}" if self.methods == ("ANY",) else ""
        isolated = "  isolated" if self.isolated else ""
        return f"{','.join(self.methods):<10} {self.pattern}  {self.handler}{priority}{isolated}"


class App:
    """An application: answers requests, by itself or mounted in another one.

    `name` is for logs. With `debug` the answer to an unhandled exception shows its traceback: never in
    production. `max_body_bytes` refuses larger request bodies with 413 (the server's own limit counts too);
    `handler_timeout_s` ends with 504 what takes longer to return a response. Raises ValueError for a limit
    that is not positive.
    """

    def __init__(
        self,
        name: str = "app",
        *,
        debug: bool = False,
        max_body_bytes: int | None = None,
        handler_timeout_s: float | None = None,
    ) -> None:
        self.name = name
        self.debug = debug
        self.limits = Limits(max_body_bytes, handler_timeout_s) or None
        self.state = State("app.state")
        """What the application keeps in this worker, such as connections; no other worker sees it."""
        self.hooks = Hooks(self)
        self._converters = Converters()
        self.router: Router[App] = Router(self._converters)
        self.before: list[Endpoint] = []
        """The endpoints tried before the router, in their order."""
        self.after: list[Endpoint] = []
        """The endpoints tried after the router, in their order."""
        self._served: ServedApp | None = None
        self.exceptions: dict[type[Exception], Handler] = {}
        """The handlers of exceptions, by class."""

    # Routes

    def route(
        self,
        path: str,
        *,
        methods: Iterable[str],
        isolation: Isolated = None,
        **limits: Unpack[LimitsGiven],
    ) -> Callable[[F], F]:
        """Have the decorated function answer `methods` on `path`.

        `path` is a pattern, see `pierhead.routing.patterns`. The function is called with the request and, by
        name, the path's parameters: an `async def` function on the event loop, a `def` function, which may
        block, in a thread. It returns a Response, or `str` (sent as text), `bytes`, `dict` or `list` (JSON),
        or None to pass the request on: to the next route that matches, then to the endpoints after the
        router.

        With `isolation="process"` a request that leads to it is answered, from its first endpoint on, in a
        process of its own, which may block, crash or be killed; see docs/isolation.md.

        GET answers HEAD too. OPTIONS is answered with Allow, another method of a known path with 405.
        `max_body_bytes` and `handler_timeout_s` are as those of an App, for this function alone. Raises
        ValueError for a malformed path, a route that exists and a limit that is not positive, TypeError for a
        function that cannot be called so.
        """
        pattern = parse_pattern(path)
        names = _methods(path, methods)
        own = Limits(**limits)

        def decorate(function: F) -> F:
            handler = Handler(function, own, isolation)
            handler.check(path, "request", named=pattern.names)
            self.router.add(pattern, names, handler)
            return function

        return decorate

    def get(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Have the decorated function answer GET and HEAD on `path`; see `route`."""
        return self.route(path, methods=["GET"], **options)

    def head(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Have the decorated function answer HEAD on `path`, in the place of its GET route; see `route`."""
        return self.route(path, methods=["HEAD"], **options)

    def post(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Have the decorated function answer POST on `path`; see `route`."""
        return self.route(path, methods=["POST"], **options)

    def put(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Have the decorated function answer PUT on `path`; see `route`."""
        return self.route(path, methods=["PUT"], **options)

    def patch(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Have the decorated function answer PATCH on `path`; see `route`."""
        return self.route(path, methods=["PATCH"], **options)

    def delete(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Have the decorated function answer DELETE on `path`; see `route`."""
        return self.route(path, methods=["DELETE"], **options)

    def options(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Have the decorated function answer OPTIONS on `path`, in the place of the server; see `route`."""
        return self.route(path, methods=["OPTIONS"], **options)

    def websocket(self, path: str, *, isolation: Isolated = None) -> Callable[[F], F]:
        """Have the decorated `async def` function converse on the WebSockets opened at `path`.

        It is called with the WebSocket and, by name, the path's parameters. An HTTPError before the handshake
        is answered rejects it with that response. `isolation` and the errors are those of `route`.
        """
        pattern = parse_pattern(path)

        def decorate(function: F) -> F:
            handler = Handler(function, isolation=isolation)
            if not handler.is_async:
                raise TypeError(
                    f"{path}: a WebSocket handler is an `async def` function, {handler.name} is not "
                    f"({handler.where})"
                )
            handler.check(path, "socket", named=pattern.names)
            self.router.add_websocket(pattern, handler)
            return function

        return decorate

    def converter(self, name: str, rule: str | re.Pattern[str] | Convert) -> None:
        """Add a type of path parameter, `{param:name}`: a regular expression or a function.

        See `Converters.add`; add it before the routes that use it.
        """
        self._converters.add(name, rule)

    def static(
        self, prefix: str, directory: str | os.PathLike[str], *, headers: HeaderItems | None = None
    ) -> None:
        """Serve the files of `directory` under `prefix`; see `pierhead.static` for what is left out.

        `headers` are added to each file's response, for example Cache-Control.
        """
        files = StaticFiles(directory, headers)
        prefix = prefix.rstrip("/")
        if prefix:
            self.get(prefix)(files)
        self.get(f"{prefix}/{{path:path}}")(files)

    def mount(self, prefix: str, app: App) -> None:
        """Have `app` answer everything under `prefix` that no route of this application answers.

        It sees paths without the prefix, which stands in `request.root_path`, and keeps its own endpoints,
        exception handlers, state and hooks; its 404 and 405 are final. Exceptions that it does not handle
        come here. `prefix` is like "/name"; "/" mounts it at the root. Raises ValueError for another prefix,
        one that is taken, and for applications mounted in each other.
        """
        if not isinstance(app, App):
            raise TypeError(f"an App is mounted, not {type(app).__name__}")
        if self in app.tree():
            raise ValueError(f"{app.name!r} is or contains {self.name!r}: it cannot be mounted in it")
        self.router.mount("" if prefix == "/" else prefix, app)

    # Around the routes

    @overload
    def endpoint(self, function: F, /) -> F: ...
    @overload
    def endpoint(
        self,
        function: None = None,
        /,
        *,
        priority: int = 0,
        when: When | None = None,
        isolation: Isolated = None,
    ) -> Callable[[F], F]: ...
    def endpoint(
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        priority: int = 0,
        when: When | None = None,
        isolation: Isolated = None,
    ) -> Any:
        """Have the decorated function see requests before the router, or after it if `priority` is negative.

        Endpoints are tried from high to low priority, those of equal priority in the order of definition,
        until one answers; the router comes after those of priority 0. `when(request)` tells whether one is
        tried at all. It is called with the request and returns what a route's function returns. One that
        returns None passes the request on, and may have added `response_headers`, cookies and `state`.

        With `isolation="process"` requests that it is tried for are answered in a process of their own.

        The opening of a WebSocket is a request too: what an endpoint before the router answers rejects it.
        """

        def decorate(function: F) -> F:
            handler = Handler(function, isolation=isolation)
            handler.check("an endpoint", "request")
            if when is not None and inspect.iscoroutinefunction(when):
                raise TypeError(f"{handler.name}: `when` is a `def` function; await in the endpoint instead")
            endpoints = self.before if priority >= 0 else self.after
            endpoints.append(Endpoint(handler, priority, when))
            endpoints.sort(key=lambda endpoint: -endpoint.priority)
            return function

        return decorate if function is None else decorate(function)

    def exception(self, kind: type[Exception]) -> Callable[[F], F]:
        """Have the decorated function answer where a handler raises `kind` or a subclass of it.

        It is called with the request and the exception, and returns what a route's function returns; None
        leaves the exception to the next handler that fits. The most specific class is asked first, and the
        application in which it was raised before those it is mounted in. What nobody handles becomes problem
        details (RFC 9457): an HTTPError its own, anything else a logged 500. The 404 and 405 of the router
        are HTTPErrors. Raises TypeError for a class that is no Exception, ValueError for one that has a
        handler.
        """
        given: object = kind
        if not (isinstance(given, type) and issubclass(given, Exception)):
            raise TypeError(f"an exception handler is for a subclass of Exception, not {kind!r}")

        def decorate(function: F) -> F:
            handler = Handler(function)
            handler.check(f"the handler of {kind.__name__}", "request", "error")
            if kind in self.exceptions:
                raise ValueError(f"{kind.__name__} has a handler already: {self.exceptions[kind].name}")
            self.exceptions[kind] = handler
            return function

        return decorate

    # Starting and stopping

    @overload
    def on_start(self, function: F, /) -> F: ...
    @overload
    def on_start(self, function: None = None, /, *, per: Per = "worker") -> Callable[[F], F]: ...
    def on_start(self, function: Callable[..., Any] | None = None, /, *, per: Per = "worker") -> Any:
        """Have the decorated function called before the first request; see `pierhead.hooks` for the order.

        In each worker, on its event loop, `async def` or `def`; or once per master, `def` only, in the
        process that imported the application, before it forks the workers: it must leave no thread and no
        event loop. It is called with the App if it needs an argument. What it raises is a failed start.
        """
        return self._hook("start", function, per)

    @overload
    def on_stop(self, function: F, /) -> F: ...
    @overload
    def on_stop(self, function: None = None, /, *, per: Per = "worker") -> Callable[[F], F]: ...
    def on_stop(self, function: Callable[..., Any] | None = None, /, *, per: Per = "worker") -> Any:
        """Have the decorated function called after the last request, the last defined first; see `on_start`.

        Where the start fails it is called if everything defined before it had started.
        """
        return self._hook("stop", function, per)

    def lifespan(self, function: F) -> F:
        """Have an `async def` function with one `yield` surround the life of each worker.

        What stands before the `yield` starts, what stands behind it stops. It is called with the App if it
        needs an argument.
        """
        self.hooks.add_lifespan(function)
        return function

    # Looking at it

    def tree(self) -> Iterator[App]:
        """Yield this application and all that are mounted in it, each once, this one first."""
        seen: list[App] = []
        waiting = [self]
        while waiting:
            app = waiting.pop(0)
            if not any(app is known for known in seen):
                seen.append(app)
                waiting += [mount.app for mount in app.router.mounts]
                yield app

    def handlers(self) -> Iterator[Handler]:
        """Yield the handlers of its own endpoints and routes."""
        for endpoint in (*self.before, *self.after):
            yield endpoint.handler
        for route, _ in self.router.routes:
            yield route.handler

    def routes(self, prefix: str = "") -> list[Listed]:
        """List what answers here, mounted applications included, in the order in which it is asked."""
        listed = [self._listed(endpoint, prefix) for endpoint in self.before]
        for route, methods in self.router.routes:
            handler = route.handler
            path = prefix + route.pattern.text
            listed.append(
                Listed(path, methods, handler.name, handler.where, self.name, isolated=handler.isolated)
            )
        for mount in self.router.mounts:
            listed += mount.app.routes(prefix + mount.prefix)
        return listed + [self._listed(endpoint, prefix) for endpoint in self.after]

    def __repr__(self) -> str:
        return f"<App {self.name}>"

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """Be an ASGI application, for any ASGI server; see `pierhead.interfaces.asgi.served`."""
        if self._served is None:
            from pierhead.interfaces.asgi.served import ServedApp

            self._served = ServedApp(self)
        await self._served(scope, receive, send)

    def _hook(self, kind: Any, function: Any, per: Per) -> Any:
        def decorate(function: F) -> F:
            self.hooks.add(kind, per, function)
            return function

        return decorate if function is None else decorate(function)

    def _listed(self, endpoint: Endpoint, prefix: str) -> Listed:
        handler = endpoint.handler
        return Listed(
            prefix + "*",
            ("ANY",),
            handler.name,
            handler.where,
            self.name,
            endpoint.priority,
            handler.isolated,
        )


def _methods(path: str, methods: Iterable[str]) -> tuple[str, ...]:
    if isinstance(methods, str):
        raise TypeError(f"{path}: methods is a list such as [{methods!r}], not text")
    names = tuple(dict.fromkeys(methods))
    if not names:
        raise ValueError(f"{path}: a route has at least one method")
    for name in names:
        if not _METHOD.fullmatch(name) or name != name.upper():
            raise ValueError(
                f"{path}: {name!r} is no method; methods are upper-case, such as {name.upper()!r}"
            )
    return names
