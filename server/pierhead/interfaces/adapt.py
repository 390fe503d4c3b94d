"""Adapting: from the object that is an application, of whatever kind, to what a server asks for."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    from pierhead.app import App
    from pierhead.interfaces.base import Application

__all__ = ["INTERFACES", "adapt", "describe", "interface_of"]

INTERFACES = ("auto", "native", "asgi", "wsgi")
"""How an application can be called; auto finds out."""
_PROTOCOL = ("name", "start_master", "stop_master", "start", "stop", "respond", "converse")
_PARAMETERS = {"asgi": ("scope", "receive", "send"), "wsgi": ("environ", "start_response")}
_SIGNATURES = {
    kind: f"{kind.upper()}'s app({', '.join(parameters)})" for kind, parameters in _PARAMETERS.items()
}


def adapt(found: Any, *, interface: str = "auto", name: str = "app", threads: int = 40) -> Application:
    """Return `found` as what a server asks for.

    `name` is what logs call it where it has no name itself; `threads` is how many calls that block run at
    once in a worker. Raises TypeError that says what `found` is and how to choose, where it is no application
    or none of the chosen `interface`.
    """
    kind = interface_of(found) if interface == "auto" else interface
    # Each kind is imported for its applications only: a process started for one request is soon ready.
    if kind == "native" and _is_app(found):
        from pierhead.interfaces.native import NativeApplication

        return NativeApplication(found, threads=threads)
    if kind == "native" and _is_application(found):
        return found
    if kind == "asgi" and callable(found):
        from pierhead.interfaces.asgi import ASGIApplication

        if _is_double(found):
            from pierhead.interfaces.asgi.double import single

            found = single(found)
        return ASGIApplication(found, name=name)
    if kind == "wsgi" and callable(found):
        from pierhead.interfaces.wsgi import WSGIApplication

        return WSGIApplication(found, name=name, threads=threads)
    raise TypeError(f"{describe(found)}, {_expected(found, interface)}")


def interface_of(found: Any) -> str | None:
    """Tell by what interface `found` is called: native, asgi, wsgi, or None where it cannot be told."""
    if _is_app(found) or _is_application(found):
        return "native"
    if _is_double(found):
        return "asgi"
    if isinstance(found, type):
        return None
    parameters = _parameters(found)
    names = tuple(each.name for each in parameters)
    for kind, expected in _PARAMETERS.items():
        if names == expected:
            return kind
    required = _required(parameters)
    for kind, expected in _PARAMETERS.items():
        if len(required) == len(expected):
            return kind
    return None


def _is_double(found: object) -> bool:
    """Tell whether it is called with a scope alone: an ASGI 2 application, often a class."""
    return [each.name for each in _required(_parameters(found))] == ["scope"]


def _parameters(found: object) -> list[inspect.Parameter]:
    if not callable(found):
        return []
    try:
        return list(inspect.signature(found).parameters.values())
    except (TypeError, ValueError):  # a callable of C code
        return []


def _required(parameters: list[inspect.Parameter]) -> list[inspect.Parameter]:
    positional = [
        each for each in parameters if each.kind in {each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD}
    ]
    return [each for each in positional if each.default is each.empty]


def describe(value: object) -> str:
    """Say what a value is."""
    if inspect.isroutine(value):
        return "a function"
    if isinstance(value, type):
        return f"the class {value.__module__}.{value.__qualname__}"
    if inspect.ismodule(value):
        return f"the module {value.__name__}"
    return f"a {type(value).__module__}.{type(value).__qualname__}".replace("builtins.", "")


def _expected(found: Any, interface: str) -> str:
    if interface == "native":
        return "not a pierhead.App"
    if interface != "auto":
        return f"which cannot be called as {_SIGNATURES[interface]}"
    text = f"not a pierhead.App, {', '.join(_SIGNATURES.values())}"
    if callable(found) and not isinstance(found, type) and not inspect.isroutine(found):
        text += f"; if it is one all the same, say so: --interface {'|'.join(_SIGNATURES)}"
    return text


def _is_app(found: object) -> TypeGuard[App]:
    made_by = sys.modules.get("pierhead.app")  # who has an App has imported that
    return made_by is not None and isinstance(found, made_by.App)


def _is_application(found: object) -> TypeGuard[Application]:
    return not isinstance(found, type) and all(hasattr(found, name) for name in _PROTOCOL)
