"""Routes: typed path patterns in a tree of segments, from a request's path to a handler.

A pattern is segments between slashes, each of them either text or one parameter, as in
`/user/{id:int}/files/{rest:path}`. Matching goes by the segments as received, each decoded on its own, so that
an encoded slash (%2F) is part of a parameter and never separates. Of several patterns that match, the more
specific one wins, segment by segment: text before typed parameters, those before plain ones, those before the
rest of a path.
"""

from __future__ import annotations

import dataclasses
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import unquote

__all__ = ["Convert", "Converter", "Converters", "Handler", "Match", "Route", "Router"]

Convert = Callable[[str], Any]
Handler = Callable[..., Any]

_PARAMETER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(?::([A-Za-z_][A-Za-z0-9_]*))?\}")
_INT = re.compile(r"-?(?:0|[1-9][0-9]{0,18})")
_FLOAT = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]{1,30})?")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, slots=True)
class Converter:
    """Turns a segment's text into a parameter; `convert` raises ValueError for what does not match."""

    name: str
    convert: Convert
    rank: int
    """Specificity: a lower one is tried first."""
    whole_rest: bool = False
    """Whether it takes the rest of the path, slashes and all."""


def _matching(pattern: re.Pattern[str], convert: Convert) -> Convert:
    def checked(text: str) -> Any:
        if not pattern.fullmatch(text):
            raise ValueError(text)
        return convert(text)

    return checked


def _segment(text: str) -> str:
    if not text:
        raise ValueError(text)
    return text


class Converters:
    """The converters by name; `str` is the one of a parameter that names none."""

    def __init__(self) -> None:
        self._known = {
            "int": Converter("int", _matching(_INT, int), 1),
            "uuid": Converter("uuid", _matching(_UUID, uuid.UUID), 1),
            "float": Converter("float", _matching(_FLOAT, float), 2),
            "str": Converter("str", _segment, 4),
            "path": Converter("path", str, 5, whole_rest=True),
        }

    def add(self, name: str, rule: str | re.Pattern[str] | Convert) -> None:
        """Add a converter: a regular expression that the whole segment matches, or a function.

        The function takes the decoded segment and returns the parameter, or raises ValueError for no match.
        Raises ValueError for a name that is taken.
        """
        if name in self._known:
            raise ValueError(f"there is a converter {name!r} already")
        if isinstance(rule, str):
            rule = re.compile(rule)
        convert = _matching(rule, str) if isinstance(rule, re.Pattern) else rule
        self._known[name] = Converter(name, convert, 3)

    def get(self, name: str, pattern: str) -> Converter:
        """Return a converter; raises ValueError that lists the known ones."""
        try:
            return self._known[name]
        except KeyError:
            known = ", ".join(sorted(self._known))
            raise ValueError(f"{pattern!r}: no converter {name!r}; there are: {known}") from None


@dataclasses.dataclass(frozen=True, slots=True)
class Route:
    """A handler under a pattern and methods, for listing."""

    pattern: str
    methods: tuple[str, ...]
    handler: Handler


@dataclasses.dataclass(frozen=True, slots=True)
class Match:
    """What a path leads to: handlers by method, and the parameters."""

    handlers: dict[str, Handler]
    params: dict[str, Any]


class _Node:
    """A place in the tree: what may follow, and the handlers of a path that ends here."""

    __slots__ = ("handlers", "parameters", "pattern", "texts")

    def __init__(self) -> None:
        self.texts: dict[str, _Node] = {}
        self.parameters: list[tuple[str, Converter, _Node]] = []
        self.handlers: dict[str, Handler] = {}
        self.pattern = ""

    def parameter(self, name: str, converter: Converter) -> _Node:
        """Return the node behind a parameter, new or known."""
        for known, same, node in self.parameters:
            if (known, same) == (name, converter):
                return node
        node = _Node()
        self.parameters.append((name, converter, node))
        self.parameters.sort(key=lambda entry: entry[1].rank)
        return node


class Router:
    """A tree of routes."""

    def __init__(self, converters: Converters) -> None:
        self._converters = converters
        self._root = _Node()
        self._fixed: dict[str, Match] = {}

    def add(self, pattern: str, methods: Iterable[str], handler: Handler) -> None:
        """Add a route; raises ValueError for a malformed pattern, an unknown converter or a second handler."""
        node = self._root
        fixed = True
        for segment, parameter in _segments(pattern):
            if parameter is None:
                node = node.texts.setdefault(segment, _Node())
                continue
            fixed = False
            name, kind = parameter
            node = node.parameter(name, self._converters.get(kind, pattern))
        node.pattern = pattern
        for method in methods:
            if method in node.handlers:
                raise ValueError(f"{method} {pattern} has a handler already: {_name(node.handlers[method])}")
            node.handlers[method] = handler
        if fixed:
            self._fixed[pattern] = Match(node.handlers, {})

    def fixed(self, raw_path: str) -> Match | None:
        """Return the match of a path that is a pattern without parameters, to the letter."""
        return self._fixed.get(raw_path)

    def matches(self, raw_path: str) -> Iterator[Match]:
        """Yield all that a percent-encoded path matches, the most specific first."""
        segments = raw_path[1:].split("/")
        if "%" in raw_path:
            segments = [unquote(segment) for segment in segments]
        return _walk(self._root, segments, 0, {})

    def routes(self) -> Iterator[Route]:
        """Yield all routes, in no particular order of definition."""
        todo = [self._root]
        while todo:
            node = todo.pop()
            by_handler: dict[int, list[str]] = {}
            for method, handler in node.handlers.items():
                by_handler.setdefault(id(handler), []).append(method)
            for methods in by_handler.values():
                yield Route(node.pattern, tuple(methods), node.handlers[methods[0]])
            todo += [*node.texts.values(), *(child for _, _, child in node.parameters)]


def _walk(node: _Node, segments: list[str], at: int, params: dict[str, Any]) -> Iterator[Match]:
    if at == len(segments):
        if node.handlers:
            yield Match(node.handlers, dict(params))
        return
    segment = segments[at]
    text = node.texts.get(segment)
    if text is not None:
        yield from _walk(text, segments, at + 1, params)
    for name, converter, child in node.parameters:
        taken = "/".join(segments[at:]) if converter.whole_rest else segment
        try:
            params[name] = converter.convert(taken)
        except ValueError:
            continue
        yield from _walk(child, segments, len(segments) if converter.whole_rest else at + 1, params)
        del params[name]


def _segments(pattern: str) -> Iterator[tuple[str, tuple[str, str] | None]]:
    """Take a pattern apart into (text, None) or (source, (name, converter))."""
    if not pattern.startswith("/"):
        raise ValueError(f"a route begins with '/', not {pattern!r}")
    names: set[str] = set()
    segments = pattern[1:].split("/")
    for position, segment in enumerate(segments):
        match = _PARAMETER.fullmatch(segment)
        if match is None:
            if "{" in segment or "}" in segment:
                raise ValueError(
                    f"{pattern!r}: a parameter is a whole segment, {{name}} or {{name:type}}, not {segment!r}"
                )
            yield segment, None
            continue
        name, kind = match[1], match[2] or "str"
        if name in names:
            raise ValueError(f"{pattern!r} has two parameters {name!r}")
        if kind == "path" and position != len(segments) - 1:
            raise ValueError(f"{pattern!r}: a parameter of type path takes the rest, so it stands at the end")
        names.add(name)
        yield segment, (name, kind)


def _name(handler: Handler) -> str:
    return getattr(handler, "__qualname__", None) or repr(handler)
