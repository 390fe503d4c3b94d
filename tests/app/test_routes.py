"""Routes of an App: methods, parameters, results, and what is refused when they are declared."""

from __future__ import annotations

import asyncio
import threading
import uuid
from typing import Any

import pytest

from pierhead import App, Request, Response, WebSocket
from pierhead.testing import Client


@pytest.fixture
def app() -> App:
    app = App()

    @app.get("/")
    async def index(request: Request) -> str:
        return "index"

    @app.get("/users")
    async def users(request: Request) -> list[str]:
        return ["ada"]

    @app.post("/users")
    async def create(request: Request) -> Response:
        return Response.json(await request.json(), 201)

    @app.get("/users/me")
    async def me(request: Request) -> str:
        return "me"

    @app.get("/users/{number:int}")
    async def user(request: Request, number: int) -> dict[str, Any]:
        return {"number": number, "params": request.params}

    @app.put("/users/{name}")
    async def rename(request: Request, name: str) -> dict[str, str]:
        return {"renamed": name}

    @app.websocket("/echo")
    async def echo(socket: WebSocket) -> None:
        async for message in socket:
            await socket.send(message)

    return app


def test_static_and_typed_routes(app: App) -> None:
    with Client(app) as client:
        assert client.get("/").text == "index"
        assert client.get("/users").json() == ["ada"]
        assert client.get("/users/me").text == "me"
        assert client.get("/users/7").json() == {"number": 7, "params": {"number": 7}}
        assert client.post("/users", json={"name": "eve"}).status == 201


def test_an_unknown_path_is_404_with_problem_details(app: App) -> None:
    with Client(app) as client:
        for path in ("/nothing", "/users/", "/users/ada/x", "/Users", "//users"):
            response = client.get(path)
            assert response.status == 404
            assert response.headers["Content-Type"] == "application/problem+json"
            assert response.json()["detail"] == "there is nothing at this path"
            assert "Allow" not in response.headers


def test_a_known_path_with_another_method_is_405_with_all_that_it_allows(app: App) -> None:
    with Client(app) as client:
        response = client.delete("/users")
        assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD, OPTIONS, POST")
        response = client.request("PROPFIND", "/users/7")
        assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD, OPTIONS, PUT")
        assert response.json()["detail"] == "this path does not take PROPFIND"


def test_a_value_that_does_not_convert_is_another_path(app: App) -> None:
    with Client(app) as client:
        response = client.get("/users/ada")
        assert (response.status, response.headers["Allow"]) == (405, "OPTIONS, PUT")


def test_a_more_specific_path_does_not_hide_methods_of_a_less_specific_one(app: App) -> None:
    with Client(app) as client:
        assert client.put("/users/me").json() == {"renamed": "me"}
        assert client.put("/users/7").json() == {"renamed": "7"}


def test_head_is_answered_by_get_without_a_body(app: App) -> None:
    with Client(app) as client:
        response = client.head("/users/me")
        assert (response.status, response.headers["Content-Length"], response.body) == (200, "2", b"")


def test_head_may_have_a_handler_of_its_own(app: App) -> None:
    @app.head("/users")
    async def count(request: Request) -> Response:
        return Response.empty(headers={"X-Count": "1"})

    with Client(app) as client:
        assert client.head("/users").headers["X-Count"] == "1"
        assert client.get("/users").json() == ["ada"]


def test_options_is_answered_with_allow(app: App) -> None:
    with Client(app) as client:
        response = client.options("/users")
        assert (response.status, response.headers["Allow"]) == (204, "GET, HEAD, OPTIONS, POST")
        assert client.options("/users/7").headers["Allow"] == "GET, HEAD, OPTIONS, PUT"
        assert client.options("/nothing").status == 404


def test_options_may_have_a_handler_of_its_own(app: App) -> None:
    @app.options("/users")
    async def options(request: Request) -> Response:
        return Response.text("ask for ada")

    with Client(app) as client:
        assert client.options("/users").text == "ask for ada"


def test_options_of_the_whole_server(app: App) -> None:
    admin = App("admin")

    @admin.delete("/all")
    async def delete(request: Request) -> Response:
        return Response.empty()

    app.mount("/admin", admin)
    app.mount("/", App("rest"))
    with Client(app) as client:
        response = client.options("*")
        assert (response.status, response.headers["Allow"]) == (204, "DELETE, GET, HEAD, OPTIONS, POST, PUT")


def test_a_websocket_is_no_path_for_get(app: App) -> None:
    with Client(app) as client:
        response = client.get("/echo")
        assert (response.status, response.headers["Upgrade"]) == (426, "websocket")
        assert "Upgrade" in response.headers["Connection"]
        assert client.options("/echo").headers["Allow"] == "OPTIONS"


def test_parameters_of_every_type() -> None:
    app = App()
    app.converter("slug", "[a-z-]+")
    app.converter("point", lambda text: tuple(int(part) for part in text.split(",")))

    @app.get("/{kind}/float/{value:float}")
    @app.get("/{kind}/uuid/{value:uuid}")
    @app.get("/{kind}/slug/{value:slug}")
    @app.get("/{kind}/point/{value:point}")
    @app.get("/{kind}/path/{value:path}")
    async def show(request: Request, kind: str, value: object) -> str:
        return repr(value)

    identity = uuid.uuid4()
    with Client(app) as client:
        assert client.get("/a/float/-1.5").text == "-1.5"
        assert client.get(f"/a/uuid/{identity}").text == repr(identity)
        assert client.get("/a/slug/one-two").text == "'one-two'"
        assert client.get("/a/slug/One").status == 404
        assert client.get("/a/point/1,-2").text == "(1, -2)"
        assert client.get("/a/point/1,x").status == 404
        assert client.get("/a/path/b/c%2Fd%20e").text == "'b/c/d e'"
        assert client.get("/a/path/").text == "''"
        assert client.get("/a/path/../../etc/passwd").status == 404
        assert client.get("/a/path/%2e%2e%2fetc").status == 404


def test_an_encoded_slash_is_part_of_a_parameter() -> None:
    app = App()

    @app.get("/tags/{tag}")
    async def tag(request: Request, tag: str) -> str:
        return tag

    with Client(app) as client:
        assert client.get("/tags/tcp%2Fip").text == "tcp/ip"
        assert client.get("/tags%2Ftcp").status == 404


def test_none_passes_on_to_the_next_route_that_matches() -> None:
    app = App()
    seen = []

    @app.get("/page/{number:int}")
    async def by_number(request: Request, number: int) -> str | None:
        seen.append(dict(request.params))
        return "first" if number == 1 else None

    @app.get("/page/{name}")
    async def by_name(request: Request, name: str) -> str | None:
        seen.append(dict(request.params))
        return "two" if name == "2" else None

    @app.get("/page/first")
    async def fixed(request: Request) -> None:
        seen.append(dict(request.params))

    @app.delete("/page/{rest:path}")
    async def delete(request: Request, rest: str) -> None:
        """Is not asked about GET; that there is a route that passes on makes it a 404 and no 405."""

    with Client(app) as client:
        assert client.get("/page/1").text == "first"
        assert client.get("/page/2").text == "two"
        assert client.get("/page/3").status == 404
        seen.clear()
        assert client.get("/page/first").status == 404
        assert seen == [{}, {"name": "first"}]


def test_def_handlers_run_in_a_thread_and_async_ones_on_the_loop() -> None:
    app = App()
    meeting = threading.Barrier(2, timeout=60)

    @app.get("/plain")
    def plain(request: Request) -> str:
        meeting.wait()
        return threading.current_thread().name

    @app.get("/async")
    async def on_the_loop(request: Request) -> str:
        return threading.current_thread().name

    with Client(app) as client:
        client.get("/async")
        answers: list[str] = []
        others = [
            threading.Thread(target=lambda: answers.append(client.get("/plain").text)) for _ in range(2)
        ]
        for other in others:
            other.start()
        for other in others:
            other.join()
        assert sorted(answers) == ["pierhead-1", "pierhead-2"]
        assert client.get("/async").text not in answers


def test_def_handlers_read_the_body_through_the_loop() -> None:
    app = App()

    @app.post("/sum")
    def add(request: Request) -> dict[str, int]:
        return {"sum": sum(request.blocking.json())}

    with Client(app) as client:
        assert client.post("/sum", json=[1, 2]).json() == {"sum": 3}


def test_state_is_of_one_request_also_at_the_same_time() -> None:
    app = App()
    together = asyncio.Event()
    waiting = 0

    @app.endpoint
    async def remember(request: Request) -> None:
        assert not vars(request.state)
        request.state.name = request.query.get("name")

    @app.get("/hello")
    async def hello(request: Request) -> str:
        nonlocal waiting
        waiting += 1
        if waiting == 3:
            together.set()
        await together.wait()
        name: str = request.state.name
        return name

    @app.get("/again")
    async def again(request: Request) -> list[str]:
        return sorted(vars(request.state))

    with Client(app) as client:
        names = ["ada", "bob", "eve"]
        answers: dict[str, str] = {}

        def ask(name: str) -> None:
            answers[name] = client.get(f"/hello?name={name}").text

        others = [threading.Thread(target=ask, args=[name]) for name in names]
        for other in others:
            other.start()
        for other in others:
            other.join()
        assert answers == {name: name for name in names}
        assert client.get("/again").json() == ["name"]


def test_app_state_is_there_for_every_request() -> None:
    app = App()
    app.state.greeting = "hello"

    @app.get("/")
    async def index(request: Request) -> str:
        return f"{request.app.state.greeting} {request.app.name}"

    with Client(app) as client:
        assert client.get("/").text == "hello app"


def test_what_cannot_work_is_refused_when_it_is_declared() -> None:
    app = App()

    async def show(request: Request) -> str:
        return ""

    def blocking(socket: WebSocket) -> None: ...

    with pytest.raises(TypeError, match=r"/user/\{id\}: .*show cannot be called with \(request, id=\.\.\.\)"):
        app.get("/user/{id}")(show)
    with pytest.raises(
        TypeError, match=r"/: a WebSocket handler is an `async def` function, .*blocking is not"
    ):
        app.websocket("/")(blocking)
    with pytest.raises(ValueError, match=r"/: 'get' is no method; methods are upper-case, such as 'GET'"):
        app.route("/", methods=["get"])
    with pytest.raises(ValueError, match="is no method"):
        app.route("/", methods=["GET,POST"])
    with pytest.raises(ValueError, match="/: a route has at least one method"):
        app.route("/", methods=[])
    with pytest.raises(TypeError, match=r"/: methods is a list such as \['GET'\], not text"):
        app.route("/", methods="GET")
    with pytest.raises(ValueError, match="a path begins with '/'"):
        app.get("users")
    app.get("/")(show)
    with pytest.raises(
        ValueError, match=r"GET / has a handler already: .*show at / \(.*test_routes\.py:\d+\)"
    ):
        app.get("/")(show)
    with pytest.raises(
        ValueError, match="max_body_bytes is a number greater than 0, or None for no limit, not 0"
    ):
        App(max_body_bytes=0)


def test_routes_can_be_listed(app: App) -> None:
    @app.endpoint(priority=5)
    async def guard(request: Request) -> None: ...

    @app.endpoint(priority=-5)
    async def fallback(request: Request) -> str:
        return ""

    shop = App("shop")

    @shop.route("/cart", methods=["GET", "PUT"])
    async def cart(request: Request) -> str:
        return ""

    app.mount("/shop", shop)
    listed = app.routes()
    assert [(route.pattern, route.methods) for route in listed] == [
        ("*", ("ANY",)),
        ("/", ("GET",)),
        ("/users", ("GET",)),
        ("/users", ("POST",)),
        ("/users/me", ("GET",)),
        ("/users/{number:int}", ("GET",)),
        ("/users/{name}", ("PUT",)),
        ("/echo", ("WEBSOCKET",)),
        ("/shop/cart", ("GET", "PUT")),
        ("*", ("ANY",)),
    ]
    assert (listed[0].priority, listed[-1].priority) == (5, -5)
    assert listed[8].app == "shop"
    assert str(listed[8]).startswith("GET,PUT    /shop/cart  ")
    assert str(listed[0]).endswith("guard  priority 5")
    assert listed[0].where.rpartition(":")[0] == __file__
