"""Query parameters and form fields: several values a name, never changed."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.messages.params import MultiDict, QueryParams, TooManyFieldsError, parse_urlencoded


def test_a_name_has_one_value_or_several() -> None:
    query = QueryParams.parse("a=1&b=2&a=3")
    assert query["a"] == query.get("a") == "1"
    assert query.getlist("a") == ["1", "3"]
    assert list(query.items()) == [("a", "1"), ("b", "2"), ("a", "3")]
    assert list(query) == list(query.keys()) == ["a", "b"]
    assert len(query) == 2
    assert dict(query) == {"a": "1", "b": "2"}
    assert "b" in query
    assert repr(query) == "QueryParams([('a', '1'), ('b', '2'), ('a', '3')])"


def test_what_is_missing() -> None:
    query = QueryParams.parse("")
    assert not query
    assert query.get("a") is None
    assert query.get("a", "x") == "x"
    assert query.getlist("a") == []
    with pytest.raises(KeyError, match="a"):
        query["a"]


def test_a_list_of_values_is_a_copy() -> None:
    query = QueryParams.parse("a=1")
    query.getlist("a").append("2")
    assert query.getlist("a") == ["1"]


def test_equality() -> None:
    assert QueryParams.parse("a=1&b=2") == QueryParams([("a", "1"), ("b", "2")])
    assert QueryParams.parse("a=1") != QueryParams.parse("a=2")
    assert MultiDict([("a", 1)]) != {"a": 1}


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("a", [("a", "")]),
        ("a=", [("a", "")]),
        ("=b", [("", "b")]),
        ("&&a=1&", [("a", "1")]),
        ("a=b=c", [("a", "b=c")]),
        ("a+b=c%20d%2B", [("a b", "c d+")]),
        ("a;b=1", [("a;b", "1")]),
        ("%e2%82%ac=%E2%82%AC", [("€", "€")]),
        ("a=%ff%", [("a", "\ufffd%")]),
    ],
)
def test_urlencoded_text_is_parsed(text: str, pairs: list[tuple[str, str]]) -> None:
    assert parse_urlencoded(text) == pairs


def test_the_number_of_fields_is_limited() -> None:
    assert len(parse_urlencoded("a=1&b=2", 2)) == 2
    with pytest.raises(TooManyFieldsError, match="more than 2 fields"):
        parse_urlencoded("a&b&c", 2)


TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.lists(st.tuples(TEXT, TEXT)))
def test_what_is_encoded_is_parsed(pairs: list[tuple[str, str]]) -> None:
    assert list(QueryParams.parse(urlencode(pairs)).items()) == pairs
