"""Response: its shortcuts, and what it refuses to be."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import types
import uuid
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.messages.files import FileBody
from pierhead.messages.headers import Headers
from pierhead.messages.request import Request
from pierhead.messages.response import Response


async def collect(response: Response) -> bytes:
    assert not isinstance(response.body, bytes | FileBody)
    return b"".join([piece async for piece in response.body])


@pytest.mark.parametrize(
    ("body", "sent", "content_type"),
    [
        (b"x", b"x", "application/octet-stream"),
        ("grün", "grün".encode(), "text/plain; charset=utf-8"),
        (bytearray(b"x"), b"x", "application/octet-stream"),
        (memoryview(b"x"), b"x", "application/octet-stream"),
        (b"", b"", None),
        (None, b"", None),
    ],
)
def test_the_body_says_its_type(body: Any, sent: bytes, content_type: str | None) -> None:
    response = Response(body)
    assert (response.status, response.body, response.headers.get("Content-Type")) == (200, sent, content_type)


def test_the_content_type_is_the_applications() -> None:
    assert list(Response(b"x", content_type="image/png").headers) == [("Content-Type", "image/png")]
    assert list(Response(b"x", headers={"content-type": "image/png"}).headers) == [
        ("content-type", "image/png")
    ]
    both = Response(b"x", headers={"content-type": "a/b"}, content_type="image/png")
    assert list(both.headers) == [("Content-Type", "image/png")]
    assert Response(b"x", headers={"X-A": "1"}).headers["Content-Type"] == "application/octet-stream"


def test_the_headers_are_a_copy() -> None:
    headers = Headers({"X-A": "1"})
    Response(b"", headers=headers).headers.add("X-B", "2")
    assert "X-B" not in headers


@pytest.mark.parametrize("headers", [{"X": "a\r\nb"}, {"X Y": "a"}])
def test_header_fields_are_checked(headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="header"):
        Response(b"", headers=headers)
    with pytest.raises(ValueError, match="control characters"):
        Response(b"", content_type="text/html\r\nX: y")


@pytest.mark.parametrize("status", [100, 101, 199, 600, 0, -200])
def test_a_status_is_final(status: int) -> None:
    with pytest.raises(ValueError, match="200 to 599"):
        Response(b"", status)


def test_a_status_is_a_number() -> None:
    status = Response(b"", HTTPStatus.NOT_FOUND).status
    assert status == 404
    assert type(status) is int
    with pytest.raises(TypeError, match="an int, not str: '200'"):
        Response(b"", "200")  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [204, 205, 304])
def test_some_statuses_have_no_body(status: int) -> None:
    assert Response(b"", status).status == status
    with pytest.raises(ValueError, match="has no body"):
        Response(b"x", status)


@pytest.mark.parametrize("body", [{"a": 1}, 1, object()])
def test_what_is_no_body_names_the_fix(body: Any) -> None:
    with pytest.raises(TypeError, match=r"Response\.json"):
        Response(body)


async def test_iterables_are_streamed() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    assert await collect(Response(pieces())) == b"ab"
    assert await collect(Response(piece for piece in (b"a", b"b"))) == b"ab"
    response = Response.stream([b"a"], 201, {"X-A": "1"}, "text/event-stream")
    assert await collect(response) == b"a"
    assert (response.status, list(response.headers)) == (
        201,
        [("X-A", "1"), ("Content-Type", "text/event-stream")],
    )
    assert Response.stream([]).headers["Content-Type"] == "application/octet-stream"


def test_text_and_html() -> None:
    text, html = Response.text("é", 201), Response.html("<p>", headers={"X-A": "1"})
    assert (text.body, text.status, text.headers["Content-Type"]) == (
        "é".encode(),
        201,
        "text/plain; charset=utf-8",
    )
    assert (html.body, html.headers["Content-Type"]) == (b"<p>", "text/html; charset=utf-8")


def test_empty() -> None:
    response = Response.empty()
    assert (response.status, response.body, len(response.headers)) == (204, b"", 0)
    assert repr(response) == "<Response 204  0 bytes>"
    assert "async_generator" in repr(Response.stream([b""]))


# JSON


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    when: datetime.date


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"a": [1, None, True, "é"]}, '{"a":[1,null,true,"é"]}'),
        (datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC), '"2026-01-02T03:04:05+00:00"'),
        (datetime.date(2026, 1, 2), '"2026-01-02"'),
        (datetime.time(3, 4), '"03:04:00"'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (decimal.Decimal("1.10"), '"1.10"'),
        (Color.RED, '"red"'),
        ([Point(1, datetime.date(2026, 1, 2))], '[{"x":1,"when":"2026-01-02"}]'),
        (types.MappingProxyType({"a": 1}), '{"a":1}'),
        ({1}, "[1]"),
        (frozenset(), "[]"),
    ],
)
def test_json(data: Any, text: str) -> None:
    response = Response.json(data)
    assert response.body == text.encode()
    assert response.headers["Content-Type"] == "application/json"


def test_what_json_does_not_have() -> None:
    with pytest.raises(TypeError, match=r"Response\.json cannot encode Path|PosixPath"):
        Response.json({"path": Path()})
    with pytest.raises(TypeError, match="cannot encode type"):
        Response.json(Point)
    coroutine = Request("GET", "/", Headers()).json()
    with pytest.raises(TypeError, match="cannot encode coroutine: await it first"):
        Response.json({"body": coroutine})
    coroutine.close()
    with pytest.raises(ValueError, match="JSON compliant"):
        Response.json(float("nan"))


def test_json_with_a_status_and_fields() -> None:
    response = Response.json([], 201, {"Location": "/1"})
    assert (response.status, response.headers["Location"]) == (201, "/1")


def test_problem_details() -> None:
    response = Response.problem(404)
    assert response.headers["Content-Type"] == "application/problem+json"
    assert json.loads(bytes(response.body)) == {"type": "about:blank", "title": "Not Found", "status": 404}  # type: ignore[arg-type]
    response = Response.problem(
        422,
        "no name",
        type="https://example.org/invalid",
        title="Invalid",
        headers={"X-A": "1"},
        fields=["name"],
    )
    assert response.headers["X-A"] == "1"
    assert json.loads(bytes(response.body)) == {  # type: ignore[arg-type]
        "type": "https://example.org/invalid",
        "title": "Invalid",
        "status": 422,
        "detail": "no name",
        "fields": ["name"],
    }


# Redirects


@pytest.mark.parametrize(
    ("location", "sent"),
    [
        ("/a?b=c&d=%20#e", "/a?b=c&d=%20#e"),
        ("https://user@example.org:8080/~x/(1)", "https://user@example.org:8080/~x/(1)"),
        ("http://[::1]/", "http://[::1]/"),
        ("/grün weg", "/gr%C3%BCn%20weg"),
        ("/\\evil.example", "/%5Cevil.example"),
        ('/"<>', "/%22%3C%3E"),
    ],
)
def test_redirects_go_to_what_a_url_can_be(location: str, sent: str) -> None:
    response = Response.redirect(location)
    assert (response.status, response.body, response.headers["Location"]) == (303, b"", sent)


@pytest.mark.parametrize("location", ["", "/a\r\nSet-Cookie: b=c", "/\t", "/\0"])
def test_redirects_do_not_split_the_response(location: str) -> None:
    with pytest.raises(ValueError, match="cannot go to"):
        Response.redirect(location)


def test_a_redirect_has_the_status_of_one() -> None:
    assert Response.redirect("/", 308, {"X-A": "1"}).status == 308
    with pytest.raises(ValueError, match="301, 302, 303, 307 or 308"):
        Response.redirect("/", 304)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_location_is_always_visible_ascii(location: str) -> None:
    try:
        sent = Response.redirect(location).headers["Location"]
    except ValueError:
        return
    assert all(0x21 <= ord(char) <= 0x7E and char not in '"<>\\^`{|}' for char in sent)


# Files


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_bytes(b"<p>")
    response = Response.file(path)
    assert response.body == FileBody.of(path)
    assert list(response.headers) == [("Content-Length", "3"), ("Content-Type", "text/html; charset=utf-8")]


def test_a_file_as_a_download(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"")
    response = Response.file(
        str(path), status=201, content_type="text/csv", download_name="b.csv", headers={"X-A": "1"}
    )
    assert response.status == 201
    assert response.headers["Content-Type"] == "text/csv"
    assert response.headers["Content-Disposition"] == 'attachment; filename="b.csv"'
    assert response.headers["X-A"] == "1"


def test_the_type_of_a_file_in_the_fields(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_bytes(b"")
    assert Response.file(path, headers={"content-type": "a/b"}).headers.getlist("Content-Type") == ["a/b"]
    assert Response.file(path, headers={"X-A": "1"}).headers["Content-Type"] == "text/html; charset=utf-8"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Response.file(tmp_path / "none")


def test_the_answer_of_another_interface_is_taken_as_it_is() -> None:
    fields = [(b"X", b"y")]
    response = Response.from_raw(299, fields, b"hello")
    assert (response.status, response.body) == (299, b"hello")
    assert response.headers.raw is fields
