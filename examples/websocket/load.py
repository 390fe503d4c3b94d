"""Load for this example: members of one room who talk, and see when they hear themselves.

Run `locust -f load.py --host http://127.0.0.1:8080` and open http://127.0.0.1:8089, or without the page:
`locust -f load.py --host http://127.0.0.1:8080 --headless --users 20 --run-time 10s`.
In the stack the host ends in the prefix: `--host http://127.0.0.1:8080/websocket`.

"WS chat" is the time from a message to its coming back through PostgreSQL, with what all others say in
between; "WS echo" is the way through this server alone.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable

from locust import User, between, task

from websocket import WebSocket, create_connection  # the package websocket-client, which comes with locust

TIMEOUT_S = 10.0


class Member(User):
    """Has two WebSockets open, and says something in each every second or so."""

    wait_time = between(0.5, 1.5)

    def on_start(self) -> None:
        """Enter."""
        self.name = uuid.uuid4().hex[:8]
        base = self.host.replace("http", "ws", 1).rstrip("/")
        self.chat = self.timed("open", lambda: self.entered(f"{base}/chat/load?name={self.name}"))
        self.echo = self.timed("open", lambda: create_connection(f"{base}/echo", timeout=TIMEOUT_S))

    def on_stop(self) -> None:
        """Leave."""
        for socket in (self.chat, self.echo):
            if socket is not None:  # it never opened
                socket.close()

    def entered(self, url: str) -> WebSocket:
        """Enter the room: it is heard by oneself, too."""
        socket = create_connection(url, timeout=TIMEOUT_S)
        self.hear(socket, "joined", "")
        return socket

    def hear(self, socket: WebSocket, kind: str, text: str) -> None:
        """Read until our own message."""
        while True:
            said = json.loads(socket.recv())
            if (said["kind"], said["name"], said.get("text", "")) == (kind, self.name, text):
                return

    def timed(self, name: str, action: Callable[[], WebSocket | None]) -> WebSocket | None:
        """Do something and record how long it took; what it raises is a failure."""
        begun, start, context = time.time(), time.perf_counter(), self.context()
        failure: Exception | None = None
        result = None
        try:
            result = action()
        except Exception as error:  # noqa: BLE001 - locust counts it
            failure = error
        self.environment.events.request.fire(
            request_type="WS",
            name=name,
            response_time=(time.perf_counter() - start) * 1000,
            response_length=0,
            exception=failure,
            context=context,
            start_time=begun,
        )
        return result

    @task
    def talk(self) -> None:
        """Say something to the room."""
        text = f"hello {uuid.uuid4()}"

        def said() -> None:
            self.chat.send(text)
            self.hear(self.chat, "said", text)

        self.timed("chat", said)

    @task
    def call(self) -> None:
        """Say something to the echo."""
        text = f"hello {uuid.uuid4()}"

        def echoed() -> None:
            self.echo.send(text)
            if self.echo.recv() != text:
                raise ValueError("the echo is another message")

        self.timed("echo", echoed)
