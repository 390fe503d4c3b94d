"""Exceptions: handlers by class, problem details by default, and nothing that leaks or gets lost."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from pierhead import App, HTTPError, Request, Response, WebSocket, WebSocketClosed
from pierhead.testing import Client, WebSocketRejected


class OutOfStock(LookupError):
    pass


class Exhausted(OutOfStock):
    pass


def raising(app: App, error: Exception, path: str = "/") -> App:
    @app.get(path)
    async def fail(request: Request) -> str:
        raise error

    return app


def test_an_http_error_becomes_problem_details() -> None:
    error = HTTPError(409, "sold out", headers={"Retry-After": "60"}, type="https://x.test/sold", left=0)
    with Client(raising(App(), error)) as client:
        response = client.get("/")
    assert (response.status, response.headers["Retry-After"]) == (409, "60")
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json() == {
        "type": "https://x.test/sold",
        "title": "Conflict",
        "status": 409,
        "detail": "sold out",
        "left": 0,
    }


def test_an_unhandled_exception_is_a_logged_500_that_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with Client(raising(App(), ValueError("secret of the database"), "/a b".replace(" ", ""))) as client:
        response = client.get("/ab?token=secret", headers={"X-Request-Id": "r1"})
    assert response.status == 500
    assert response.json() == {"type": "about:blank", "title": "Internal Server Error", "status": 500}
    [record] = [record for record in caplog.records if record.name == "pierhead.app"]
    assert record.getMessage().startswith("GET /ab [")
    assert record.getMessage().endswith("]: unhandled exception")
    assert "secret of the database" in caplog.text
    assert "token" not in record.getMessage()
    assert record.levelno == logging.ERROR


def test_with_debug_it_shows_the_traceback() -> None:
    with Client(raising(App(debug=True), ValueError("bad value"))) as client:
        problem = client.get("/").json()
    assert problem["detail"] == "ValueError: bad value"
    assert any("raise error" in line for line in problem["traceback"])


def test_the_most_specific_handler_answers() -> None:
    app = raising(
        raising(raising(App(), Exhausted("tea")), OutOfStock("milk"), "/milk"), KeyError("x"), "/key"
    )

    @app.exception(LookupError)
    async def lookup(request: Request, error: LookupError) -> Response:
        return Response.text(f"lookup {error}", 500)

    @app.exception(OutOfStock)
    def out_of_stock(request: Request, error: OutOfStock) -> str:
        return f"no {error}"

    with Client(app) as client:
        assert client.get("/").text == "no tea"
        assert client.get("/milk").text == "no milk"
        assert client.get("/key").text == "lookup 'x'"


def test_a_handler_that_returns_none_leaves_it_to_the_next() -> None:
    app = raising(App(), OutOfStock("tea"))
    asked = []

    @app.exception(OutOfStock)
    async def special(request: Request, error: OutOfStock) -> None:
        asked.append("special")

    @app.exception(Exception)
    async def general(request: Request, error: Exception) -> str | None:
        asked.append("general")
        return None if request.query.get("pass") else "general"

    with Client(app) as client:
        assert client.get("/").text == "general"
        assert client.get("/?pass=1").status == 500
    assert asked == ["special", "general"] * 2


def test_pages_for_404_and_405_are_handlers_of_http_error() -> None:
    app = raising(App(), HTTPError(418))

    @app.exception(HTTPError)
    async def page(request: Request, error: HTTPError) -> Response | None:
        if error.status not in {404, 405}:
            return None
        return Response.html(f"<h1>{error.title}</h1>", error.status, error.headers)

    with Client(app) as client:
        assert client.get("/nothing").text == "<h1>Not Found</h1>"
        response = client.post("/")
        assert (response.text, response.headers["Allow"]) == (
            "<h1>Method Not Allowed</h1>",
            "GET, HEAD, OPTIONS",
        )
        assert client.get("/").status == 418


def test_exceptions_of_endpoints_predicates_and_converters_are_handled_too() -> None:
    app = App()

    def convert(text: str) -> str:
        raise OutOfStock("converter")

    def when(request: Request) -> bool:
        if request.path == "/when":
            raise OutOfStock("when")
        return True

    @app.endpoint(when=when)
    async def endpoint(request: Request) -> None:
        if request.path == "/endpoint":
            raise OutOfStock("endpoint")

    app.converter("odd", convert)

    @app.get("/odd/{value:odd}")
    async def odd(request: Request, value: str) -> str:
        return value

    @app.exception(OutOfStock)
    async def handle(request: Request, error: OutOfStock) -> str:
        return str(error)

    with Client(app) as client:
        assert client.get("/when").text == "when"
        assert client.get("/endpoint").text == "endpoint"
        assert client.get("/odd/1").text == "converter"


def test_a_handler_that_fails_is_a_500_that_logs_both(caplog: pytest.LogCaptureFixture) -> None:
    app = raising(App(), OutOfStock("tea"))

    @app.exception(OutOfStock)
    async def handle(request: Request, error: OutOfStock) -> str:
        raise RuntimeError("and the handler too")

    with Client(app) as client:
        assert client.get("/").status == 500
    assert "OutOfStock: tea" in caplog.text
    assert "RuntimeError: and the handler too" in caplog.text


def test_a_handler_may_raise_an_http_error() -> None:
    app = raising(App(), OutOfStock("tea"))

    @app.exception(OutOfStock)
    async def handle(request: Request, error: OutOfStock) -> str:
        raise HTTPError(410, "gone") from error

    with Client(app) as client:
        assert client.get("/").status == 410


@pytest.mark.parametrize("result", [object(), 3, {1: object()}, {"x": float("nan")}])
def test_a_result_that_cannot_be_sent_is_a_logged_500(caplog: pytest.LogCaptureFixture, result: Any) -> None:
    app = App()

    @app.get("/")
    async def index(request: Request) -> Any:
        return result

    with Client(app) as client:
        assert client.get("/").status == 500
    assert "unhandled exception" in caplog.text


def test_a_problem_that_json_cannot_have_is_a_logged_500(caplog: pytest.LogCaptureFixture) -> None:
    with Client(raising(App(), HTTPError(409, left=object()))) as client:
        assert client.get("/").status == 500
    assert "its error response cannot be made" in caplog.text


def test_an_http_error_before_the_handshake_rejects_a_websocket() -> None:
    app = App()

    @app.websocket("/{room}")
    async def chat(socket: WebSocket, room: str) -> None:
        if room == "closed":
            raise HTTPError(403, "closed")
        if room == "stock":
            raise OutOfStock("tea")
        raise RuntimeError

    @app.exception(OutOfStock)
    async def handle(request: Request, error: OutOfStock) -> Response:
        return Response.problem(409, str(error))

    with Client(app) as client:
        for path, status in (("/closed", 403), ("/stock", 409), ("/other", 500), ("/a/b", 404)):
            with pytest.raises(WebSocketRejected) as rejected, client.websocket(path):
                pass
            assert rejected.value.response.status == status


def test_after_the_handshake_it_closes_with_1011_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    asked = []

    @app.websocket("/")
    async def chat(socket: WebSocket) -> None:
        await socket.accept()
        raise HTTPError(403)

    @app.exception(Exception)
    async def handle(request: Request, error: Exception) -> str:
        asked.append(error)
        return "nobody would see it"

    with Client(app) as client, client.websocket("/") as socket:
        with pytest.raises(WebSocketClosed):
            socket.receive()
        assert socket.close_code == 1011
    assert not asked
    assert "WebSocket handler failed" in caplog.text


def test_cancelling_is_never_swallowed() -> None:
    app = App()
    cancelled = []

    @app.get("/")
    async def slow(request: Request) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            cancelled.append(error)
            raise
        return ""

    @app.exception(Exception)
    async def handle(request: Request, error: Exception) -> str:
        raise AssertionError("a cancelled request has no exception to handle")

    with Client(app, handler_timeout_s=0.05) as client:
        assert client.get("/").status == 504
    assert len(cancelled) == 1


def test_what_cannot_be_a_handler_is_refused() -> None:
    app = App()

    async def right(request: Request, error: Exception) -> str:
        return ""

    async def wrong(request: Request) -> str:
        return ""

    with pytest.raises(
        TypeError, match="an exception handler is for a subclass of Exception, not <class 'BaseE"
    ):
        app.exception(BaseException)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="for a subclass of Exception, not 404"):
        app.exception(404)  # type: ignore[arg-type]
    with pytest.raises(
        TypeError, match=r"the handler of ValueError: .*wrong cannot be called with \(request, error"
    ):
        app.exception(ValueError)(wrong)
    app.exception(ValueError)(right)
    with pytest.raises(ValueError, match=r"ValueError has a handler already: .*right"):
        app.exception(ValueError)(right)
