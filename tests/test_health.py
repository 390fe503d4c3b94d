"""/healthz and /readyz in front of an application."""

from __future__ import annotations

from pierhead import App, WebSocket
from pierhead.health import Health
from pierhead.interfaces.native import NativeApplication
from pierhead.testing import Client


class Worker:
    """Says whether it takes requests."""

    ready = True


def client(worker: Worker, health_path: str = "/healthz", ready_path: str = "/readyz") -> Client:
    app = App()

    @app.get("/healthz")
    async def own(request: object) -> str:
        return "the application's own"

    health = Health(NativeApplication(app), lambda: worker.ready, health_path, ready_path)
    return Client(health, health_path="", ready_path="")


def test_a_worker_that_takes_requests_is_healthy_and_ready() -> None:
    with client(Worker()) as ask:
        for path in ("/healthz", "/readyz", "/readyz?verbose"):
            response = ask.get(path)
            assert response.status == 200, path
            assert response.headers["Cache-Control"] == "no-store"
        assert ask.head("/healthz").status == 200


def test_a_worker_that_stops_is_healthy_but_not_ready() -> None:
    worker = Worker()
    worker.ready = False
    with client(worker) as ask:
        assert ask.get("/healthz").status == 200
        response = ask.get("/readyz")
        assert response.status == 503
        assert response.headers["Retry-After"] == "1"


def test_other_methods_are_told_which_there_are() -> None:
    with client(Worker()) as ask:
        response = ask.post("/readyz")
        assert response.status == 405
        assert response.headers["Allow"] == "GET, HEAD"


def test_other_paths_are_the_applications() -> None:
    with client(Worker()) as ask:
        assert ask.get("/healthz/").status == 404


def test_an_application_gets_its_own_route_when_the_path_is_given_up() -> None:
    with client(Worker(), health_path="") as ask:
        assert ask.get("/healthz").text == "the application's own"
        assert ask.get("/readyz").status == 200
    with client(Worker(), health_path="/live") as ask:
        assert ask.get("/healthz").text == "the application's own"
        assert ask.get("/live").text == "ok\n"


def test_websockets_are_the_applications_even_there() -> None:
    app = App()

    @app.websocket("/healthz")
    async def greet(socket: WebSocket) -> None:
        await socket.send("hello")

    application = Health(NativeApplication(app), lambda: True, "/healthz", "/readyz")
    assert application.name == app.name
    with Client(application) as ask, ask.websocket("/healthz") as socket:
        assert socket.receive() == "hello"
