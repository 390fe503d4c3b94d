"""Endpoints: priorities, conditions, and what they add to the responses of others."""

from __future__ import annotations

from typing import Any

import pytest

from pierhead import App, HTTPError, Request, Response, WebSocket
from pierhead.testing import Client, WebSocketRejected


def test_they_are_tried_from_high_to_low_priority_the_router_after_zero() -> None:
    app = App()
    asked: list[str] = []

    def note(name: str, answer: str | None = None) -> Any:
        async def endpoint(request: Request) -> str | None:
            asked.append(name)
            return answer

        return endpoint

    app.endpoint(priority=-1)(note("after"))
    app.endpoint()(note("zero, first"))
    app.endpoint(priority=10)(note("ten"))
    app.endpoint(note("zero, second"))
    app.endpoint(priority=-2)(note("last", "last"))
    app.get("/")(note("route"))
    with Client(app) as client:
        assert client.get("/").text == "last"
    assert asked == ["ten", "zero, first", "zero, second", "route", "after", "last"]


def test_the_first_that_answers_ends_it() -> None:
    app = App()

    @app.endpoint(priority=1)
    def maintenance(request: Request) -> Response | None:
        if request.query.get("closed"):
            return Response.problem(503, "closed for maintenance")
        return None

    @app.get("/")
    async def index(request: Request) -> str:
        return "open"

    with Client(app) as client:
        assert client.get("/").text == "open"
        assert client.get("/?closed=1").status == 503


def test_when_tells_whether_it_is_tried() -> None:
    app = App()

    @app.endpoint(when=lambda request: request.path.startswith("/admin"))
    async def admin(request: Request) -> str:
        return "admin"

    @app.get("/{name}")
    async def page(request: Request, name: str) -> str:
        return name

    with Client(app) as client:
        assert client.get("/admin").text == "admin"
        assert client.get("/other").text == "other"


def test_one_after_the_router_answers_unknown_paths_but_not_wrong_methods() -> None:
    app = App()

    @app.endpoint(priority=-1)
    async def page_of_the_single_page_application(request: Request) -> Response:
        return Response.html("<div id=app>")

    @app.get("/api")
    async def api(request: Request) -> str:
        return "api"

    with Client(app) as client:
        assert client.get("/some/page").text == "<div id=app>"
        assert client.get("/api").text == "api"
        assert client.post("/api").status == 405


def test_one_may_add_fields_cookies_and_state_and_pass_on() -> None:
    app = App()

    @app.endpoint(priority=5)
    async def session(request: Request) -> None:
        request.state.user = "ada"
        request.response_headers["X-Frame-Options"] = "DENY"
        request.response_headers["Vary"] = "Cookie"
        request.response_headers["Content-Type"] = "text/wrong"
        request.set_cookie("session", "s1", httponly=True)

    @app.get("/")
    async def index(request: Request) -> Response:
        response = Response.text(request.state.user, headers={"Vary": "Accept"})
        response.set_cookie("seen", "1")
        return response

    @app.get("/refused")
    async def refused(request: Request) -> Response:
        raise HTTPError(403)

    @app.get("/broken")
    async def broken(request: Request) -> Response:
        raise LookupError

    with Client(app) as client:
        response = client.get("/")
        assert response.text == "ada"
        assert response.headers.getlist("Vary") == ["Accept", "Cookie"]
        assert response.headers.getlist("Content-Type") == ["text/plain; charset=utf-8"]
        cookies = [value.partition(";")[0] for value in response.headers.getlist("Set-Cookie")]
        assert cookies == ["seen=1", "session=s1"]
        for path, status in (("/refused", 403), ("/broken", 500), ("/nothing", 404)):
            response = client.get(path)
            assert (response.status, response.headers["X-Frame-Options"]) == (status, "DENY")
            assert response.headers["Set-Cookie"].startswith("session=s1")
            assert response.headers.getlist("Content-Type") == ["application/problem+json"]


def test_a_response_that_is_sent_again_keeps_nothing_of_the_requests_before() -> None:
    app = App()
    always_the_same = Response.text("hello")

    @app.endpoint
    async def count(request: Request) -> None:
        request.set_cookie("for", request.query["name"])

    @app.get("/")
    async def index(request: Request) -> Response:
        return always_the_same

    with Client(app) as client:
        for name in ("ada", "eve"):
            assert len(client.get(f"/?name={name}").headers.getlist("Set-Cookie")) == 1
    assert "Set-Cookie" not in always_the_same.headers


def test_an_endpoint_may_answer_the_opening_of_a_websocket() -> None:
    app = App()

    @app.endpoint(priority=1)
    async def only_users(request: Request) -> None:
        if request.basic_auth is None:
            raise HTTPError(401, headers={"WWW-Authenticate": 'Basic realm="users"'})

    @app.endpoint(priority=1, when=lambda request: request.query.get("room") == "full")
    async def full(request: Request) -> Response:
        return Response.problem(503, "the room is full")

    @app.websocket("/chat")
    async def chat(socket: WebSocket) -> None:
        await socket.send("welcome")

    with Client(app) as client:
        with pytest.raises(WebSocketRejected) as rejected, client.websocket("/chat"):
            pass
        assert rejected.value.response.status == 401
        assert "WWW-Authenticate" in rejected.value.response.headers
        user = {"Authorization": "Basic YWRhOnNlY3JldA=="}
        with pytest.raises(WebSocketRejected) as rejected, client.websocket("/chat?room=full", headers=user):
            pass
        assert rejected.value.response.status == 503
        with client.websocket("/chat", headers=user) as socket:
            assert socket.receive() == "welcome"


def test_what_one_adds_is_in_the_response_that_opens_a_websocket() -> None:
    app = App()

    @app.endpoint
    async def session(request: Request) -> None:
        request.set_cookie("session", "s1")

    @app.websocket("/chat")
    async def chat(socket: WebSocket) -> None:
        await socket.accept(headers={"X-Room": "lobby"})

    with Client(app) as client, client.websocket("/chat") as socket:
        assert socket.headers["Set-Cookie"].startswith("session=s1")
        assert socket.headers["X-Room"] == "lobby"


def test_what_cannot_be_an_endpoint_is_refused() -> None:
    app = App()

    async def wrong(request: Request, name: str) -> None: ...

    async def later(request: Request) -> bool:
        return True

    async def right(request: Request) -> None: ...

    with pytest.raises(TypeError, match=r"an endpoint: .*wrong cannot be called with \(request\)"):
        app.endpoint(wrong)
    with pytest.raises(TypeError, match="right: `when` is a `def` function; await in the endpoint instead"):
        app.endpoint(when=later)(right)  # type: ignore[arg-type]
