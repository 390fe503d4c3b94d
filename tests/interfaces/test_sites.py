"""Several applications in one server: who answers, and what becomes of one that fails."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pierhead import App, Request, Response, WebSocket
from pierhead.cli import main
from pierhead.config.apps import AppSettings
from pierhead.errors import LoadError
from pierhead.interfaces.adapt import adapt
from pierhead.interfaces.configured import load_file
from pierhead.interfaces.sites import Site, Sites
from pierhead.testing import Client, WebSocketRejected


def shows(name: str) -> App:
    app = App(name)

    @app.get("/{rest:path}")
    async def show(request: Request, rest: str) -> str:
        return f"{name} {request.root_path}|{request.raw_path}"

    @app.post("/")
    async def echo(request: Request) -> bytes:
        return await request.body()

    @app.websocket("/chat")
    async def chat(socket: WebSocket) -> None:
        await socket.send(name)

    return app


def site(name: str, app: Any = None, **settings: Any) -> Site:
    application = None if app is None else adapt(app)
    return Site(AppSettings(name=name, app="test", **settings), application)


@pytest.fixture
def sites() -> Iterator[Client]:
    mounted = [
        site("main", shows("main")),
        site("shop", shows("shop"), path="/shop"),
        site("admin", shows("admin"), path="/shop/admin"),
        site("blog", shows("blog"), hosts=("blog.example",)),
        site("users", shows("users"), hosts=("*.example",)),
        site("deep", shows("deep"), hosts=("*.deep.example",), path="/x"),
        site("broken", None, path="/broken"),
    ]
    with Client(Sites(mounted)) as client:
        yield client


@pytest.mark.parametrize(
    ("host", "path", "expected"),
    [
        ("any.where", "/", "main |/"),
        ("any.where", "/shop", "shop /shop|/"),
        ("any.where", "/shop/a%2Fb", "shop /shop|/a%2Fb"),
        ("any.where", "/shopping", "main |/shopping"),
        ("any.where", "/sh%6Fp/a%2Fb", "shop /sh%6Fp|/a%2Fb"),
        ("any.where", "/shop/%61dmin", "admin /shop/%61dmin|/"),
        ("any.where", "/shop%2Fadmin", "main |/shop%2Fadmin"),
        ("any.where", "/shop/%61dmin%2Fx", "shop /shop|/%61dmin%2Fx"),
        ("any.where", "/shop/admin/x", "admin /shop/admin|/x"),
        ("blog.example", "/shop", "blog |/shop"),
        ("BLOG.example:8080", "/", "blog |/"),
        ("blog.example.", "/", "blog |/"),
        ("ada.example", "/", "users |/"),
        ("a.deep.example", "/x/y", "deep /x|/y"),
        ("a.deep.example", "/y", "users |/y"),
        ("example", "/", "main |/"),
        ("[::1]:8080", "/", "main |/"),
    ],
)
def test_who_answers(sites: Client, host: str, path: str, expected: str) -> None:
    assert sites.get(path, headers={"Host": host}).text == expected


def test_one_that_is_not_running_answers_503(sites: Client) -> None:
    response = sites.get("/broken/x")
    assert (response.status, response.headers["Retry-After"]) == (503, "10")
    with pytest.raises(WebSocketRejected):
        sites.websocket("/broken").__enter__()


def test_websockets_find_their_application(sites: Client) -> None:
    with sites.websocket("/shop/chat") as socket:
        assert socket.receive() == "shop"


def test_without_one_for_all_the_rest_is_404() -> None:
    with Client(Sites([site("shop", shows("shop"), path="/shop")])) as client:
        assert client.get("/").status == 404
        with pytest.raises(WebSocketRejected):
            client.websocket("/").__enter__()


def test_each_has_limits_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    waits = App("waits")

    @waits.get("/")
    async def wait(request: Request) -> Response:
        await asyncio.get_running_loop().create_future()
        return Response()

    mounted = [
        site("small", shows("small"), path="/small", max_body_bytes=5),
        site("large", shows("large"), path="/large"),
        site("waits", waits, path="/waits", handler_timeout_s=0.1),
    ]
    with Client(Sites(mounted)) as client:
        assert client.post("/small", content=b"12345").body == b"12345"
        assert client.post("/small", content=b"123456").status == 413
        assert client.post("/small", content=[b"1234", b"56"]).status == 413
        assert client.post("/large", content=b"123456").status == 200
        assert client.get("/waits").status == 504
    assert "took longer than the handler_timeout_s=0.1 of waits" in caplog.text


def test_a_response_that_was_begun_is_not_timed_out() -> None:
    go = threading.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await asyncio.to_thread(go.wait, 20.0)
        await send({"type": "http.response.body", "body": b"two"})

    async def forever(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await asyncio.get_running_loop().create_future()

    mounted = [
        site("slow", slow, handler_timeout_s=0.05),
        site("forever", forever, path="/forever", handler_timeout_s=0.05),
    ]
    with Client(Sites(mounted)) as client, client.stream("GET", "/") as response:
        pieces = iter(response)
        assert next(pieces) == b"one"
        assert client.get("/forever").status == 504  # so the time of the first one is over as well
        go.set()
        assert b"".join(pieces) == b"two"


def starting(log: list[str], name: str, *, fails: str = "") -> App:
    app = App(name)

    def step(what: str) -> None:
        log.append(f"{name} {what}")
        if fails == what:
            raise LookupError(f"{name} fails to {what}")

    app.on_start(per="master")(lambda: step("start the master"))
    app.on_stop(per="master")(lambda: step("stop the master"))
    app.on_start(lambda: step("start"))
    app.on_stop(lambda: step("stop"))
    return app


@pytest.mark.parametrize("fails", ["start", "start the master"])
def test_one_that_does_not_start_is_taken_out(fails: str, caplog: pytest.LogCaptureFixture) -> None:
    log: list[str] = []
    mounted = [
        site("one", starting(log, "one")),
        site("two", starting(log, "two", fails=fails), path="/two"),
        site("three", starting(log, "three"), path="/three"),
    ]
    with Client(Sites(mounted)) as client:
        assert client.get("/").status == 404
        assert client.get("/two").status == 503
    assert "two" in caplog.text
    assert "it answers 503, the others go on" in caplog.text
    assert log.count("one stop") == log.count("three stop") == log.count("one stop the master") == 1
    assert log.index("three stop") < log.index("one stop")


def test_with_strict_nobody_starts() -> None:
    log: list[str] = []
    mounted = [
        site("one", starting(log, "one")),
        site("two", starting(log, "two", fails="start"), path="/two"),
    ]
    with pytest.raises(LookupError, match="two fails to start"), Client(Sites(mounted, strict=True)):
        pass
    assert "one stop" in log


async def test_all_are_stopped_even_where_one_fails() -> None:
    log: list[str] = []
    mounted = [
        site("one", starting(log, "one")),
        site("two", starting(log, "two", fails="stop"), path="/two"),
        site("three", starting(log, "three", fails="stop"), path="/three"),
    ]
    sites = Sites(mounted)
    await sites.start()
    with pytest.raises(ExceptionGroup, match="several applications failed to stop"):
        await sites.stop()
    assert log[-3:] == ["three stop", "two stop", "one stop"]


# From a file

FILE = """
[apps.native]
app = "native_site:app"
path = "/native"

[apps.asgi]
app = "sub/asgi_site.py:app"
path = "/asgi"

[apps.wsgi]
app = "wsgi_site:app"
path = "/wsgi"

[apps.program]
app = "program:program.cgi"
path = "/program"
variables = { GREETING = "hello" }

[apps.php]
app = "fastcgi://unix:/nowhere/php.sock"
path = "/php"

[apps.broken]
app = "broken_site:app"
path = "/broken"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterable[Path]:
    modules, path = set(sys.modules), sys.path.copy()
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "sites.toml").write_text(FILE)
    (tmp_path / "native_site.py").write_text(
        "from pierhead import App\napp = App()\n@app.get('/x')\nasync def x(request): return 'native'\n"
    )
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "asgi_site.py").write_text(
        "async def app(scope, receive, send):\n"
        "    assert scope['type'] == 'http'\n"
        "    await send({'type': 'http.response.start', 'status': 200})\n"
        "    await send({'type': 'http.response.body', 'body': scope['root_path'].encode()})\n"
    )
    (tmp_path / "wsgi_site.py").write_text(
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [environ['SCRIPT_NAME'].encode() + environ['PATH_INFO'].encode()]\n"
    )
    program = tmp_path / "program.cgi"
    program.write_text('#!/bin/sh\nprintf "Content-Type: a/b\\n\\n$GREETING $SCRIPT_NAME $PATH_INFO"\n')
    program.chmod(0o755)
    (tmp_path / "broken_site.py").write_text("import nothing_of_that_name\n")
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.endswith("_site"):
            del sys.modules[name]


def test_applications_of_every_kind(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Client(load_file(folder / "sites.toml")) as client:
        assert client.get("/native/x").text == "native"
        assert client.get("/asgi/x").text == "/asgi"
        assert client.get("/wsgi/x").text == "/wsgi/x"
        assert client.get("/program/x").text == "hello /program /x"
        assert client.get("/php").status == 502
        assert client.get("/broken").status == 503
    assert "apps.broken: it answers 503, the others go on: broken_site:app" in caplog.text


def test_with_strict_the_file_does_not_load(folder: Path) -> None:
    with pytest.raises(LoadError, match=r"apps\.broken: broken_site:app"):
        load_file(folder / "sites.toml", strict=True)


def test_a_file_that_is_wrong_does_not_load(folder: Path) -> None:
    (folder / "sites.toml").write_text("[apps.shop]\npath = '/'\n")
    with pytest.raises(LoadError, match=r"sites\.toml: apps\.shop: which application"):
        load_file(folder / "sites.toml")


def test_the_command_line_takes_it_everywhere(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(folder)
    caplog.set_level(logging.CRITICAL)
    assert main(["check", "sites.toml"]) == 3
    out, err = capsys.readouterr()
    assert "# native at /native of any host: native_site:app" in out
    assert "#   does not load: broken_site:app" in out
    assert "broken do not load" in err
    assert main(["request", "sites.toml", "GET", "/wsgi/x"]) == 0
    assert capsys.readouterr().out.endswith("/wsgi/x")
    (folder / "sites.toml").rename(folder / "pierhead.toml")
    assert main(["request", "pierhead.toml", "GET", "/broken"]) == 5
