"""Request: the facts of a message, and the views of them."""

from __future__ import annotations

from typing import Any

import pytest

from pierhead.errors import ClientDisconnected, HTTPError
from pierhead.interfaces.collect import CollectedResponse
from pierhead.messages.auth import BasicAuth
from pierhead.messages.body import BodyLimits
from pierhead.messages.headers import Headers
from pierhead.messages.media import MediaType
from pierhead.messages.request import Address, Request
from tests.messages.support import Pieces, get, post

JSON = "application/json"


def test_the_facts() -> None:
    client, server = Address("192.0.2.1", 50000), Address("unix:/run/app.sock", None)
    request = Request(
        "GET", "/a", Headers(), http_version="1.0", scheme="https", client=client, server=server, id="r1"
    )
    assert (request.method, request.target, request.http_version, request.scheme) == (
        "GET",
        "/a",
        "1.0",
        "https",
    )
    assert (request.client, request.server, request.id) == (client, server, "r1")
    assert request.params == {}
    assert repr(request) == "<Request GET /a [r1]>"


def test_a_request_without_an_id_gets_one() -> None:
    request = get()
    assert len(request.id) == 32
    assert request.id == request.id != get().id


@pytest.mark.parametrize(
    ("target", "raw_path", "path", "query"),
    [
        ("/", "/", "/", ""),
        ("/a/b?x=1&y=?", "/a/b", "/a/b", "x=1&y=?"),
        ("/caf%C3%A9%20x", "/caf%C3%A9%20x", "/café x", ""),
        ("/a%2Fb%2fc", "/a%2Fb%2fc", "/a%2Fb%2fc", ""),
        ("/%ff", "/%ff", "/\ufffd", ""),
        ("/a+b?c", "/a+b", "/a+b", "c"),
        ("http://example.org/a?b", "/a", "/a", "b"),
        ("http://example.org", "/", "/", ""),
        ("http://example.org?b", "/", "/", "b"),
        ("/redirect?to=http://x/y", "/redirect", "/redirect", "to=http://x/y"),
        ("//a/b", "//a/b", "//a/b", ""),
        ("*", "*", "*", ""),
    ],
)
def test_the_target_is_taken_apart(target: str, raw_path: str, path: str, query: str) -> None:
    request = get(target)
    assert (request.raw_path, request.path, request.query_string) == (raw_path, path, query)


def test_query_parameters() -> None:
    request = get("/?a=1&a=2")
    assert request.query.getlist("a") == ["1", "2"]
    assert request.query is request.query


@pytest.mark.parametrize(
    ("target", "host", "server", "expected"),
    [
        ("/", "example.org:8080", None, "example.org:8080"),
        ("http://a.example/b", "b.example", None, "a.example"),
        ("http://a.example:81?b", None, None, "a.example:81"),
        ("/", None, Address("192.0.2.1", 80), "192.0.2.1:80"),
        ("/", None, Address("::1", 80), "[::1]:80"),
        ("/", None, Address("unix:/x", None), ""),
        ("/", None, None, ""),
        ("*", "example.org", None, "example.org"),
    ],
)
def test_the_host(target: str, host: str | None, server: Address | None, expected: str) -> None:
    request = Request("GET", target, Headers({"Host": host} if host else {}), server=server)
    assert request.host == expected


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("/a%20b?x=1", "http://example.org/a%20b?x=1"),
        ("/?", "http://example.org/?"),
        ("http://example.org/x", "http://example.org/x"),
        ("*", "http://example.org"),
    ],
)
def test_the_url(target: str, url: str) -> None:
    assert get(target, {"Host": "example.org"}).url == url


def test_a_mounted_application_sees_its_own_paths() -> None:
    request = get("/shop/cart?x", {"Host": "example.org"})
    request.root_path, request.raw_path = "/shop", "/cart"
    assert request.path == "/cart"
    assert request.url == "http://example.org/shop/cart?x"
    assert request.url_for_path("/checkout") == "/shop/checkout"
    with pytest.raises(ValueError, match="begins with '/'"):
        request.url_for_path("checkout")


def test_cookies_of_all_lines() -> None:
    request = Request("GET", "/", Headers([("Cookie", "a=1; b=2"), ("cookie", "c=3")]))
    assert request.cookies == {"a": "1", "b": "2", "c": "3"}
    assert request.cookies is request.cookies
    assert get().cookies == {}


def test_basic_auth() -> None:
    request = get("/", {"Authorization": "Basic YTpi"})
    assert request.basic_auth == BasicAuth("a", "b")
    assert request.basic_auth is request.basic_auth
    assert get().basic_auth is None


def test_the_content_type_is_false_where_it_is_absent_or_malformed() -> None:
    request = get("/", {"Content-Type": "text/plain; charset=latin1"})
    assert request.content_type == MediaType("text/plain", {"charset": "latin1"})
    assert request.content_type is request.content_type
    assert not get().content_type
    assert not get("/", {"Content-Type": "nonsense"}).content_type


@pytest.mark.parametrize(
    ("value", "length"),
    [("0", 0), ("12", 12), ("", None), ("-1", None), ("1, 1", None), ("²", None), ("9" * 20, None)],
)
def test_the_content_length(value: str, length: int | None) -> None:
    assert get("/", {"Content-Length": value}).content_length == length


def test_state_belongs_to_one_request() -> None:
    first, second = get(), get()
    first.state.user = "ada"
    assert first.state.user == "ada"
    with pytest.raises(AttributeError, match=r"request\.state has no 'user'"):
        _ = second.state.user


def test_fields_and_cookies_for_the_response_to_come() -> None:
    request = get()
    assert len(request.response_headers) == 0
    request.response_headers.add("X-A", "1")
    request.set_cookie("a", "1")
    assert list(request.response_headers) == [("X-A", "1"), ("Set-Cookie", "a=1; Path=/; SameSite=Lax")]


def test_the_application_is_known_once_it_is_set() -> None:
    with pytest.raises(AttributeError, match="app"):
        _ = get().app


# The body


async def test_the_whole_body_as_often_as_wanted() -> None:
    request = post([b"ab", b"cd"])
    assert await request.body() == b"abcd"
    assert await request.body() == b"abcd"
    assert [piece async for piece in request.stream()] == [b"abcd"]


async def test_a_request_without_a_body() -> None:
    request = get()
    assert await request.body() == b""
    assert [piece async for piece in request.stream()] == []
    assert [piece async for piece in get().stream()] == []
    assert len(request.trailers) == 0
    await request.close()


async def test_a_body_is_streamed_once() -> None:
    request = post([b"ab", b"cd"])
    assert [piece async for piece in request.stream()] == [b"ab", b"cd"]
    with pytest.raises(RuntimeError, match=r"already read by stream\(\); read it by body\(\)"):
        await request.body()
    with pytest.raises(RuntimeError, match=r"already read by stream\(\)"):
        await anext(request.stream())


async def test_a_body_over_the_limit_is_refused() -> None:
    limits = BodyLimits(max_buffered_body_bytes=3)
    assert await post([b"abc"], limits=limits).body() == b"abc"
    for announce in (True, False):
        with pytest.raises(HTTPError, match="413") as caught:
            await post([b"ab", b"cd"], limits=limits, announce=announce).body()
        assert "4 bytes" in str(caught.value) or "more than the 3 bytes" in str(caught.value)


async def test_what_breaks_the_body_reaches_the_reader() -> None:
    with pytest.raises(ClientDisconnected):
        await post([b"ab", ClientDisconnected("gone")]).body()


async def test_trailers_follow_the_body() -> None:
    reader = Pieces(b"x", trailers=Headers({"Digest": "y"}))
    request = Request("POST", "/", Headers(), reader=reader)
    await request.body()
    assert request.trailers["Digest"] == "y"


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        ("grün".encode(), "", "grün"),
        ("grün".encode(), "text/plain; charset=UTF-8", "grün"),
        ("grün".encode("latin-1"), "text/plain; charset=ISO-8859-1", "grün"),
    ],
)
async def test_text_in_the_charset_it_declares(body: bytes, content_type: str, text: str) -> None:
    assert await post(body, content_type).text() == text


@pytest.mark.parametrize(
    ("content_type", "status"),
    [("text/plain", 400), ("text/plain; charset=ascii", 400), ("a/b; charset=rot13", 415)],
)
async def test_text_that_is_none(content_type: str, status: int) -> None:
    with pytest.raises(HTTPError) as caught:
        await post(b"\xff\xff", content_type).text()
    assert caught.value.status == status


async def test_json_is_parsed_once() -> None:
    request = post(b'{"a": [1, 2.5, null, "\\ud83d\\ude00"]}', "application/merge-patch+json; charset=utf-8")
    data = await request.json()
    assert data == {"a": [1, 2.5, None, "😀"]}
    assert await request.json() is data


async def test_json_null_is_a_value() -> None:
    request = post(b"null", JSON)
    assert await request.json() is None
    assert await request.json() is None


@pytest.mark.parametrize("content_type", ["", "text/plain", "nonsense"])
async def test_json_is_declared(content_type: str) -> None:
    with pytest.raises(HTTPError, match="415") as caught:
        await post(b"{}", content_type).json()
    assert caught.value.headers["Accept"] == "application/json"


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "empty"),
        (b'{"a": 1,}', "line 1 column"),
        (b"{'a': 1}", "line 1 column 2"),
        (b"[NaN]", "NaN is no JSON number"),
        (b"-Infinity", "-Infinity is no JSON number"),
        (b"1e999", "1e999 is too large"),
        (b"1" * 5000, "Exceeds the limit"),
        (b"\xff", "not valid Unicode"),
        (b'"\xed\xa0\x80"', "not valid Unicode"),
        (b'"\\ud800"', "not valid Unicode"),
        (b"\xef\xbb\xbf1", "BOM"),
        (b"[" * 200_000, "nested too deeply"),
    ],
)
async def test_what_is_no_json(body: bytes, detail: str) -> None:
    with pytest.raises(HTTPError, match="400") as caught:
        await post(body, JSON).json()
    assert detail in caught.value.detail


async def test_a_form_is_read_once() -> None:
    request = post([b"a=1&b", b"=%C3%A9"], "application/x-www-form-urlencoded")
    form = await request.form()
    assert dict(form) == {"a": "1", "b": "é"}
    assert await request.form() is form
    assert await request.body() == b"a=1&b=%C3%A9"
    assert request.form_if_read is form
    await request.close()


async def test_a_form_can_be_read_from_a_body_that_was_read() -> None:
    request = post(b"a=1", "application/x-www-form-urlencoded")
    await request.body()
    assert (await request.form())["a"] == "1"
    empty = Request("POST", "/", Headers({"Content-Type": "application/x-www-form-urlencoded"}))
    assert len(await empty.form()) == 0


async def test_the_size_of_a_form_is_limited() -> None:
    limits = BodyLimits(max_form_memory_bytes=5)
    with pytest.raises(HTTPError, match="413"):
        await post(b"a=1234", "application/x-www-form-urlencoded", limits=limits).form()


@pytest.mark.parametrize("content_type", ["", JSON])
async def test_a_form_is_declared(content_type: str) -> None:
    with pytest.raises(HTTPError, match="415") as caught:
        await post(b"a=1", content_type).form()
    assert "multipart/form-data" in caught.value.headers["Accept"]


async def test_a_multipart_form_takes_the_body() -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'
    request = post(body, "multipart/form-data; boundary=x")
    assert dict(await request.form()) == {"a": "1"}
    with pytest.raises(RuntimeError, match=r"read by form\(\)"):
        await request.body()


@pytest.mark.parametrize("max_spool_memory_bytes", [10, 10000])
async def test_files_are_closed_with_the_request(max_spool_memory_bytes: int) -> None:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="f"; filename="n"\r\n\r\n'
        + b"y" * 1000
        + b"\r\n--x--\r\n"
    )
    limits = BodyLimits(max_spool_memory_bytes=max_spool_memory_bytes)
    request = post(body, "multipart/form-data; boundary=x", limits=limits)
    upload = (await request.form()).files["f"]
    assert upload.in_memory == (max_spool_memory_bytes > 1000)
    await request.close()
    assert upload.file.closed


def test_dump_describes_the_request() -> None:
    assert get("/x").dump().startswith("GET /x HTTP/1.1")


def test_views_cost_no_attributes() -> None:
    request: Any = get()
    with pytest.raises(AttributeError):
        request.user = "ada"


def test_a_deadline_is_extended_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    request = get()
    request.extend_deadline(5)  # nothing transports it: nobody is in a hurry
    asked: list[float] = []
    request.channel = CollectedResponse()
    monkeypatch.setattr(request.channel, "extend", asked.append)
    request.extend_deadline(2.5)
    assert asked == [2.5]


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
def test_a_deadline_is_not_extended_for_ever(seconds: float) -> None:
    with pytest.raises(ValueError, match="positive number of seconds"):
        get().extend_deadline(seconds)
