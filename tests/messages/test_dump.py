"""The dump shows a request to who debugs it, and its secrets to nobody."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.messages.dump import dump, is_secret, mask_query
from pierhead.messages.headers import Headers
from pierhead.messages.request import Address, Request
from tests.messages.support import Pieces, get


async def test_the_whole_request() -> None:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\nAda\r\n'
        b'--x\r\nContent-Disposition: form-data; name="password"\r\n\r\nhidden\r\n'
        b'--x\r\nContent-Disposition: form-data; name="cv"; filename="cv.txt"\r\n\r\ncontent\r\n--x--\r\n'
    )
    request = Request(
        "POST",
        "/users/7?page=2&api_key=hidden",
        Headers(
            [
                ("Host", "example.org"),
                ("Cookie", "theme=dark; id=hidden"),
                ("Authorization", "Basic hidden"),
                ("Referer", "https://ada:hidden@example.org/?access_token=hidden&x=1"),
                ("Content-Type", "multipart/form-data; boundary=x"),
            ]
        ),
        reader=Pieces(body),
        client=Address("::1", 50000),
        server=Address("unix:/run/app.sock", None),
        id="r1",
    )
    request.params = {"id": 7, "token": "hidden"}
    await request.form()
    assert request.dump() == "\n".join(
        [
            "POST /users/7?page=2&api_key=*** HTTP/1.1",
            "  id: r1",
            "  url: http://example.org/users/7?page=2&api_key=***",
            "  client: [::1]:50000",
            "  server: unix:/run/app.sock",
            "headers:",
            "  Host: example.org",
            "  Cookie: ***",
            "  Authorization: ***",
            "  Referer: https://***@example.org/?access_token=***&x=1",
            "  Content-Type: multipart/form-data; boundary=x",
            "params:",
            "  id: 7",
            "  token: ***",
            "query:",
            "  page: 2",
            "  api_key: ***",
            "cookies:",
            "  theme: ***",
            "  id: ***",
            "form:",
            "  name: Ada",
            "  password: ***",
            "files:",
            "  cv: <Upload 'cv' 'cv.txt' 7 bytes>",
        ]
    )
    await request.close()


def test_what_there_is_not_is_not_shown() -> None:
    request = Request("GET", "/", Headers(), id="r1", client=Address("127.0.0.1", 1))
    assert dump(request) == "GET / HTTP/1.1\n  id: r1\n  url: http:///\n  client: 127.0.0.1:1"


def test_nothing_forges_a_line() -> None:
    text = get("/?a=%0Aheaders:%0A%20%20X:%201&b=%1b[31m").dump()
    assert r"a: \nheaders:\n  X: 1" in text
    assert r"b: \x1b[31m" in text


def test_long_values_are_cut() -> None:
    text = get("/", {"X-Long": "x" * 5000}).dump()
    assert "x" * 1000 + "... (5000 characters)" in text
    assert "x" * 1001 not in text


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "PASSWD",
        "user_password",
        "pwd",
        "pass",
        "client_secret",
        "access_token",
        "X-Auth-Token",
        "Authorization",
        "Proxy-Authorization",
        "Set-Cookie",
        "sessionid",
        "api_key",
        "X-Api-Key",
        "apikey",
        "csrf",
        "otp",
        "pin",
        "private_key",
    ],
)
def test_secrets_by_their_names(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", ["name", "author", "page", "compass", "shipping", "Accept", "key"])
def test_names_of_what_may_be_seen(name: str) -> None:
    assert not is_secret(name)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("token=a", "token=***"),
        ("/x?a=1&token=abc&b=2", "/x?a=1&token=***&b=2"),
        ("/x?t%6Fken=abc", "/x?t%6Fken=***"),
        ("/x?token=", "/x?token=***"),
        ("/token/abc", "/token/abc"),
        ("https://a:b@c/?d", "https://***@c/?d"),
    ],
)
def test_secrets_in_queries(text: str, masked: str) -> None:
    assert mask_query(text) == masked


@given(st.text(), st.text())
def test_no_secret_of_a_query_is_seen(name: str, value: str) -> None:
    from urllib.parse import urlencode

    query = urlencode({name: "1", "password": f"hidden{value}"}, errors="replace")
    assert "hidden" not in get("/?" + query).dump()
