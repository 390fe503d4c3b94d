"""The sample application in Flask, which is WSGI."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import Flask, Response, request, send_file

log: list[str] = []
app = Flask(__name__)


@app.get("/facts")
def facts() -> dict[str, Any]:
    return {
        "method": request.method,
        "path": request.path,
        "query": list(request.args.items(multi=True)),
        "one": request.headers.get("x-one"),
        "cookies": dict(request.cookies),
        "scheme": request.scheme,
        "client": request.remote_addr,
    }


@app.post("/answer")
def answer() -> Response:
    response = Response("made", 201, mimetype="text/plain")
    response.headers.add("X-Two", "a")
    response.headers.add("X-Two", "b")
    response.set_cookie("one", "1")
    response.set_cookie("two", "2")
    return response


@app.post("/echo")
def echo() -> bytes:
    return request.get_data()


@app.post("/upload")
def upload() -> dict[str, Any]:
    file = request.files["file"]
    return {"name": file.filename, "size": len(file.read()), "field": request.form["field"]}


@app.get("/stream")
def stream() -> Any:
    return (f"{number}\n" for number in range(3))


@app.get("/endless")
def endless() -> Any:
    def pieces() -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * 1000
        finally:
            log.append("left")

    return pieces()


@app.get("/file")
def file() -> Response:
    return send_file(__file__)


@app.get("/broken")
def broken() -> str:
    raise ValueError("broken on purpose")
