"""Handlers: what is noticed when a function is given, and what its results become."""

from __future__ import annotations

import functools
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from pierhead import Request, Response
from pierhead.routing.handlers import Handler, to_response


def plain(request: Request) -> str:
    return "plain"


async def on_the_loop(request: Request, number: int) -> str:
    return "on the loop"


class Callable:
    async def __call__(self, request: Request) -> str:
        return "called"


def test_it_knows_what_has_to_be_awaited() -> None:
    assert not Handler(plain).is_async
    assert Handler(on_the_loop).is_async
    assert Handler(functools.partial(on_the_loop, number=1)).is_async
    assert Handler(Callable()).is_async
    assert Handler(Callable().__call__).is_async
    assert not Handler(functools.partial(plain)).is_async


def test_it_knows_its_name_and_place() -> None:
    assert Handler(plain).name == f"{__name__}.plain"
    assert Handler(functools.partial(plain)).name == f"{__name__}.plain"
    assert Handler(Callable()).name == f"{__name__}.Callable"
    file, _, line = Handler(plain).where.rpartition(":")
    assert file == __file__
    assert line.isdecimal()
    assert Handler(print).where == ""


def test_generators_and_what_cannot_be_called_are_refused() -> None:
    async def events(request: Request) -> AsyncIterator[bytes]:
        yield b""

    def pieces(request: Request) -> Iterator[bytes]:
        yield b""

    for function in (events, pieces):
        with pytest.raises(TypeError, match=r"pieces|events yields; a handler returns: .* Response.stream"):
            Handler(function)
    with pytest.raises(TypeError, match="a handler is a function, not str"):
        Handler("show")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("function", "names", "message"),
    [
        (lambda: None, ["id"], r"it takes no arguments; write def <lambda>\(request, id\)"),
        (lambda request: None, ["number"], "got an unexpected keyword argument 'number'"),
        (lambda request, number, name: None, ["number"], "missing a required argument: 'name'"),
        (lambda request: None, ["request"], "the parameter 'request' would be given twice"),
        (
            lambda request, number, /: None,
            ["number"],
            "positional.only|missing a required",
        ),
    ],
)
def test_arguments_that_do_not_fit_are_noticed(function: Any, names: list[str], message: str) -> None:
    with pytest.raises(TypeError, match=rf"/path: .*<lambda> cannot be called with \(request.*({message})"):
        Handler(function).check("/path", "request", named=names)


def test_annotations_that_only_type_checkers_know_are_left_alone() -> None:
    namespace: dict[str, Any] = {}
    source = "def show(request: Unknown) -> Unknown: ..."
    future = "from __future__ import annotations\n" if sys.version_info < (3, 14) else ""
    exec(compile(future + source, "app.py", "exec", dont_inherit=True), namespace)
    Handler(namespace["show"]).check("/path", "request")


def test_arguments_that_fit_or_that_nobody_knows_are_not() -> None:
    Handler(on_the_loop).check("/path", "request", named=["number"])
    Handler(lambda request, **params: None).check("/path", "request", named=["number", "name"])
    Handler(dict).check("/path", "request", named=["number"])


@pytest.mark.parametrize(
    ("result", "content_type", "body"),
    [
        ("grün", "text/plain; charset=utf-8", "grün".encode()),
        (b"\0", "application/octet-stream", b"\0"),
        ({"a": 1}, "application/json", b'{"a":1}'),
        ([1, None], "application/json", b"[1,null]"),
    ],
)
def test_plain_values_become_responses(result: Any, content_type: str, body: bytes) -> None:
    response = to_response(result, Handler(plain))
    assert (response.status, response.headers["Content-Type"], response.body) == (200, content_type, body)


def test_a_response_stays_as_it_is() -> None:
    response = Response.empty()
    assert to_response(response, Handler(plain)) is response


@pytest.mark.parametrize("result", [1, 1.5, True, object(), {1, 2}])
def test_anything_else_is_a_mistake_that_names_the_function(result: object) -> None:
    kind = type(result).__name__
    with pytest.raises(
        TypeError, match=rf"plain returned {kind}; return a Response, .* \(.*test_handlers\.py:\d+\)"
    ):
        to_response(result, Handler(plain))


def test_a_tuple_is_told_where_the_status_goes() -> None:
    with pytest.raises(TypeError, match=r"returned tuple; another status .* Response\.json\(.*status=201\)"):
        to_response(({}, 201), Handler(plain))


def test_a_coroutine_was_not_awaited() -> None:
    with pytest.raises(TypeError, match=r"returned coroutine; make it `async def` .*request\.blocking\.json"):
        to_response(on_the_loop(None, 1), Handler(plain))  # type: ignore[arg-type]
