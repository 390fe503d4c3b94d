"""Load for this example: clients that follow the stream, and see when their own notification comes back.

Run `locust -f load.py --host http://127.0.0.1:8080` and open http://127.0.0.1:8089, or without the page:
`locust -f load.py --host http://127.0.0.1:8080 --headless --users 20 --run-time 10s`.
In the stack the host ends in the prefix: `--host http://127.0.0.1:8080/sse`.

"EVENT own" is the time from the sending of a notification until its event has arrived at the one who sent it.
"EVENT gap" is a failure: somebody was not told of a notification, or the stream ended.
"""

from __future__ import annotations

import json
import time
import uuid

import gevent
from gevent.event import Event
from locust import HttpUser, between, task

TIMEOUT_S = 10.0


class SseClient(HttpUser):
    """Follows everything, and sends something every second or so."""

    wait_time = between(0.5, 1.5)

    def on_start(self) -> None:
        """Open the stream, and wait until it begins."""
        self.sent: dict[str, Event] = {}
        self.begun = Event()
        self.follower = gevent.spawn(self.follow)
        self.begun.wait(TIMEOUT_S)

    def on_stop(self) -> None:
        """Leave the stream."""
        self.follower.kill()

    def follow(self) -> None:
        """Read the stream; it begins with an id."""
        with self.client.get("/sse", stream=True, name="GET /sse", catch_response=True) as answer:
            if answer.status_code != 200:
                answer.failure(f"{answer.status_code} instead of 200")
                return
            answer.success()
            place = None
            for line in answer.iter_lines(chunk_size=None):  # each piece as soon as it is there
                if line.startswith(b"id: "):
                    number = int(line[4:])
                    if place is not None and number != place + 1:
                        self.gap(f"{number} came after {place}")
                    place = number
                    self.begun.set()
                elif line.startswith(b"data: ") and (
                    arrived := self.sent.pop(json.loads(line[6:]).get("text", ""), None)
                ):
                    arrived.set()
        self.gap("the stream ended")

    def gap(self, what: str) -> None:
        """Count something that is missing from the stream."""
        self.environment.events.request.fire(
            request_type="EVENT", name="gap", response_time=0, response_length=0,
            exception=ValueError(what), context={},
        )  # fmt: skip

    @task
    def notify(self) -> None:
        """Send a notification, and wait for its event."""
        text = f"load {uuid.uuid4()}"
        arrived = self.sent[text] = Event()
        begun, start, context = time.time(), time.perf_counter(), self.context()
        body = {"text": text}
        with self.client.post("/notification", json=body, catch_response=True, context=context) as answer:
            if answer.status_code != 202:
                answer.failure(f"{answer.status_code} instead of 202")
                return
        came = arrived.wait(TIMEOUT_S)
        self.environment.events.request.fire(
            request_type="EVENT",
            name="own",
            response_time=(time.perf_counter() - start) * 1000,
            response_length=0,
            exception=None if came else TimeoutError(f"no event within {TIMEOUT_S:g} s"),
            context=context,
            start_time=begun,
        )
