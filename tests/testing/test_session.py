"""Sessions: cookies are kept as a browser keeps them."""

from __future__ import annotations

import json

import pytest

from pierhead import App, Headers, Request, Response
from pierhead.testing import Client, CookieJar


def jar_of(*cookies: str, target: str = "/") -> CookieJar:
    jar = CookieJar()
    jar.take(Headers([("Set-Cookie", cookie) for cookie in cookies]), target)
    return jar


@pytest.mark.parametrize(
    ("cookie", "target", "expected"),
    [
        ("a=1; Path=/", "/x", "a=1"),
        ("a=1; Path=/x", "/x", "a=1"),
        ("a=1; Path=/x", "/x/y?q", "a=1"),
        ("a=1; Path=/x", "/xy", ""),
        ("a=1; Path=/x/", "/x", ""),
        ("a=1; Path=nonsense", "/x", "a=1"),
        ("a=x=y; HttpOnly; SameSite=Lax", "/", "a=x=y"),
        ("a=1; Secure", "/", ""),
        ("a=1; Max-Age=60", "/", "a=1"),
        ("a=1; Max-Age=0", "/", ""),
        ("a=1; Max-Age=-1", "/", ""),
        ("a=1; Max-Age=soon", "/", "a=1"),
        ("a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "/", ""),
        ("a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=60", "/", "a=1"),
        ("a=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "/", "a=1"),
        ("a=1; Expires=never", "/", "a=1"),
    ],
)
def test_which_cookies_are_sent(cookie: str, target: str, expected: str) -> None:
    assert jar_of(cookie).header(target, secure=False) == expected


def test_secure_cookies_need_tls() -> None:
    assert jar_of("a=1; Secure").header("/", secure=True) == "a=1"


def test_longer_paths_come_first_and_a_new_value_replaces() -> None:
    jar = jar_of("a=1; Path=/", "a=2; Path=/x", "a=3; Path=/")
    assert jar.header("/x", secure=False) == "a=2; a=3"


def test_the_path_is_that_of_the_request_where_none_is_named() -> None:
    jar = jar_of("a=1", target="/shop/login?x=/y")
    assert jar.header("/shop", secure=False) == jar.header("/shop/x", secure=False) == "a=1"
    assert jar.header("/", secure=False) == ""


def test_a_jar_can_be_kept() -> None:
    jar = jar_of("a=1; Path=/; Max-Age=1000", "b=2; Secure")
    kept = CookieJar.load(json.loads(json.dumps(jar.dump())))
    assert kept.dump() == jar.dump()
    assert kept.header("/", secure=True) == "a=1; b=2"


def test_a_session_logs_in_and_out() -> None:
    app = App()

    @app.post("/login")
    async def login(request: Request) -> Response:
        response = Response.text("welcome")
        response.set_cookie("user", "ada")
        return response

    @app.get("/me")
    async def me(request: Request) -> dict[str, str]:
        return request.cookies

    @app.post("/logout")
    async def logout(request: Request) -> Response:
        response = Response.text("bye")
        response.delete_cookie("user")
        return response

    with Client(app) as client:
        session, other = client.session(), client.session()
        session.post("/login")
        assert session.get("/me").json() == {"user": "ada"}
        assert session.get("/me", headers={"Cookie": "x=1"}).json() == {"x": "1", "user": "ada"}
        assert other.get("/me").json() == client.get("/me").json() == {}
        session.post("/logout")
        assert session.get("/me").json() == {}
