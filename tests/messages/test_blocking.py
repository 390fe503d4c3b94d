"""The body in a worker thread: the same readers, without await."""

from __future__ import annotations

import asyncio

import pytest

from pierhead.errors import HTTPError
from pierhead.messages.body import BodyReader
from pierhead.messages.headers import Headers
from pierhead.messages.request import Request
from tests.messages.support import Pieces, get, post


async def test_the_readers_wait_in_their_thread() -> None:
    def handler(request: Request) -> tuple[bytes, str, object]:
        return request.blocking.body(), request.blocking.text(), request.blocking.json()

    request = post([b"[1", b", 2]"], "application/json")
    assert await asyncio.to_thread(handler, request) == (b"[1, 2]", "[1, 2]", [1, 2])


async def test_a_form() -> None:
    request = post(b"a=1", "application/x-www-form-urlencoded")
    form = await asyncio.to_thread(lambda: request.blocking.form())
    assert form["a"] == "1"


async def test_a_stream() -> None:
    request = post([b"a", b"b"])
    assert await asyncio.to_thread(lambda: list(request.blocking.stream())) == [b"a", b"b"]


async def test_errors_are_those_of_the_request() -> None:
    request = post(b"{", "application/json")
    with pytest.raises(HTTPError, match="400"):
        await asyncio.to_thread(lambda: request.blocking.json())


async def test_on_the_loop_the_fix_is_named() -> None:
    request = post(b"{}", "application/json")
    with pytest.raises(RuntimeError, match=r"write `await request\.json\(\)`"):
        request.blocking.json()
    with pytest.raises(RuntimeError, match=r"write `async for piece in request\.stream\(\)`"):
        next(request.blocking.stream())


def test_a_request_without_a_body_needs_no_loop() -> None:
    assert get().blocking.body() == b""
    assert list(get().blocking.stream()) == []


def test_a_body_without_a_loop_says_so() -> None:
    reader: BodyReader = Pieces(b"x")
    request = Request("POST", "/", Headers(), reader=reader)
    with pytest.raises(RuntimeError, match="created outside of one"):
        request.blocking.body()


def test_a_loop_that_is_gone_says_so() -> None:
    async def make() -> Request:
        return post(b"x")

    request = asyncio.run(make())
    with pytest.raises(RuntimeError, match="closed"):
        request.blocking.body()
