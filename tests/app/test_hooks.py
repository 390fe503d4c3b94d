"""Hooks: in order, undone in reverse, and what happens when one of them fails."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from pierhead import App, Request
from pierhead.interfaces.native import NativeApplication
from pierhead.testing import Client


def run(app: App) -> None:
    """Start and stop it, as a master and one worker do."""
    application = NativeApplication(app)
    application.start_master()
    try:

        async def work() -> None:
            await application.start()
            await application.stop()

        asyncio.run(work())
    finally:
        application.stop_master()


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def note(log: list[str]) -> Callable[..., Callable[[], None]]:
    """Make a hook that notes that it ran, and fails if it is told to."""

    def make(name: str, error: Exception | None = None) -> Callable[[], None]:
        def hook() -> None:
            log.append(name)
            if error is not None:
                raise error

        return hook

    return make


def test_they_run_in_order_and_are_undone_in_reverse(log: list[str], note: Any) -> None:
    app = App()
    app.on_start(per="master")(note("master starts"))
    app.on_stop(per="master")(note("master stops"))
    app.on_start(note("start 1"))
    app.on_stop(note("stop 1"))

    @app.lifespan
    async def pool(app: App) -> AsyncIterator[None]:
        log.append("pool opens")
        yield
        log.append("pool closes")

    app.on_start()(note("start 2"))
    app.on_stop(per="worker")(note("stop 2"))
    run(app)
    assert log == [
        "master starts",
        "start 1",
        "pool opens",
        "start 2",
        "stop 2",
        "pool closes",
        "stop 1",
        "master stops",
    ]


def test_they_may_be_async_and_take_the_application(log: list[str]) -> None:
    app = App("shop")

    @app.on_start
    async def start(app: App) -> None:
        await asyncio.sleep(0)
        app.state.began = True

    @app.on_stop
    async def stop() -> None:
        log.append(f"stopped, began: {app.state.began}")

    @app.on_start(per="master")
    def prepare(app: App) -> None:
        log.append(app.name)

    run(app)
    assert log == ["shop", "stopped, began: True"]


def test_an_argument_with_a_default_is_not_the_application(log: list[str]) -> None:
    app = App()

    @app.on_stop
    def close(timeout_s: float = 5.0) -> None:
        log.append(f"closed in {timeout_s}")

    app.on_start(dict)  # written in C: nobody knows its arguments
    run(app)
    assert log == ["closed in 5.0"]


def test_plain_hooks_run_on_the_thread_of_the_loop() -> None:
    app = App()
    threads = []
    app.on_start(lambda: threads.append((threading.current_thread(), asyncio.get_running_loop())))
    run(app)
    assert threads[0][0] is threading.current_thread()


def test_a_lifespan_may_be_a_context_manager(log: list[str]) -> None:
    app = App()

    @app.lifespan
    @contextlib.asynccontextmanager
    async def pool() -> AsyncIterator[None]:
        log.append("opens")
        yield
        log.append("closes")

    run(app)
    assert log == ["opens", "closes"]


def test_a_lifespan_sees_no_exception_of_requests(log: list[str]) -> None:
    app = App()

    @app.lifespan
    async def pool(app: App) -> AsyncIterator[None]:
        try:
            yield
        except Exception:
            log.append("exception")
            raise
        log.append("closes")

    @app.get("/")
    async def index(request: Request) -> str:
        raise LookupError

    with Client(app) as client:
        assert client.get("/").status == 500
    assert log == ["closes"]


def test_a_failed_start_undoes_what_had_started_and_nothing_else(log: list[str], note: Any) -> None:
    app = App()
    app.on_start(note("start 1"))
    app.on_stop(note("stop 1"))

    @app.lifespan
    async def pool(app: App) -> AsyncIterator[None]:
        log.append("pool opens")
        yield
        log.append("pool closes")

    app.on_start(note("start 2", RuntimeError("no database")))
    app.on_stop(note("stop 2"))
    with pytest.raises(RuntimeError, match="no database"):
        run(app)
    assert log == ["start 1", "pool opens", "start 2", "pool closes", "stop 1"]


def test_a_lifespan_that_fails_to_open_is_a_failed_start(log: list[str], note: Any) -> None:
    app = App()
    app.on_stop(note("stop"))

    @app.lifespan
    async def pool(app: App) -> AsyncIterator[None]:
        if not hasattr(app, "database"):
            raise RuntimeError("no database")
        yield

    with pytest.raises(RuntimeError, match="no database"):
        run(app)
    assert log == ["stop"]


def test_a_failed_start_in_the_master_undoes_what_had_started(log: list[str], note: Any) -> None:
    app = App()
    app.on_start(per="master")(note("start 1"))
    app.on_stop(per="master")(note("stop 1"))
    app.on_start(per="master")(note("start 2", RuntimeError("no directory")))
    app.on_start(note("worker"))
    with pytest.raises(RuntimeError, match="no directory"):
        NativeApplication(app).start_master()
    assert log == ["start 1", "start 2", "stop 1"]


def test_what_fails_while_a_failed_start_is_undone_is_logged(
    note: Any, caplog: pytest.LogCaptureFixture
) -> None:
    app = App()
    app.on_stop(note("stop", ValueError("cannot close")))
    app.on_start(note("start", RuntimeError("no database")))
    with pytest.raises(RuntimeError, match="no database"):
        run(app)
    assert "stop hook" in caplog.text
    assert "ValueError: cannot close" in caplog.text
    assert caplog.records[0].levelno == logging.ERROR


def test_a_stop_hook_that_fails_does_not_keep_the_others_from_running(log: list[str], note: Any) -> None:
    app = App()
    app.on_stop(note("last"))
    app.on_stop(note("second", LookupError("second")))
    app.on_stop(note("first"))
    with pytest.raises(LookupError, match="second") as caught:
        run(app)
    assert log == ["first", "second", "last"]
    assert caught.value.__notes__[0].startswith("(in the stop hook ")


def test_several_that_fail_are_raised_together(note: Any) -> None:
    app = App()
    app.on_stop(note("two", LookupError("two")))
    app.on_stop(note("one", ValueError("one")))
    with pytest.raises(ExceptionGroup, match="several stop hooks failed") as caught:
        run(app)
    assert [str(error) for error in caught.value.exceptions] == ["one", "two"]
    app = App()
    app.on_stop(per="master")(note("two", LookupError("two")))
    with pytest.raises(LookupError, match="two"):
        run(app)


def test_mounted_applications_start_after_and_stop_before_the_one_they_are_mounted_in(
    log: list[str], note: Any
) -> None:
    apps = {name: App(name) for name in ("site", "shop", "cart")}
    for name, app in apps.items():
        app.on_start(note(f"{name} starts"))
        app.on_stop(note(f"{name} stops"))
    apps["shop"].mount("/cart", apps["cart"])
    apps["site"].mount("/shop", apps["shop"])
    apps["site"].mount("/store", apps["shop"])  # the same application twice starts once
    run(apps["site"])
    assert log == [f"{name} starts" for name in apps] + [f"{name} stops" for name in reversed(apps)]


def test_an_application_starts_again_after_it_stopped(log: list[str], note: Any) -> None:
    app = App()
    app.on_start(note("start"))
    app.on_stop(note("stop"))

    @app.get("/")
    def index(request: Request) -> str:
        return "hello"

    client = Client(app)
    for _ in range(2):
        with client:
            assert client.get("/").text == "hello"
    assert log == ["start", "stop"] * 2


def test_a_master_must_not_leave_threads(log: list[str], note: Any) -> None:
    app = App()
    go = threading.Event()
    thread = threading.Thread(target=go.wait, name="poller")
    app.on_start(per="master")(thread.start)
    app.on_stop(per="master")(note("stop"))
    with pytest.raises(
        RuntimeError, match=r"left threads \(poller\), which workers would not have: start them in"
    ):
        NativeApplication(app).start_master()
    assert log == ["stop"]
    go.set()
    thread.join()


def test_what_cannot_be_a_hook_is_refused() -> None:
    app = App()

    async def on_the_loop() -> None: ...

    def pieces() -> Iterator[None]:
        yield

    with pytest.raises(
        TypeError, match=r"on_the_loop: the master has no event loop, its hooks are `def` functions"
    ):
        app.on_start(per="master")(on_the_loop)
    with pytest.raises(ValueError, match="a hook runs per 'worker' or per 'master', not 'request'"):
        app.on_start(per="request")(on_the_loop)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="a hook takes the application or nothing"):
        app.on_start(lambda app, other: None)
    with pytest.raises(TypeError, match="pieces yields"):
        app.on_start(pieces)
    for function in (on_the_loop, pieces):
        with pytest.raises(TypeError, match="a lifespan is an `async def` function with one `yield`"):
            app.lifespan(function)
    app.lifespan(lambda: None)
    with pytest.raises(
        TypeError, match="<lambda> returned NoneType, which is no asynchronous context manager"
    ):
        run(app)
