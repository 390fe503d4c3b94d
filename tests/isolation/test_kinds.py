"""Applications of every kind in processes of their own: as pierhead.toml says, each with its own limits."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.supervisor.harness import Pierhead

FILES = {
    "app.py": "",
    "wsgi_app.py": """
import os, time, json
def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/exit":
        os._exit(5)
    if path == "/late":
        time.sleep(600)
    body = environ["wsgi.input"]
    where = os.readlink(f"/proc/self/fd/{body.fileno()}") if path == "/upload" else ""
    start_response("200 OK", [("Content-Type", "application/json")])
    facts = {"pid": os.getpid(), "root": environ["SCRIPT_NAME"], "path": path, "size": len(body.read())}
    text = json.dumps(facts | {"in_file": "deleted" in where}).encode()
    for at in range(0, len(text), 10):
        yield text[at:at + 10]
""",
    "asgi_app.py": """
import asyncio, json, os
state = {}
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        state["started_in"] = os.getpid()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        message = await receive()
        await send({"type": "websocket.send", "text": f"{message['text']} from {os.getpid()}"})
        await send({"type": "websocket.close", "code": 4001})
    else:
        if scope["path"].endswith("/exit"):
            os._exit(6)
        size, more = 0, True
        while more:
            message = await receive()
            size, more = size + len(message["body"]), message["more_body"]
        text = json.dumps({"pid": os.getpid(), "size": size, **state}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": text[:5], "more_body": True})
        await send({"type": "http.response.body", "body": text[5:]})
""",
    "native_app.py": """
import os
from pierhead import App
app = App()

@app.get("/")
async def who(request): return {"pid": os.getpid()}

@app.get("/own", isolation="process")
async def own(request): return {"pid": os.getpid()}

""",
    "sites.toml": """
[apps.wsgi]
app = "wsgi_app:app"
path = "/wsgi"
isolation = "process"
isolation_timeout_s = "5s"

[apps.asgi]
app = "asgi_app:app"
path = "/asgi"
isolation = "process"
isolation_max_processes = 2

[apps.native]
app = "native_app:app"
path = "/native"
""",
}


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pierhead]:
    folder = tmp_path_factory.mktemp("sites")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    with Pierhead(folder, "--strict", application="sites.toml", workers=1, source="") as server:
        yield server


def ask(server: Pierhead, target: str, body: bytes | None = None) -> dict[str, object]:
    from http.client import HTTPConnection

    connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET" if body is None else "POST", target, body)
    response = connection.getresponse()
    text = response.read()
    connection.close()
    assert response.status == 200, text
    found: dict[str, object] = json.loads(text)
    return found


def test_wsgi(sites: Pierhead) -> None:
    (worker,) = sites.workers()
    facts = ask(sites, "/wsgi/some/path", b"abc")
    assert facts["pid"] != worker
    assert (facts["root"], facts["path"], facts["size"]) == ("/wsgi", "/some/path", 3)
    assert ask(sites, "/wsgi/upload", bytes(300_000))["in_file"] is True
    assert sites.get("/wsgi/exit")[0] == 502
    assert sites.get("/wsgi/late", timeout=60)[0] == 504
    assert ask(sites, "/wsgi/")["size"] == 0


def test_asgi_with_its_lifespan(sites: Pierhead) -> None:
    (worker,) = sites.workers()
    facts = ask(sites, "/asgi/", bytes(300_000))
    assert facts["size"] == 300_000
    assert facts["pid"] == facts["started_in"] != worker
    assert sites.get("/asgi/exit")[0] == 502
    assert ask(sites, "/asgi/")["size"] == 0


def test_an_asgi_websocket(sites: Pierhead) -> None:
    from websockets.sync.client import connect

    with connect(f"ws://127.0.0.1:{sites.port}/asgi/", open_timeout=60) as socket:
        socket.send("hello")
        text = str(socket.recv(timeout=60))
    (worker,) = sites.workers()
    assert text.startswith("hello from ")
    assert int(text.rpartition(" ")[2]) not in {worker, os.getpid()}


def test_a_native_one_with_a_route_that_is_isolated(sites: Pierhead) -> None:
    (worker,) = sites.workers()
    assert ask(sites, "/native/")["pid"] == worker
    assert ask(sites, "/native/own")["pid"] != worker


def test_a_program_cannot_be_isolated_once_more(tmp_path: Path) -> None:
    program = ("fastcgi://127.0.0.1:9", "--isolation", "process")
    with Pierhead(tmp_path, *program[1:], application=program[0], ready=False) as server:
        assert server.wait() == 3
        server.wait_for_log("runs in processes of its own: leave out isolation")
