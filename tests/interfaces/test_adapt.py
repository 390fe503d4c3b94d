"""Adapting: every kind of application is recognised, and what is none is told how to become one."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from pierhead import App
from pierhead.interfaces.adapt import adapt, interface_of
from pierhead.interfaces.asgi import ASGIApplication
from pierhead.interfaces.native import NativeApplication


class Middleware:
    """As frameworks wrap applications."""

    def __call__(self, scope: Any, receive: Any, send: Any) -> Any: ...


class AsyncApp:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


async def renamed(a: Any, b: Any, c: Any) -> None: ...


async def bound(settings: Any, scope: Any, receive: Any, send: Any) -> None: ...


def wsgi(environ: Any, start_response: Any) -> Any: ...


class WSGIApp:
    def __call__(self, environ: Any, start_response: Any) -> Any: ...


class Old:
    """ASGI 2: called twice."""

    def __call__(self, scope: Any) -> Any: ...


class OldClass:
    """ASGI 2: made with a scope."""

    def __init__(self, scope: Any, more: Any = None) -> None: ...

    async def __call__(self, receive: Any, send: Any) -> None: ...


class Unclear:
    def __call__(self, request: Any) -> Any: ...


def anything(*args: Any) -> Any: ...


@pytest.mark.parametrize(
    ("app", "expected"),
    [
        (App(), "native"),
        (NativeApplication(App()), "native"),
        (Middleware(), "asgi"),
        (AsyncApp(), "asgi"),
        (renamed, "asgi"),
        (functools.partial(bound, {}), "asgi"),
        (wsgi, "wsgi"),
        (WSGIApp(), "wsgi"),
        (Old(), "asgi"),
        (OldClass, "asgi"),
        (Unclear(), None),
        (Middleware, None),
        (anything, None),
        (print, None),
        (7, None),
    ],
)
def test_how_it_is_called(app: Any, expected: str | None) -> None:
    assert interface_of(app) == expected


def test_what_cannot_be_told_is_chosen() -> None:
    with pytest.raises(TypeError, match="a function, not a"):
        adapt(anything)
    application = adapt(anything, interface="asgi", name="shop")
    assert isinstance(application, ASGIApplication)
    assert application.name == "shop"


def test_an_object_that_can_be_called_is_told_how_to_choose() -> None:
    with pytest.raises(
        TypeError,
        match=r"a .*test_adapt\.Unclear, .*; if it is one all the same, say so: --interface asgi\|wsgi",
    ):
        adapt(Unclear())


@pytest.mark.parametrize("interface", ["native", "asgi", "wsgi"])
def test_a_choice_that_does_not_fit(interface: str) -> None:
    with pytest.raises(TypeError, match=rf"a int, .*\b(?i:{interface.replace('native', 'pierhead')})"):
        adapt(7, interface=interface)
