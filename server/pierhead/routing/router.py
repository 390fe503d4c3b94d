"""Router: a tree of path segments that finds what a path leads to, the most specific first.

Matching goes by the segments as received, each decoded on its own: an encoded slash (%2F) is part of a
parameter's value and never separates. At each segment text comes before typed parameters (see
`converters` for their order), those before plain ones, and those before what takes the rest of the path: a
`path` parameter, then a mounted application.

A path without parameters is found by one look-up; any other by a walk that visits no node of the tree twice,
whatever the path.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar
from urllib.parse import unquote

from pierhead.routing.converters import Converter, Converters
from pierhead.routing.handlers import Handler
from pierhead.routing.patterns import Pattern, parse_pattern

__all__ = ["Match", "Mount", "Route", "Router", "Routes"]

T = TypeVar("T")

_DOTS = frozenset({".", ".."})


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Route:
    """A handler under a pattern."""

    pattern: Pattern
    handler: Handler
    names: tuple[str, ...]
    """The names of its parameters, in the order of their values in a match."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Mount(Generic[T]):
    """Another application under a prefix."""

    prefix: str
    app: T


class Routes:
    """What ends at one place of the tree."""

    __slots__ = ("methods", "websocket")

    def __init__(self) -> None:
        self.methods: dict[str, Route] = {}
        """By method; HEAD is the GET route unless it has its own."""
        self.websocket: Route | None = None

    @property
    def allow(self) -> set[str]:
        """The methods this place answers, OPTIONS by itself."""
        return {*self.methods, "OPTIONS"} if self.methods else set()


Match = tuple[Routes | Mount[T], tuple[object, ...], int]
"""What a path leads to, the values of the parameters, and how many segments a mount's prefix has."""

_NO_ROUTES: dict[str, Route] = {}


class _Node(Generic[T]):
    """A place in the tree: what ends here, and what may follow."""

    __slots__ = ("mount", "rest", "routes", "texts", "typed")

    def __init__(self) -> None:
        self.routes: Routes | None = None
        self.mount: Mount[T] | None = None
        self.rest: Routes | None = None
        self.texts: dict[str, _Node[T]] = {}
        self.typed: list[tuple[Converter, _Node[T]]] = []  # the last to be tried first: they go on a stack


class Router(Generic[T]):
    """The routes and mounts of one application; `T` is the type of what is mounted."""

    def __init__(self, converters: Converters) -> None:
        self.routes: list[tuple[Route, tuple[str, ...]]] = []
        """All routes with their methods, "WEBSOCKET" for those of WebSockets, in order of definition."""
        self.mounts: list[Mount[T]] = []
        """All mounts in order of definition."""
        self._converters = converters
        self._root: _Node[T] = _Node()
        self._fixed: dict[str, dict[str, Route]] = {}

    def add(self, pattern: Pattern, methods: Iterable[str], handler: Handler) -> None:
        """Add a route; raises ValueError for an unknown converter, and where the path has such a route."""
        methods = tuple(methods)
        place = self._place(pattern)
        route = Route(pattern, handler, pattern.names)
        for method in methods:
            other = place.methods.get(method)
            if other is not None and not (method == "HEAD" and place.methods.get("GET") is other):
                raise ValueError(_taken(f"{method} {pattern.text}", other))
        for method in methods:
            place.methods[method] = route
        if "GET" in methods:
            place.methods.setdefault("HEAD", route)
        if pattern.fixed:
            self._fixed[pattern.text] = place.methods
        self.routes.append((route, methods))

    def add_websocket(self, pattern: Pattern, handler: Handler) -> None:
        """Add a route for WebSockets; raises as `add`."""
        place = self._place(pattern)
        if place.websocket is not None:
            raise ValueError(_taken(f"the WebSocket at {pattern.text}", place.websocket))
        place.websocket = Route(pattern, handler, pattern.names)
        self.routes.append((place.websocket, ("WEBSOCKET",)))

    def mount(self, prefix: str, app: T) -> None:
        """Add what takes all paths under `prefix`, "" or like "/name", except those of routes.

        Raises ValueError for another prefix and one that is taken.
        """
        if prefix and (prefix.endswith("/") or parse_pattern(prefix).names):
            raise ValueError(
                f"a mount's prefix is like '/name', without parameters and slash at its end, not {prefix!r}"
            )
        node = self._root
        for segment in prefix.split("/")[1:]:
            node = node.texts.setdefault(segment, _Node())
        if node.mount is not None:
            raise ValueError(f"{prefix or '/'} has an application already; mount this one elsewhere")
        node.mount = Mount(prefix, app)
        self.mounts.append(node.mount)

    def fixed(self, raw_path: str, method: str) -> Route | None:
        """Return the route of a path that is a pattern without parameters, to the letter: the fast way."""
        return self._fixed.get(raw_path, _NO_ROUTES).get(method)

    def matches(self, raw_path: str) -> Iterator[Match[T]]:
        """Yield all that a percent-encoded path leads to, the most specific first."""
        segments = raw_path.split("/")
        suspicious = "\0" in raw_path
        if "%" in raw_path:
            segments = [unquote(segment) for segment in segments]
            suspicious = True
        count = len(segments)
        # What is left to try: a node behind a segment that has yet to be converted (by the converter), or
        # one of which only rest and mount are left (None).
        todo: list[tuple[Converter | None, _Node[T], int, tuple[object, ...]]] = []
        node, index = self._root, 1
        values: tuple[object, ...] = ()
        while True:
            if node.rest is not None or node.mount is not None:
                todo.append((None, node, index, values))
            if index < count:
                for converter, child in node.typed:
                    todo.append((converter, child, index, values))
                follower = node.texts.get(segments[index])
                if follower is not None:
                    node, index = follower, index + 1
                    continue
            elif node.routes is not None:
                yield node.routes, values, index
            while todo:
                step, node, index, values = todo.pop()
                if step is not None:
                    text = segments[index]
                    if not text or text in _DOTS or (suspicious and _is_trick(text)):
                        continue
                    if step.convert is None:
                        values = (*values, text)
                    else:
                        try:
                            values = (*values, step.convert(text))
                        except ValueError:
                            continue
                    index += 1
                    break
                if node.rest is not None and index < count:
                    rest = "/".join(segments[index:])
                    if not _is_trick(rest):
                        yield node.rest, (*values, rest), index
                if node.mount is not None:
                    yield node.mount, (), index
            else:
                return

    def _place(self, pattern: Pattern) -> Routes:
        """Return where a pattern ends in the tree, which grows where it has to."""
        node = self._root
        for segment in pattern.segments:
            if isinstance(segment, str):
                node = node.texts.setdefault(segment, _Node())
            elif segment.converter == "path":
                node.rest = node.rest or Routes()
                return node.rest
            else:
                node = _behind(node, self._converters[segment.converter])
        node.routes = node.routes or Routes()
        return node.routes


def _behind(node: _Node[T], converter: Converter) -> _Node[T]:
    """Return the node behind a parameter of `node`, new or known."""
    for known, child in node.typed:
        if known is converter:
            return child
    child = _Node[T]()
    node.typed.insert(0, (converter, child))
    node.typed.sort(
        key=lambda entry: -entry[0].rank
    )  # stable: of equal ranks the first defined is tried first
    return child


def _is_trick(text: str) -> bool:
    return "\0" in text or not _DOTS.isdisjoint(text.split("/"))


def _taken(what: str, route: Route) -> str:
    return (
        f"{what} has a handler already: {route.handler.name} at {route.pattern.text} ({route.handler.where})"
    )
