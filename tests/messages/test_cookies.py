"""Cookies: lenient to read, strict to write (RFC 6265bis)."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.messages.cookies import CookieSetter, parse_cookies, render_cookie
from pierhead.messages.response import Response


@pytest.mark.parametrize(
    ("value", "cookies"),
    [
        ("", {}),
        ("a=1", {"a": "1"}),
        ("a=1; b=2", {"a": "1", "b": "2"}),
        ("a=1;b=2 ;  c = 3 ", {"a": "1", "b": "2", "c": "3"}),
        ("a=1; a=2", {"a": "1"}),
        ('a="x y"; b="', {"a": "x y", "b": '"'}),
        ("a=b=c; d=", {"a": "b=c", "d": ""}),
        ("nameless; =x; ;", {}),
        ("a=caf\xc3\xa9; b=\xff", {"a": "café", "b": "\ufffd"}),
    ],
)
def test_a_cookie_field_is_read(value: str, cookies: dict[str, str]) -> None:
    assert parse_cookies(value) == cookies


def test_a_cookie_is_safe_from_other_sites_by_default() -> None:
    assert render_cookie("a", "1") == "a=1; Path=/; SameSite=Lax"


def test_all_attributes() -> None:
    rendered = render_cookie(
        "__Secure-id",
        "x-1",
        max_age=60,
        expires=datetime.datetime(2030, 1, 2, tzinfo=datetime.UTC),
        path="/app",
        domain=".example.org",
        secure=True,
        httponly=True,
        samesite="None",
        partitioned=True,
    )
    assert rendered == (
        "__Secure-id=x-1; Expires=Wed, 02 Jan 2030 00:00:00 GMT; Max-Age=60; Domain=example.org; Path=/app; "
        "Secure; HttpOnly; SameSite=None; Partitioned"
    )


def test_attributes_can_be_left_out() -> None:
    assert render_cookie("a", "", path=None, samesite=None) == "a="


@pytest.mark.parametrize(
    ("name", "value", "attributes", "message"),
    [
        ("", "1", {}, "no cookie name"),
        ("a b", "1", {}, "no cookie name"),
        ("a=b", "1", {}, "no cookie name"),
        ("ä", "1", {}, "no cookie name"),
        ("a", "1; Domain=evil", {}, "quote"),
        ("a", "x\r\nSet-Cookie: b=2", {}, "quote"),
        ("a", "é", {}, "quote"),
        ("a", "x" * 4096, {}, "at most 4096"),
        ("a", "1", {"path": "/a; Domain=b"}, "no cookie path"),
        ("a", "1", {"path": "a"}, "no cookie path"),
        ("a", "1", {"path": "/é"}, "no cookie path"),
        ("a", "1", {"path": "/" + "x" * 1024}, "no cookie path"),
        ("a", "1", {"domain": "a;b"}, "no domain"),
        ("a", "1", {"domain": "-a"}, "no domain"),
        ("a", "1", {"domain": "a..b"}, "no domain"),
        ("a", "1", {"domain": "a" * 254}, "no domain"),
        ("a", "1", {"domain": "example.org\n"}, "no domain"),
        ("a", "1", {"samesite": "lax\r\n"}, "samesite is"),
        ("a", "1", {"samesite": "None"}, "SameSite=None without Secure"),
        ("a", "1", {"partitioned": True}, "Partitioned without Secure"),
        ("a", "1", {"expires": datetime.datetime(2030, 1, 1)}, "time zone"),
        ("__secure-a", "1", {}, "__Secure- needs"),
        ("__Host-a", "1", {}, "__Host- needs"),
        ("__Host-a", "1", {"secure": True, "path": "/a"}, "__Host- needs"),
        ("__HOST-a", "1", {"secure": True, "domain": "a.b"}, "__Host- needs"),
    ],
)
def test_what_browsers_would_reject_or_misread_is_refused(
    name: str, value: str, attributes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        render_cookie(name, value, **attributes)


def test_the_prefixes_with_what_they_need() -> None:
    assert render_cookie("__Host-a", "1", secure=True) == "__Host-a=1; Path=/; Secure; SameSite=Lax"


def test_responses_collect_cookies() -> None:
    response = Response.empty()
    response.set_cookie("a", "1", httponly=True, samesite="Strict")
    response.set_cookie("b", "2")
    assert response.headers.getlist("Set-Cookie") == [
        "a=1; Path=/; HttpOnly; SameSite=Strict",
        "b=2; Path=/; SameSite=Lax",
    ]


def test_deleting_a_cookie_expires_it() -> None:
    response = Response.empty()
    response.delete_cookie("a", "/app", "example.org")
    response.delete_cookie("__Host-b")
    expired = "Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0"
    assert response.headers.getlist("Set-Cookie") == [
        f"a=; {expired}; Domain=example.org; Path=/app; SameSite=Lax",
        f"__Host-b=; {expired}; Path=/; Secure; SameSite=Lax",
    ]


def test_who_sets_cookies_says_where_they_go() -> None:
    with pytest.raises(NotImplementedError):
        CookieSetter().set_cookie("a", "1")


@given(
    st.text("!#$%&'*+-.^_`|~0123456789abcXYZ", min_size=1, max_size=20),
    st.text("".join(map(chr, range(0x21, 0x7F)))).map(
        lambda text: text.translate(dict.fromkeys(map(ord, '",;\\')))
    ),
)
def test_what_is_rendered_is_read(name: str, value: str) -> None:
    pair = render_cookie(name, value, secure=True).partition(";")[0]
    assert parse_cookies(f"first=1; {pair}; last=2")[name] == value


@given(st.text(), st.text())
def test_nothing_that_is_rendered_has_a_second_attribute(name: str, value: str) -> None:
    try:
        rendered = render_cookie(name, value, path=None, samesite=None, secure=True)
    except ValueError:
        return
    assert rendered.count(";") == 1
    assert rendered.isascii()
    assert rendered.isprintable()


@given(st.text(st.characters(max_codepoint=0xFF)))
def test_reading_never_fails(value: str) -> None:
    parse_cookies(value)
