"""Applications of every kind in the processes that serve them: start, failure to start, reload, stop."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.supervisor.harness import Pierhead, eventually

ASGI = """
import os
VERSION = "one"
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        if os.path.exists("fail"):
            await send({"type": "lifespan.startup.failed", "message": "there is no database"})
            return
        scope["state"]["version"] = VERSION
        await send({"type": "lifespan.startup.complete"})
        await receive()
        open("stopped", "a").write("x")
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": scope["state"]["version"].encode()})
"""
WSGI = """
VERSION = "one"
def app(environ, start_response):
    start_response("200 OK", [])
    return [VERSION.encode()]
"""
SITES = """
[apps.good]
app = "app:app"

[apps.bad]
app = "bad.py:app"
path = "/bad"
"""


@pytest.mark.parametrize("source", [ASGI, WSGI], ids=["asgi", "wsgi"])
def test_it_is_served_reloaded_and_stopped(tmp_path: Path, source: str) -> None:
    with Pierhead(tmp_path, source=source, workers=1) as server:
        assert server.get() == (200, b"one")
        server.write(source, one="two")
        server.signal(signal.SIGHUP)
        server.wait_for_log("generation 2 serves on")
        eventually(lambda: server.get() == (200, b"two"), "the new one answers")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    if source == ASGI:
        assert (tmp_path / "stopped").read_text() == "xx"


def test_a_lifespan_that_fails_is_a_failed_start(tmp_path: Path) -> None:
    (tmp_path / "fail").touch()
    with Pierhead(tmp_path, source=ASGI, ready=False) as server:
        assert server.wait() == 3
        server.wait_for_log("the startup of app:app failed: there is no database")


def test_a_reload_whose_lifespan_fails_leaves_the_old_one(tmp_path: Path) -> None:
    with Pierhead(tmp_path, source=ASGI, workers=1) as server:
        (tmp_path / "fail").touch()
        server.signal(signal.SIGHUP)
        server.wait_for_log("there is no database")
        assert server.get() == (200, b"one")


def test_what_is_no_application_does_not_start(tmp_path: Path) -> None:
    with Pierhead(tmp_path, source="app = 7", ready=False) as server:
        assert server.wait() == 3
        server.wait_for_log("'app' is a int, not a pierhead.App, ASGI's app(scope, receive, send)")


def test_one_of_several_is_mended_by_a_reload(tmp_path: Path) -> None:
    (tmp_path / "sites.toml").write_text(SITES)
    (tmp_path / "bad.py").write_text("import nothing_of_that_name\n")
    with Pierhead(tmp_path, source=WSGI, application="sites.toml", workers=1) as server:
        server.wait_for_log("apps.bad: it answers 503, the others go on")
        assert server.get() == (200, b"one")
        assert server.get("/bad")[0] == 503
        (tmp_path / "bad.py").write_text(ASGI.replace('VERSION = "one"', 'VERSION = "mended"'))
        server.signal(signal.SIGHUP)
        server.wait_for_log("generation 2 serves on")
        eventually(lambda: server.get("/bad") == (200, b"mended"), "the mended one answers")
        (tmp_path / "sites.toml").write_text("[apps.good]\npath = 3\n")
        server.signal(signal.SIGHUP)
        server.wait_for_log("apps.good.path = 3: use a text")
        assert server.get("/bad") == (200, b"mended")


def test_with_strict_none_may_fail(tmp_path: Path) -> None:
    (tmp_path / "sites.toml").write_text(SITES)
    with Pierhead(tmp_path, "--strict", source=WSGI, application="sites.toml", ready=False) as server:
        assert server.wait() == 3
        server.wait_for_log("apps.bad: bad.py:app: there is no file")
