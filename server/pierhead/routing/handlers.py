"""Handlers: the functions an application is made of, checked when defined and not first when called.

Also what their results mean: see `to_response`.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterable
from typing import Any

from pierhead.messages.response import Response
from pierhead.routing.limits import Isolated, Limits

__all__ = ["Handler", "needs_argument", "to_response"]


class Handler:
    """A function or other callable, and how it is called: awaited, or in a thread; within its own limits."""

    __slots__ = ("call", "is_async", "is_plain", "isolated", "limits")

    def __init__(
        self, call: Callable[..., Any], limits: Limits | None = None, isolation: Isolated = None
    ) -> None:
        if isolation not in {None, "process"}:
            raise ValueError(f"{describe(call)}: isolation is 'process' or None, not {isolation!r}")
        self.isolated = isolation is not None
        """Whether a request that may lead to it is answered in a process of its own."""
        if not callable(call):
            raise TypeError(f"a handler is a function, not {type(call).__name__}")
        plain = inspect.isroutine(call) or isinstance(call, functools.partial)
        target: Any = call if plain else type(call).__call__
        if inspect.isasyncgenfunction(target) or inspect.isgeneratorfunction(target):
            raise TypeError(
                f"{describe(call)} yields; a handler returns: give a generator to Response.stream(...)"
            )
        self.call = call
        self.is_async = inspect.iscoroutinefunction(target)
        self.limits = limits or None
        self.is_plain = self.is_async and not limits
        """Whether it is only awaited."""

    @property
    def name(self) -> str:
        """What messages call it: module and qualified name."""
        return describe(self.call)

    @property
    def where(self) -> str:
        """File and line of its definition, "" where they are not known."""
        try:
            code = inspect.unwrap(_function(self.call)).__code__
        except (AttributeError, ValueError):
            return ""
        return f"{code.co_filename}:{code.co_firstlineno}"

    def check(self, what: str, *positional: str, named: Iterable[str] = ()) -> None:
        """Raise TypeError unless it can be called with these arguments; `what` it is called for."""
        try:
            signature = _signature(self.call)
        except (TypeError, ValueError):  # written in C: nobody knows before it is called
            return
        names = tuple(named)
        clash = [name for name in names if name in list(signature.parameters)[: len(positional)]]
        try:
            if clash:
                raise TypeError(f"the parameter {clash[0]!r} would be given twice")
            signature.bind(*positional, **dict.fromkeys(names))
        except TypeError as error:
            arguments = ", ".join([*positional, *(f"{name}=..." for name in names)])
            why = str(error)
            if not signature.parameters:
                name, wanted = self.name.rpartition(".")[2], ", ".join([*positional, *names])
                why = f"it takes no arguments; write def {name}({wanted})"
            raise TypeError(
                f"{what}: {self.name} cannot be called with ({arguments}): {why} ({self.where})"
            ) from None

    def __repr__(self) -> str:
        return f"<Handler {self.name}>"


def describe(call: Callable[..., Any]) -> str:
    """Return module and qualified name of a callable, or the best there is."""
    function = _function(call)
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return f"{getattr(function, '__module__', None) or '?'}.{name}"


def _signature(call: Callable[..., Any]) -> inspect.Signature:
    if sys.version_info >= (3, 14):  # annotations are evaluated late, some only for type checkers: leave them
        from annotationlib import Format

        return inspect.signature(call, annotation_format=Format.STRING)
    return inspect.signature(call)


def _function(call: Any) -> Any:
    while isinstance(call, functools.partial):
        call = call.func
    return call


def needs_argument(call: Callable[..., Any]) -> bool:
    """Tell whether a function can be called with one argument, and not without."""
    try:
        signature = _signature(call)
    except (TypeError, ValueError):  # written in C
        return False
    try:
        signature.bind()
    except TypeError:
        pass
    else:
        return False
    try:
        signature.bind(None)
    except TypeError:
        return False
    return True


def to_response(result: Any, handler: Handler) -> Response:
    """Make a response of what a handler returned.

    A Response stays as it is, `str` becomes text, `bytes` octets, `dict` and `list` become JSON. Raises
    TypeError for anything else, and what `Response.json` raises.
    """
    if isinstance(result, Response):
        return result
    if isinstance(result, dict | list):
        return Response.json(result)
    if isinstance(result, str):
        return Response.text(result)
    if isinstance(result, bytes):
        return Response(result)
    fix = "return a Response, str, bytes, dict or list, or None to pass the request on"
    if isinstance(result, tuple):
        fix = "another status than 200 is given by a Response: Response.json({...}, status=201)"
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        fix = (
            "make it `async def` and await what it returned there; a `def` handler reads the body by"
            " request.blocking, such as request.blocking.json()"
        )
    raise TypeError(f"{handler.name} returned {type(result).__name__}; {fix} ({handler.where})")
