"""NativeApplication: never raises, whatever the App does, and does not wait where the App does not."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

import pytest

from pierhead import App, ClientDisconnected, Headers, HTTPError, Request, Response, WebSocket
from pierhead.interfaces.native import NativeApplication
from pierhead.testing import Client

T = TypeVar("T")
LIMIT_S = 60.0


def step(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that must not wait, without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise AssertionError("it waits")


def get(path: str = "/", method: str = "GET") -> Request:
    return Request(method, path, Headers())


def respond(app: App, request: Request | None = None) -> Response:
    return step(NativeApplication(app).respond(request or get()))


def test_a_handler_that_does_not_wait_needs_no_event_loop() -> None:
    app = App()

    @app.endpoint
    async def before(request: Request) -> None: ...

    @app.get("/")
    async def index(request: Request) -> str:
        return "hello"

    @app.get("/{number:int}")
    async def show(request: Request, number: int) -> dict[str, int]:
        return {"number": number}

    @app.endpoint(priority=-1)
    async def after(request: Request) -> None: ...

    site = App()
    site.mount("/app", app)
    assert respond(app).body == b"hello"
    assert respond(app, get("/7")).body == b'{"number":7}'
    assert respond(site, get("/app/7")).body == b'{"number":7}'
    assert respond(site, get("/nothing")).status == 404
    assert respond(app, get("/", "PUT")).status == 405


def test_a_response_of_a_handler_is_sent_as_it_is() -> None:
    app = App()
    response = Response.text("hello")

    @app.get("/")
    async def index(request: Request) -> Response:
        return response

    assert respond(app) is response


@pytest.mark.parametrize(
    ("error", "status"),
    [(HTTPError(404), 404), (ValueError(), 500), (ClientDisconnected("gone"), 400), (TimeoutError(), 500)],
)
def test_an_exception_becomes_a_response(error: Exception, status: int) -> None:
    app = App()

    @app.get("/")
    async def index(request: Request) -> Response:
        raise error

    assert respond(app).status == status


def test_a_client_that_went_away_is_no_failure_of_the_application(caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.get("/")
    async def index(request: Request) -> Response:
        raise ClientDisconnected("gone")

    respond(app)
    assert not caplog.records


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt(), SystemExit(3)])
def test_what_is_no_exception_is_raised(error: BaseException) -> None:
    app = App()

    @app.get("/")
    async def index(request: Request) -> Response:
        raise error

    with pytest.raises(type(error)):
        respond(app)


async def test_that_holds_for_threads_too() -> None:
    app = App()

    @app.get("/")
    def index(request: Request) -> Response:
        raise GeneratorExit

    application = NativeApplication(app)
    await application.start()
    with pytest.raises(GeneratorExit):
        await application.respond(get())
    await application.stop()


def test_conditional_requests_are_answered_from_validators_of_the_app() -> None:
    app = App()

    @app.get("/")
    async def index(request: Request) -> Response:
        return Response.text("hello", headers={"ETag": '"1"'})

    assert respond(app, Request("GET", "/", Headers({"If-None-Match": '"1"'}))).status == 304
    assert respond(app, Request("GET", "/", Headers({"If-None-Match": '"2"'}))).status == 200


def test_handler_timeout_is_504_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    app = App("slow", handler_timeout_s=0.01)

    @app.get("/wait")
    async def wait(request: Request) -> str:
        await asyncio.Event().wait()
        return ""

    @app.get("/own")
    async def own(request: Request) -> str:
        raise TimeoutError("of the application itself")

    @app.exception(TimeoutError)
    async def handle(request: Request, error: TimeoutError) -> str:
        return f"handled {error}"

    with Client(app) as client:
        response = client.get("/wait")
        assert (response.status, response.json()["detail"]) == (504, "the application did not answer in time")
        assert "took longer than the handler_timeout_s=0.01 of slow" in caplog.text
        assert client.get("/own").text == "handled of the application itself"


def test_a_route_has_limits_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.post("/note", max_body_bytes=4)
    async def note(request: Request) -> bytes:
        return await request.body()

    @app.post("/elsewhere")
    async def elsewhere(request: Request) -> bytes:
        return await request.body()

    @app.get("/wait/{number:int}", handler_timeout_s=0.01)
    async def wait(request: Request, number: int) -> str:
        await asyncio.Event().wait()
        return ""

    @app.get("/thread", handler_timeout_s=60)
    def thread(request: Request) -> str:
        return "in time"

    with Client(app) as client:
        assert client.post("/note", content=b"1234").text == "1234"
        assert client.post("/note", content=b"12345").status == 413
        assert client.post("/elsewhere", content=b"12345").status == 200
        assert client.get("/wait/1").status == 504
        assert "took longer than the handler_timeout_s=0.01 of tests.interfaces.test_native" in caplog.text
        assert client.get("/thread").text == "in time"
    with pytest.raises(ValueError, match="handler_timeout_s is a number greater than 0"):
        app.get("/never", handler_timeout_s=0)


async def test_a_thread_whose_request_is_cancelled_goes_on_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()
    began, go = threading.Event(), threading.Event()

    @app.get("/report")
    def report(request: Request) -> str:
        began.set()
        go.wait(LIMIT_S)
        return "done"

    application = NativeApplication(app, threads=1)
    await application.start()
    task = asyncio.create_task(application.respond(get("/report")))
    assert await asyncio.to_thread(began.wait, LIMIT_S)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert caplog.messages[0].endswith("report goes on in its thread: its request was given up")
    go.set()
    await application.stop()
    assert "report ended in its thread after" in caplog.messages[1]


async def test_threads_are_limited() -> None:
    app = App()
    running = most = 0
    lock = threading.Lock()
    meeting = threading.Barrier(3, timeout=LIMIT_S)

    @app.get("/")
    def index(request: Request) -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        meeting.wait()
        with lock:
            running -= 1
        return ""

    application = NativeApplication(app, threads=3)
    await application.start()
    await asyncio.gather(*(application.respond(get()) for _ in range(9)))
    await application.stop()
    assert most == 3


async def test_context_variables_reach_threads_and_do_not_come_back() -> None:
    app = App()
    user: contextvars.ContextVar[str] = contextvars.ContextVar("user", default="nobody")

    @app.endpoint
    async def login(request: Request) -> None:
        user.set("ada")

    @app.get("/")
    def index(request: Request) -> str:
        name = user.get()
        user.set("eve")
        return name

    @app.get("/async")
    async def on_the_loop(request: Request) -> str:
        return user.get()

    application = NativeApplication(app)
    await application.start()
    for path in ("/", "/async"):
        response = await asyncio.create_task(application.respond(get(path)), context=contextvars.Context())
        assert response.body == b"ada"
    assert user.get() == "nobody"
    await application.stop()


async def test_max_body_bytes_counts_bodies_of_unknown_length() -> None:
    class Reader:
        trailers = Headers()
        pieces = (b"12345", b"67890", b"1", b"")

        def __init__(self) -> None:
            self._pieces = iter(self.pieces)

        async def read(self) -> bytes:
            return next(self._pieces)

    app = App(max_body_bytes=10)
    got = []

    @app.post("/")
    async def read(request: Request) -> str:
        assert list(request.trailers) == []
        async for piece in request.stream():
            got.append(piece)
        return "all"

    response = await NativeApplication(app).respond(Request("POST", "/", Headers(), reader=Reader()))
    assert (response.status, got) == (413, [b"12345", b"67890"])


class Channel:
    """The far end of a WebSocket, which notes what it is told."""

    def __init__(self) -> None:
        self.rejected: Response | None = None

    async def accept(self, subprotocol: str | None, headers: Any) -> None: ...

    async def reject(self, response: Response) -> None:
        self.rejected = response

    async def disconnect(self) -> None: ...

    async def receive(self) -> str | bytes:
        return ""

    async def send(self, message: str | bytes) -> None: ...

    async def ping(self, payload: bytes) -> None: ...

    async def close(self, code: int, reason: str) -> None: ...


def converse(app: App, path: str) -> Channel:
    channel = Channel()
    step(NativeApplication(app).converse(WebSocket(get(path), channel)))
    return channel


def test_websocket_handlers_get_their_parameters() -> None:
    app = App()
    seen = []

    @app.websocket("/room/{number:int}")
    async def room(socket: WebSocket, number: int) -> None:
        seen.append((number, socket.request.params, socket.request.app))

    assert converse(app, "/room/7").rejected is None
    assert seen == [(7, {"number": 7}, app)]
    rejected = converse(app, "/room/x").rejected
    assert rejected is not None
    assert rejected.status == 404


def test_a_failure_after_the_handshake_is_the_transports() -> None:
    app = App()

    @app.websocket("/")
    async def chat(socket: WebSocket) -> None:
        await socket.accept()
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        converse(app, "/")


def test_what_an_endpoint_adds_is_in_a_rejection_too() -> None:
    app = App()

    @app.endpoint
    async def add(request: Request) -> Response | None:
        request.response_headers["X-Seen"] = "1"
        return Response.empty() if request.path == "/closed" else None

    for path in ("/closed", "/nothing"):
        rejected = converse(app, path).rejected
        assert rejected is not None
        assert rejected.headers["X-Seen"] == "1"


def test_its_name_is_that_of_the_app() -> None:
    assert NativeApplication(App("shop")).name == "shop"


def test_failures_are_logged_with_the_whole_path(caplog: pytest.LogCaptureFixture) -> None:
    site, shop = App(), App()

    @shop.get("/{name}")
    async def fail(request: Request, name: str) -> str:
        raise LookupError

    site.mount("/shop", shop)
    with caplog.at_level(logging.ERROR):
        respond(site, Request("GET", "/shop/a%0Ab", Headers(), id="r7"))
    assert caplog.messages == ["GET /shop/a%0Ab [r7]: unhandled exception"]


async def stream() -> AsyncIterator[bytes]:
    yield b""


@pytest.mark.parametrize(
    "make", [lambda: Response.stream(stream()), lambda: Response.empty(), lambda: Response.redirect("/")]
)
def test_every_kind_of_response_takes_additions(make: Callable[[], Response]) -> None:
    app = App()

    @app.endpoint
    async def add(request: Request) -> None:
        request.response_headers["X-Seen"] = "1"

    @app.get("/")
    async def index(request: Request) -> Response:
        return make()

    response = respond(app)
    assert response.headers["X-Seen"] == "1"
    assert response.status == make().status
