"""A stand-in for the stack: answers what the benchmark asks, rightly or wrongly as told."""

from __future__ import annotations

import contextlib
import hashlib
import json
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FakeStack(ThreadingHTTPServer):
    """Users in memory. `fail_after`: 500 for every request after so many; `stale`: shows another user;
    `pause_s`: what each answer takes, or with `pause_every` each so many-th;
    `pause_after`: only after so many."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.users: dict[int, dict[str, Any]] = {}
        self.fail_after: int | None = None
        self.stale = False
        self.pause_s = 0.0
        self.pause_every = 1
        self.pause_after = 0
        self.paths: set[str] = set()
        self.count = 0
        self.lock = threading.Lock()
        self.notifications: queue.Queue[str | None] = queue.Queue()  # None ends the stream

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet: load tools hang up at their end."""


class Handler(BaseHTTPRequestHandler):
    server: FakeStack
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/":
            return self.answer(200, {"examples": {"simple": "/simple/", "database": "/database/"}})
        if path in ("/database/products", "/hexagonal/products"):
            return self.answer(200, {"products": []})
        if path == "/simple/users":
            return self.answer(200, {"users": list(self.server.users.values())[:10]})
        if path == "/sse/sse":
            return self.stream()
        if path in ("/sse/", "/websocket/"):
            return self.answer(200, None)
        user = self.server.users.get(int(path.rpartition("/")[2]))
        if user is None:
            return self.answer(404, {"status": 404})
        return self.answer(200, user | {"name": "Old"} if self.server.stale else user)

    def do_POST(self) -> None:
        if self.path == "/upload":
            body = self.rfile.read(int(self.headers["Content-Length"]))
            right = {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
            self.answer(200, right | {"size": 1} if self.server.stale else right)
            return
        if self.path == "/sse/notification":
            self.server.notifications.put(self.body()["text"])
            self.answer(202, None)
            return
        with self.server.lock:
            user = self.body() | {"id": len(self.server.users) + 1}
            self.server.users[user["id"]] = user
        self.answer(201, user)

    def do_PATCH(self) -> None:
        user = self.server.users[int(self.path.rpartition("/")[2])]
        user.update(self.body())
        self.answer(200, user)

    def do_DELETE(self) -> None:
        self.server.users.pop(int(self.path.rpartition("/")[2]))
        self.answer(204, None)

    def stream(self) -> None:
        """Events for one listener; every other id is left out."""
        self.wfile.write(b"HTTP/1.1 200 -\r\nTransfer-Encoding: chunked\r\n\r\n")
        number, event = 1, b"id: 1\n\n"
        while event:
            with contextlib.suppress(OSError):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            text = self.server.notifications.get()
            number += 2
            event = f'data: {{"text": "{text}"}}\nid: {number}\n\n'.encode() if text else b""

    def body(self) -> dict[str, Any]:
        return dict(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def answer(self, status: int, data: object) -> None:
        self.server.count += 1
        self.server.paths.add(self.path.partition("?")[0])
        if self.server.count > self.server.pause_after and self.server.count % self.server.pause_every == 0:
            time.sleep(self.server.pause_s)
        if self.server.fail_after is not None and self.server.count > self.server.fail_after:
            status, data = 500, {"status": 500}
        content = b"" if data is None else json.dumps(data).encode()
        head = [
            f"HTTP/1.1 {status} -",
            "Content-Type: application/json",
            f"Content-Length: {len(content)}",
            "",
            "",
        ]
        self.wfile.write("\r\n".join(head).encode() + content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Keep quiet."""


@contextmanager
def fake_stack() -> Iterator[FakeStack]:
    """Serve in a thread for the time of the block."""
    with FakeStack() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.notifications.put(None)
            server.shutdown()
            thread.join()
