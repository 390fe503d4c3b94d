"""Media types with their parameters, and those of files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.messages.media import MediaType, guess_content_type


@pytest.mark.parametrize(
    ("value", "type_", "params"),
    [
        ("text/html", "text/html", {}),
        (" Text/HTML ", "text/html", {}),
        ("text/html;charset=UTF-8", "text/html", {"charset": "UTF-8"}),
        ('text/html ; Charset="utf-8" ', "text/html", {"charset": "utf-8"}),
        ("text/html;;a=b; ;", "text/html", {"a": "b"}),
        (r'x/y; a="b\"c\\;d"; e=f', "x/y", {"a": 'b"c\\;d', "e": "f"}),
        ('x/y; a=""', "x/y", {"a": ""}),
    ],
)
def test_media_types_are_parsed(value: str, type_: str, params: dict[str, str]) -> None:
    assert MediaType.parse(value) == MediaType(type_, params)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "text",
        "text/",
        "/html",
        "a/b c",
        "a/b; c",
        "a/b; c=",
        'a/b; c="',
        "a/b, c/d",
        'a/b; c="\x01"',
        "a/b; c =d",
    ],
)
def test_what_is_malformed_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="media type"):
        MediaType.parse(value)


def test_a_parameter_stands_once() -> None:
    with pytest.raises(ValueError, match="two parameters 'BOUNDARY'"):
        MediaType.parse("multipart/form-data; boundary=a; BOUNDARY=b")


def test_json_is_told_by_its_suffix_too() -> None:
    assert MediaType("application/json").is_json
    assert MediaType("application/problem+json").is_json
    assert not MediaType("text/json5").is_json


def test_only_charsets_in_use_have_a_codec() -> None:
    assert MediaType("text/plain").codec == "utf-8"
    assert MediaType("text/plain", {"charset": "ISO-8859-1"}).codec == "latin-1"
    assert MediaType("text/plain", {"charset": "punycode"}).codec is None


def test_no_media_type_is_false() -> None:
    assert not MediaType()
    assert MediaType("a/b")


TOKENS = st.text("abcxyz019-+.", min_size=1)


@given(
    TOKENS, TOKENS, st.dictionaries(TOKENS, st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)))
)
def test_what_is_rendered_is_parsed(main: str, sub: str, params: dict[str, str]) -> None:
    media_type = MediaType(f"{main}/{sub}", params)
    assert MediaType.parse(str(media_type)) == media_type


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("index.html", "text/html; charset=utf-8"),
        ("A.PNG", "image/png"),
        ("a.tar.gz", "application/gzip"),
        ("README", "application/octet-stream"),
        ("a.unknown", "application/octet-stream"),
    ],
)
def test_files_have_a_type_by_their_extension(name: str, content_type: str) -> None:
    assert guess_content_type(name) == content_type
