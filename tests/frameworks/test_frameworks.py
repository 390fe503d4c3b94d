"""Applications of six frameworks run unchanged: each does the same things in its own way.

What a framework cannot do, or does otherwise, is said in `SAMPLES`.
"""

from __future__ import annotations

import dataclasses
import gc
import importlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pierhead import WebSocketClosed
from pierhead.interfaces.load import load
from pierhead.testing import Client, WebSocketRejected

pytestmark = pytest.mark.filterwarnings("ignore")  # what frameworks think of each other's versions

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 60.0


@dataclasses.dataclass(frozen=True)
class Sample:
    """An application, and what it can do beyond what all can."""

    name: str
    attribute: str = "app"
    lifespan: bool = True
    websocket: bool = True
    denial: bool = True
    background: bool = True
    endless: str = "/endless"

    @property
    def log(self) -> list[str]:
        module = importlib.import_module(f"tests.frameworks.apps.{self.name}_app")
        return module.log  # type: ignore[no-any-return]

    def __str__(self) -> str:
        return self.name if self.attribute == "app" else f"{self.name}-{self.attribute}"


STARLETTE = Sample("starlette")
FASTAPI = Sample("fastapi")
LITESTAR = Sample("litestar", denial=False)
QUART = Sample("quart")
FLASK = Sample("flask", lifespan=False, websocket=False, denial=False, background=False)
DJANGO = Sample("django", lifespan=False, websocket=False, denial=False, background=False)
DJANGO_WSGI = dataclasses.replace(DJANGO, attribute="wsgi", endless="/endless/wsgi")
SAMPLES = [STARLETTE, FASTAPI, LITESTAR, QUART, FLASK, DJANGO, DJANGO_WSGI]


@pytest.fixture(scope="module", params=SAMPLES, ids=str)
def sample(request: pytest.FixtureRequest) -> Sample:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def client(sample: Sample) -> Iterator[Client]:
    application = load(f"tests.frameworks.apps.{sample.name}_app:{sample.attribute}", app_dir=ROOT)
    sample.log.clear()
    with Client(application) as client:
        assert sample.log == (["started"] if sample.lifespan else [])
        yield client
    assert ("stopped" in sample.log) == sample.lifespan


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        gc.collect()  # some frameworks leave it to the collector to end a generator
        time.sleep(0.01)


def test_the_request_is_seen_as_it_was_sent(client: Client, sample: Sample) -> None:
    fields = {"X-One": "1", "Cookie": "a=1; b=2"}
    found = client.get("/facts?a=1&a=2&b=%20", headers=fields).json()
    found["query"].sort()  # some do not keep the order
    assert found.pop("state", None) == ("the pool" if sample.lifespan else None)
    assert found == {
        "method": "GET",
        "path": "/facts",
        "query": [["a", "1"], ["a", "2"], ["b", " "]],
        "one": "1",
        "cookies": {"a": "1", "b": "2"},
        "scheme": "http",
        "client": "127.0.0.1",
    }


def test_what_a_trusted_proxy_says_is_believed(client: Client) -> None:
    fields = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https"}
    found = client.get("/facts", headers=fields).json()
    assert (found["client"], found["scheme"]) == ("192.0.2.1", "https")


def test_status_headers_and_cookies_of_the_response(client: Client) -> None:
    response = client.post("/answer")
    assert (response.status, response.text) == (201, "made")
    assert response.headers["Content-Type"].startswith("text/plain")
    assert response.headers["X-Two"] == "a, b"
    cookies = [value.partition(";")[0] for value in response.headers.getlist("Set-Cookie")]
    assert sorted(cookies) == ["one=1", "two=2"]
    assert response.headers["Content-Length"] == "4"


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_any_size_goes_both_ways(client: Client, chunked: bool) -> None:
    content = bytes(range(256)) * 2000
    sent = [content[:1000], content[1000:]] if chunked else content
    response = client.post("/echo", content=sent)
    assert (response.status, response.body == content) == (200, True)


def test_an_upload(client: Client) -> None:
    files = {"file": ("büro.txt", b"x" * 300_000, "text/plain")}
    response = client.post("/upload", data={"field": "value"}, files=files)
    assert response.json() == {"name": "büro.txt", "size": 300_000, "field": "value"}


def test_a_stream(client: Client) -> None:
    response = client.get("/stream")
    assert (response.status, response.text) == (200, "0\n1\n2\n")
    assert response.headers["Transfer-Encoding"] == "chunked"


def test_a_file(client: Client, sample: Sample) -> None:
    response = client.get("/file")
    file = ROOT / "tests" / "frameworks" / "apps" / f"{sample.name}_app.py"
    assert response.body == file.read_bytes()
    assert response.headers["Content-Length"] == str(file.stat().st_size)


def test_head_is_the_head_of_get(client: Client) -> None:
    for path in ("/facts", "/stream"):
        response = client.head(path)
        assert (response.status in {200, 405}, response.body) == (True, b"")


def test_a_client_that_leaves_ends_the_stream(client: Client, sample: Sample) -> None:
    with client.stream("GET", sample.endless) as response:
        assert next(iter(response))
    until(lambda: "left" in sample.log)


def test_a_failure_is_a_500(client: Client) -> None:
    assert client.get("/broken").status == 500
    assert client.get("/missing").status == 404


def test_work_after_the_response(client: Client, sample: Sample) -> None:
    if not sample.background:
        assert client.get("/later").status == 404
        return
    assert client.get("/later").text == "at once"
    until(lambda: "worked" in sample.log)


def test_a_websocket(client: Client, sample: Sample) -> None:
    if not sample.websocket:
        with pytest.raises((WebSocketRejected, WebSocketClosed)):
            client.websocket("/chat").__enter__()
        return
    with client.websocket("/chat", subprotocols=["other", "chat"]) as socket:
        assert (socket.subprotocol, socket.headers["X-Room"]) == ("chat", "1")
        for message in ("one", "zwö"):
            socket.send(message)
            assert socket.receive() == message
    until(lambda: "closed with 1000" in sample.log)


def test_a_websocket_that_is_denied(client: Client, sample: Sample) -> None:
    with pytest.raises(WebSocketRejected) as rejected:
        client.websocket("/private").__enter__()
    response = rejected.value.response
    if sample.denial:
        assert (response.status, response.text) == (401, "log in")
    else:
        assert response.status in {403, 404, 500}


def test_requests_follow_each_other_on_a_connection(client: Client) -> None:
    request = b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n\r\n"
    answer = client.raw(b"".join(request + b"%d" % number for number in range(5)))
    heads = answer.split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert [head.rpartition(b"\r\n\r\n")[2] for head in heads] == [b"0", b"1", b"2", b"3", b"4"]
