"""The access log: complete lines, which no request can forge."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead import Address, App, Headers, Request
from pierhead.accesslog import AccessLog
from pierhead.config import Settings
from pierhead.output import LINE_LIMIT_BYTES, LogOutput
from pierhead.testing import Client

COMBINED = re.compile(
    r"(?P<client>[^ ]+) - (?P<user>[^ ]+) \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\] "
    r'"(?P<request>[^"]*)" (?P<status>\d{3}) (?P<bytes>\d+) "(?P<referrer>[^"]*)" "(?P<agent>[^"]*)" '
    r"(?P<seconds>\d+\.\d{6}) (?P<id>[^ ]+)\n"
)


class Collected(LogOutput):
    """Keeps the lines."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def write(self, line: bytes) -> None:
        self.lines.append(line)


def line(request: Request | None, form: str = "text", *, status: int = 200, seconds: float = 0.000412) -> str:
    output = Collected()
    AccessLog(Settings(access_log_format=form), output).record(request, status, 45, seconds, "192.0.2.7")
    (only,) = output.lines
    return only.decode("ascii")


def request(target: str = "/users?token=secret", **fields: str) -> Request:
    headers = Headers({name.replace("_", "-"): value for name, value in fields.items()})
    return Request("GET", target, headers, client=Address("192.0.2.60", 4711), id="9f2c")


def text(subject: Request) -> dict[str, str]:
    match = COMBINED.fullmatch(line(subject))
    assert match, line(subject)
    return match.groupdict()


def parsed(subject: Request | None) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(line(subject, "json"))
    return found


def test_text_is_the_combined_format_with_seconds_and_request_id() -> None:
    subject = request(User_Agent="curl/8.5.0", Referer="http://a/b?c", Authorization="Basic YWRhOnNlY3JldA==")
    assert text(subject) == {
        "client": "192.0.2.60",
        "user": "ada",
        "request": "GET /users HTTP/1.1",
        "status": "200",
        "bytes": "45",
        "referrer": "http://a/b",
        "agent": "curl/8.5.0",
        "seconds": "0.000412",
        "id": "9f2c",
    }


def test_json_is_an_object_a_line() -> None:
    found = parsed(request(User_Agent="curl/8.5.0"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found.pop("time"))
    assert found == {
        "client": "192.0.2.60",
        "user": "",
        "method": "GET",
        "path": "/users",
        "protocol": "HTTP/1.1",
        "status": 200,
        "bytes": 45,
        "duration_s": 0.000412,
        "referrer": "",
        "user_agent": "curl/8.5.0",
        "request_id": "9f2c",
    }


@pytest.mark.parametrize("form", ["text", "json"])
def test_secrets_in_queries_and_passwords_are_not_logged(form: str) -> None:
    subject = request(Referer="http://a/?token=secret", Authorization="Basic YWRhOnNlY3JldA==")
    assert "secret" not in line(subject, form)
    assert "YWRh" not in line(subject, form)
    for long in ("", "x" * 3000):
        assert "secret" not in line(request(Referer=f"http://ada:{long}secret{long}@a/"), form)


def test_what_was_refused_before_it_was_a_request_has_a_line_too() -> None:
    assert re.fullmatch(
        r'192\.0\.2\.7 - - \[.*\] "-" 400 45 "-" "-" 0\.000000 -\n', line(None, status=400, seconds=0.0)
    )
    assert parsed(None)["status"] == 200


# Bytes as a protocol may pass them on, and names as an interface may: whatever it is, it is one line.
ANYTHING = st.text(st.characters(max_codepoint=0xFF), max_size=3000)
NAMES = st.text(max_size=300)


@given(target=ANYTHING, agent=ANYTHING, referrer=ANYTHING, method=ANYTHING, name=NAMES, client=ANYTHING)
def test_nothing_in_a_request_forges_a_line(
    target: str, agent: str, referrer: str, method: str, name: str, client: str
) -> None:
    headers = Headers.from_raw(
        [(b"user-agent", agent.encode("latin-1")), (b"REFERER", referrer.encode("latin-1"))]
    )
    subject = Request(method, target, headers, client=Address(client, 1), id=name)
    if name and ":" not in name and name.isprintable():
        token = base64.b64encode(f"{name}:".encode())
        headers.raw.append((b"Authorization", b"Basic " + token))
    found = text(subject)
    assert found["request"].endswith(" HTTP/1.1")
    assert len(found["request"].split(" ")) == 3
    assert parsed(subject).keys() >= {"client", "path", "request_id"}
    for form in ("text", "json"):
        written = line(subject, form)
        assert written.count("\n") == 1
        assert written[:-1].isprintable()
        assert len(written) <= LINE_LIMIT_BYTES


def test_escapes_can_be_told_from_what_looks_like_them() -> None:
    assert text(request(User_Agent='a"b\\x41\xe9'))["agent"] == r"a\x22b\x5cx41\xe9"


def test_long_text_is_cut_between_escapes_in_json() -> None:
    assert parsed(request(User_Agent="\xe9" * 2000))["user_agent"] == "\xe9" * 42
    assert parsed(request(User_Agent="x" * 2000))["user_agent"] == "x" * 512


@pytest.fixture
def app() -> App:
    app = App()

    @app.get("/")
    async def index(request: Request) -> str:
        return "hello"

    return app


def test_the_server_records_answers_and_refusals(app: App) -> None:
    output = Collected()
    log = AccessLog(Settings(access_log_format="json"), output)
    with Client(app) as client:
        assert client._server is not None
        client._server.record = log.record
        client.get("/?q=1", headers={"X-Request-Id": "abc"})
        client.head("/")
        client.get("/nowhere")
        client.raw(b"GET / HTTP/1.1\r\nbad header\r\n\r\n")
    answered, head, missed, refused = map(json.loads, output.lines)
    assert (missed["status"], missed["reason"]) == (404, "there is nothing at this path")
    assert refused["reason"] == "header line 1 is not 'name: value'"
    assert "reason" not in answered
    assert (answered["status"], answered["bytes"], answered["request_id"]) == (200, 5, "abc")
    assert (head["method"], head["bytes"]) == ("HEAD", 0)
    assert (refused["status"], refused["client"]) == (400, "127.0.0.1")


async def test_off_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    log = AccessLog(Settings(access_log="off"))
    log.record(request(), 200, 1, 0.1)
    log.close()
    assert list(tmp_path.iterdir()) == []


async def test_a_file_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    for _ in range(2):
        log = AccessLog(Settings(access_log=str(path)))
        log.record(request(), 200, 1, 0.1)
        log.close()
    assert len(path.read_text().splitlines()) == 2
    assert path.stat().st_mode & 0o007 == 0  # addresses of clients are not for everybody


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file or directory"):
        AccessLog(Settings(access_log=str(tmp_path / "none" / "access.log")))
