"""The lifespan: an application starts before its first request, or the server does not."""

from __future__ import annotations

import asyncio

import pytest

from pierhead.interfaces.asgi import ASGIApplication
from pierhead.interfaces.asgi.lifespan import Lifespan, LifespanError
from pierhead.interfaces.asgi.scope import Receive, Scope, Send
from pierhead.testing import Client

from .support import body, start


class Recorder:
    """An application that notes what happens to it; `answers` are what it says to startup and shutdown."""

    def __init__(self, startup: str = "complete", shutdown: str = "complete") -> None:
        self.answers = {"lifespan.startup": startup, "lifespan.shutdown": shutdown}
        self.log: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.log.append(scope["state"]["pool"])
            await send(start())
            await send(body())
            return
        assert scope["asgi"] == {"version": "3.0", "spec_version": "2.0"}
        scope["state"]["pool"] = "the pool"
        for _ in range(2):
            kind = (await receive())["type"]
            self.log.append(kind)
            await send({"type": f"{kind}.{self.answers[kind]}", "message": "no database"})
        self.log.append("returned")


def test_startup_state_and_shutdown() -> None:
    app = Recorder()
    with Client(app) as client:
        assert client.get("/").status == 200
    assert app.log == ["lifespan.startup", "the pool", "lifespan.shutdown", "returned"]


def test_a_startup_that_fails_is_a_failed_start() -> None:
    app = Recorder(startup="failed")
    with pytest.raises(LifespanError, match="the startup of app failed: no database"), Client(app):
        pass
    assert app.log == ["lifespan.startup"]


async def test_a_shutdown_that_fails_is_raised() -> None:
    application = ASGIApplication(Recorder(shutdown="failed"), name="shop")
    await application.start()
    with pytest.raises(LifespanError, match="the shutdown of shop failed: no database"):
        await application.stop()


async def test_an_application_that_raises_has_no_lifespan(caplog: pytest.LogCaptureFixture) -> None:
    async def http_only(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError("only HTTP")

    application = ASGIApplication(http_only)
    await application.start()
    await application.stop()
    assert not caplog.records


async def test_one_that_raises_in_its_startup_is_served_but_told_of(caplog: pytest.LogCaptureFixture) -> None:
    async def careless(scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        await send(start() if message["type"] else body())

    application = ASGIApplication(careless)
    await application.start()
    await application.stop()
    assert "has no lifespan" in caplog.text
    assert "the server does not expect it in a lifespan" in str(caplog.records[0].exc_info)


async def test_what_goes_wrong_later_is_raised_at_the_end() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        raise ValueError("broken")

    lifespan = Lifespan(app, "shop")
    await lifespan.start()
    with pytest.raises(ValueError, match="broken"):
        await lifespan.stop()


async def test_a_start_that_is_given_up_ends_the_application() -> None:
    cancelled = asyncio.Event()
    entered = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        entered.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.set()

    starting = asyncio.ensure_future(Lifespan(slow, "shop").start())
    await entered.wait()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert cancelled.is_set()


async def test_an_application_may_return_after_its_startup(caplog: pytest.LogCaptureFixture) -> None:
    async def brief(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})

    lifespan = Lifespan(brief, "shop")
    await lifespan.start()
    await lifespan.stop()
    assert not caplog.records
