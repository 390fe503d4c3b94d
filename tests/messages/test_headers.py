"""Headers: an ordered, case-insensitive multi-map that nothing forbidden gets into."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.messages.headers import HeaderItems, Headers, LazyHeaders

NAMES = st.text("!#$%&'*+-.^_`|~0123456789abcXYZ", min_size=1)
VALUES = st.text(
    st.one_of(
        st.just("\t"),
        st.characters(min_codepoint=0x20, max_codepoint=0x7E),
        st.characters(min_codepoint=0x80, max_codepoint=0xFF),
    )
)


@pytest.mark.parametrize(
    "items",
    [
        {"Accept": "text/html", "Host": "a"},
        [("Accept", "text/html"), ("Host", "a")],
        [(b"Accept", b"text/html"), (b"Host", b"a")],
        Headers([("Accept", "text/html"), ("Host", "a")]),
    ],
)
def test_headers_are_made_of_mappings_pairs_and_headers(items: HeaderItems) -> None:
    headers = Headers(items)
    assert headers.raw == [(b"Accept", b"text/html"), (b"Host", b"a")]
    assert list(headers) == list(headers.items()) == [("Accept", "text/html"), ("Host", "a")]
    assert len(headers) == 2


def test_a_copy_does_not_change_with_the_original() -> None:
    original = Headers({"A": "1"})
    copy = Headers(original)
    original.add("B", "2")
    assert "B" not in copy


def test_names_compare_without_case_and_keep_theirs() -> None:
    headers = Headers({"X-Thing": "1"})
    assert headers["x-thing"] == headers.get("X-THING") == "1"
    assert "x-tHING" in headers
    assert "x-other" not in headers
    assert 1 not in headers
    assert list(headers) == [("X-Thing", "1")]


def test_several_lines_of_a_name_are_one_list() -> None:
    headers = Headers([("Accept", "a"), ("Host", "x"), ("accept", "b")])
    assert headers["Accept"] == "a, b"
    assert headers.getlist("ACCEPT") == ["a", "b"]
    assert headers.getlist("none") == []


def test_set_cookie_is_never_joined() -> None:
    headers = Headers([("Set-Cookie", "a=1"), ("Set-Cookie", "b=2; Expires=Thu, 01 Jan 1970 00:00:00 GMT")])
    assert headers.get("set-cookie") == "a=1"
    assert len(headers.getlist("Set-Cookie")) == 2


def test_what_is_missing() -> None:
    headers = Headers()
    assert headers.get("Host") is None
    assert headers.get("Host", 7) == 7
    with pytest.raises(KeyError, match="Host"):
        headers["Host"]
    with pytest.raises(KeyError, match="Host"):
        del headers["Host"]


def test_setting_replaces_all_lines_in_the_place_of_the_first() -> None:
    headers = Headers([("A", "1"), ("B", "2"), ("a", "3"), ("C", "4")])
    headers["a"] = "5"
    assert list(headers) == [("a", "5"), ("B", "2"), ("C", "4")]
    headers["D"] = "6"
    assert list(headers)[-1] == ("D", "6")


def test_deleting_removes_all_lines() -> None:
    headers = Headers([("A", "1"), ("B", "2"), ("a", "3")])
    del headers["A"]
    assert list(headers) == [("B", "2")]


def test_setdefault_keeps_what_is_there() -> None:
    headers = Headers({"A": "1"})
    assert headers.setdefault("a", "2") == "1"
    assert headers.setdefault("B", "2") == "2"
    assert list(headers) == [("A", "1"), ("B", "2")]


def test_equality_ignores_the_case_of_names_only() -> None:
    assert Headers({"A": "x"}) == Headers({"a": "x"})
    assert Headers({"A": "x"}) != Headers({"A": "X"})
    assert Headers() != {}
    assert repr(Headers({"A": "x"})) == "Headers([('A', 'x')])"


def test_from_raw_takes_the_lines_as_they_are() -> None:
    raw = [(b"Name", b"caf\xe9")]
    headers = Headers.from_raw(raw)
    assert headers.raw is raw
    assert headers["name"] == "café"


@pytest.mark.parametrize("name", ["", " A", "A ", "A:", "A\r\nB", "Ä", "a\0", b"A\n", "(a)", "日"])
def test_a_name_is_a_token(name: str) -> None:
    headers = Headers()
    with pytest.raises(ValueError, match="no header name"):
        headers.add(name, "x")
    assert len(headers) == 0


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: x=y", "a\n", "\r", "a\0b", "\x1b[31m", "\x7f", b"a\r\n"])
def test_a_value_has_no_control_characters(value: str) -> None:
    with pytest.raises(ValueError, match="'X' has control characters"):
        Headers([("X", value)])
    headers = Headers({"X": "kept"})
    with pytest.raises(ValueError, match="control characters"):
        headers["X"] = value
    assert headers["X"] == "kept"


def test_a_value_outside_latin_1_is_told_how_to_go() -> None:
    with pytest.raises(ValueError, match="percent-encode it"):
        Headers({"X": "日本"})


def test_names_and_values_are_text_or_bytes() -> None:
    with pytest.raises(TypeError, match="'Content-Length' is str or bytes, not int: 5"):
        Headers([("Content-Length", 5)])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="a header name is str or bytes, not int: 5"):
        Headers([(5, "x")])  # type: ignore[list-item]


def test_white_space_around_a_value_is_no_part_of_it() -> None:
    assert Headers({"A": " \tb c\t "}).raw == [(b"A", b"b c")]


@given(st.lists(st.tuples(NAMES, VALUES)))
def test_what_is_added_is_what_goes_over_the_wire(pairs: list[tuple[str, str]]) -> None:
    headers = Headers(pairs)
    expected = [(name, value.strip(" \t")) for name, value in pairs]
    assert list(headers) == expected
    assert Headers.from_raw(headers.raw) == headers
    for name, _ in expected:
        assert headers.getlist(name) == [v for n, v in expected if n.lower() == name.lower()]
        assert headers[name] == ", ".join(headers.getlist(name))


@given(st.text() | st.binary(), st.text() | st.binary())
def test_nothing_gets_in_that_would_end_a_line(name: str | bytes, value: str | bytes) -> None:
    try:
        headers = Headers([(name, value)])
    except ValueError:
        return
    ((raw_name, raw_value),) = headers.raw
    assert not set(raw_name + raw_value) & set(b"\r\n\0")
    assert b":" not in raw_name


def test_lazy_headers_are_split_once_and_only_when_asked() -> None:
    calls: list[bytes] = []

    def split(section: bytes) -> list[tuple[bytes, bytes]]:
        calls.append(section)
        return [(b"Host", b"a")]

    headers = LazyHeaders(split, b"section")
    assert calls == []
    assert headers.get("host") == "a"
    assert len(headers) == 1
    assert calls == [b"section"]
    with pytest.raises(AttributeError, match="nothing"):
        headers.nothing  # noqa: B018
