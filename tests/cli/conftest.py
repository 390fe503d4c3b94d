"""A folder with an application, which is the current directory; no setting of the machine is seen."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

APPLICATION = """
from pierhead import App, Request, Response

app = App("stall")


@app.get("/user/{id:int}")
async def show(request: Request, id: int) -> Response:
    return Response.json({"id": id, "query": list(request.query.items())})


@app.route("/echo", methods=["POST", "PUT"])
async def echo(request: Request) -> dict:
    kind = request.headers.get("Content-Type", "")
    body = await request.json() if "json" in kind else list((await request.form()).items())
    return {"kind": kind, "body": body, "query": list(request.query.items())}


@app.get("/facts")
async def facts(request: Request) -> dict:
    user = request.basic_auth
    return {
        "scheme": request.scheme,
        "host": request.host,
        "client": request.client.host,
        "cookies": request.cookies,
        "user": user and [user.username, user.password],
        "headers": request.headers.getlist("X-One"),
    }


@app.get("/bytes")
async def some_bytes(request: Request) -> bytes:
    return bytes(range(256))


@app.get("/broken")
async def broken(request: Request) -> str:
    raise ValueError("this one is broken")


def make() -> App:
    return app
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in [name for name in os.environ if name.startswith("PIERHEAD_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    path, modules = sys.path[:], set(sys.modules)
    (tmp_path / "stall.py").write_text(APPLICATION)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if not name.startswith("pierhead") and str(tmp_path) in str(
            getattr(sys.modules[name], "__file__", "")
        ):
            del sys.modules[name]
