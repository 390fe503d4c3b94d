"""Mounts: applications in applications, each with its own paths, hooks and failures."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pierhead import App, HTTPError, Request, Response, WebSocket
from pierhead.testing import Client, WebSocketRejected


def echo_paths(name: str) -> App:
    """Make an application that says how it sees a request."""
    app = App(name)

    @app.get("/")
    @app.get("/{rest:path}")
    async def show(request: Request, rest: str = "") -> dict[str, str]:
        return {
            "app": request.app.name,
            "root_path": request.root_path,
            "path": request.path,
            "url": request.url,
            "link": request.url_for_path("/items?page=2"),
        }

    @app.websocket("/ws")
    async def ws(socket: WebSocket) -> None:
        await socket.send(f"{socket.request.root_path} {socket.request.path} {socket.request.app.name}")

    return app


def test_it_sees_paths_without_its_prefix_and_makes_links_with_it() -> None:
    app = App()
    app.mount("/shop", echo_paths("shop"))
    with Client(app) as client:
        assert client.get("/shop/cart/1?x=1").json() == {
            "app": "shop",
            "root_path": "/shop",
            "path": "/cart/1",
            "url": "http://testserver/shop/cart/1?x=1",
            "link": "/shop/items?page=2",
        }
        for target in ("/shop", "/shop/"):
            assert client.get(target).json()["path"] == "/"
        assert client.get("/shopping").status == 404
        assert client.get("/").status == 404


def test_mounts_nest() -> None:
    site, shop = App("site"), App("shop")
    shop.mount("/cart", echo_paths("cart"))
    site.mount("/shop", shop)
    with Client(site) as client:
        seen = client.get("/shop/cart/items").json()
        assert (seen["app"], seen["root_path"], seen["path"]) == ("cart", "/shop/cart", "/items")
        with client.websocket("/shop/cart/ws") as socket:
            assert socket.receive() == "/shop/cart /ws cart"
        with pytest.raises(WebSocketRejected) as rejected, client.websocket("/shop/ws"):
            pass
        assert rejected.value.response.status == 404


def test_the_longest_prefix_wins_and_routes_win_over_mounts() -> None:
    site = App("site")
    for prefix in ("/a/b", "/a", "/"):
        site.mount(prefix, echo_paths(prefix))

    @site.get("/a/route")
    async def route(request: Request) -> str:
        return request.app.name

    with Client(site) as client:
        assert client.get("/a/b/c").json()["app"] == "/a/b"
        assert client.get("/a/c").json()["app"] == "/a"
        assert client.get("/c").json()["app"] == "/"
        assert client.get("/c").json()["root_path"] == ""
        assert client.get("/a/route").text == "site"


def test_a_prefix_is_matched_decoded_and_kept_as_received() -> None:
    site = App()
    site.mount("/caf\u00e9/x", echo_paths("cafe"))
    with Client(site) as client:
        seen = client.get("/caf%C3%A9/%78/a%2Fb").json()
        assert (seen["root_path"], seen["path"]) == ("/caf%C3%A9/%78", "/a%2Fb")
        assert seen["url"] == "http://testserver/caf%C3%A9/%78/a%2Fb"


def test_a_streamed_body_still_sees_its_own_paths() -> None:
    site, events = App(), App()

    @events.get("/stream")
    async def stream(request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield request.url_for_path("/next").encode()

        return Response.stream(pieces())

    site.mount("/events", events)
    with Client(site) as client:
        assert client.get("/events/stream").text == "/events/next"


def test_its_404_and_405_are_final() -> None:
    site, shop = App(), App()

    @shop.get("/cart")
    async def cart(request: Request) -> str:
        return "cart"

    @site.get("/{rest:path}")
    @site.endpoint(priority=-1)
    async def anything(request: Request, rest: str = "") -> str:
        return "anything"

    site.mount("/shop", shop)
    # A route of the site that takes the rest of any path is less specific than the mount's prefix.
    with Client(site) as client:
        assert client.get("/shop/cart").text == "cart"
        assert client.get("/shop/nothing").status == 404
        response = client.put("/shop/cart")
        assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
        assert client.get("/other").text == "anything"


def test_endpoints_and_state_are_its_own() -> None:
    site, shop = App("site"), App("shop")
    site.state.name = "of the site"
    shop.state.name = "of the shop"
    seen = []

    @site.endpoint
    async def outside(request: Request) -> None:
        seen.append(("outside", request.app.state.name, request.path))

    @shop.endpoint
    async def inside(request: Request) -> None:
        seen.append(("inside", request.app.state.name, request.path))

    @shop.get("/cart")
    async def cart(request: Request) -> str:
        return str(request.app.state.name)

    site.mount("/shop", shop)
    with Client(site) as client:
        assert client.get("/shop/cart").text == "of the shop"
        client.get("/nothing")
    assert seen == [
        ("outside", "of the site", "/shop/cart"),
        ("inside", "of the shop", "/cart"),
        ("outside", "of the site", "/nothing"),
    ]


def test_exceptions_go_to_its_handlers_first_and_then_outwards() -> None:
    site, shop = App("site"), App("shop")

    def answer(where: str) -> str:
        return f"handled in {where}"

    @site.exception(ValueError)
    @site.exception(KeyError)
    async def outside(request: Request, error: Exception) -> str:
        return answer(f"{request.app.name} {request.root_path}{request.path}")

    @shop.exception(KeyError)
    async def inside(request: Request, error: KeyError) -> str:
        return answer(f"{request.app.name} {request.root_path} {request.path}")

    @shop.get("/{name}")
    async def fail(request: Request, name: str) -> str:
        raise {"key": KeyError, "value": ValueError}.get(name, LookupError)

    @shop.websocket("/ws")
    async def ws(socket: WebSocket) -> None:
        raise ValueError

    site.mount("/shop", shop)
    with Client(site) as client:
        assert client.get("/shop/key").text == "handled in shop /shop /key"
        assert client.get("/shop/value").text == "handled in site /shop/value"
        assert client.get("/shop/other").status == 500
        with pytest.raises(WebSocketRejected) as rejected, client.websocket("/shop/ws"):
            pass
        assert rejected.value.response.text == "handled in site /shop/ws"


def test_limits_are_its_own() -> None:
    site, shop = App(), App(max_body_bytes=10)

    async def size(request: Request) -> str:
        return str(len(await request.body()))

    site.post("/")(size)
    shop.post("/")(size)
    site.mount("/shop", shop)
    with Client(site) as client:
        assert client.post("/", content=b"x" * 11).text == "11"
        assert client.post("/shop", content=b"x" * 10).text == "10"
        assert client.post("/shop", content=b"x" * 11).status == 413
        assert client.post("/shop", content=[b"x" * 6, b"x" * 5]).status == 413


def test_the_same_application_may_be_mounted_twice() -> None:
    site, shop = App(), echo_paths("shop")
    site.mount("/one", shop)
    site.mount("/two", shop)
    with Client(site) as client:
        assert [client.get(target).json()["root_path"] for target in ("/one/", "/two/")] == ["/one", "/two"]


def test_a_page_for_errors_of_the_whole_site() -> None:
    site = App()
    site.mount("/shop", App())

    @site.exception(HTTPError)
    async def page(request: Request, error: HTTPError) -> Response:
        return Response.html(f"<h1>{error.status}</h1>", error.status)

    with Client(site) as client:
        assert client.get("/shop/nothing").text == "<h1>404</h1>"


def test_what_cannot_be_mounted_is_refused() -> None:
    site, shop = App("site"), App("shop")
    with pytest.raises(
        ValueError, match="a mount's prefix is like '/name', without parameters and slash at its end"
    ):
        site.mount("/shop/", shop)
    with pytest.raises(TypeError, match="an App is mounted, not str"):
        site.mount("/shop", "shop")  # type: ignore[arg-type]
    site.mount("/shop", shop)
    with pytest.raises(ValueError, match="/shop has an application already; mount this one elsewhere"):
        site.mount("/shop", App())
    with pytest.raises(ValueError, match="'site' is or contains 'shop': it cannot be mounted in it"):
        shop.mount("/site", site)
    with pytest.raises(ValueError, match="'site' is or contains 'site'"):
        site.mount("/site", site)
