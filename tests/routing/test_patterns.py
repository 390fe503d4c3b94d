"""Patterns: how paths are declared, and what is said about mistakes in them."""

from __future__ import annotations

import pytest

from pierhead.routing.patterns import Parameter, parse_pattern


def test_a_pattern_is_text_and_parameters() -> None:
    pattern = parse_pattern("/user/{id:int}/files/{rest:path}")
    assert pattern.segments == ("user", Parameter("id", "int"), "files", Parameter("rest", "path"))
    assert pattern.names == ("id", "rest")
    assert not pattern.fixed


def test_a_parameter_without_a_converter_is_text() -> None:
    assert parse_pattern("/{name}").segments == (Parameter("name", "str"),)


def test_a_slash_at_the_end_is_a_segment_of_its_own() -> None:
    assert parse_pattern("/").segments == ("",)
    assert parse_pattern("/users/").segments == ("users", "")


@pytest.mark.parametrize(
    ("text", "fixed"), [("/", True), ("/a/b", True), ("/{a}", False), ("/100%25", False)]
)
def test_a_fixed_pattern_is_the_path_to_the_letter(text: str, fixed: bool) -> None:
    assert parse_pattern(text).fixed is fixed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a path begins with '/', '' does not"),
        ("users", "a path begins with '/', 'users' does not"),
        ("/users?page=1", "a path has no query and no fragment: .*; read the query from request.query"),
        ("/a#b", "a path has no query and no fragment"),
        ("/v{major}", r"a parameter is a whole segment, \{name\} or \{name:converter\}, not 'v\{major\}'"),
        ("/<int:id>", r"a parameter is \{name\} or \{name:converter\}, not '<int:id>'"),
        ("/{}", "a parameter is a whole segment"),
        ("/{id:}", "a parameter is a whole segment"),
        ("/{1st}", "a parameter is a whole segment"),
        ("/{id", "a parameter is a whole segment"),
        ("/{id}/{id:int}", "has two parameters 'id'; give each its own name"),
        ("/{rest:path}/edit", "a path parameter takes all that follows, so it is the last segment"),
        ("/a/../b", r"clients resolve the segment '\.\.', no request would match"),
    ],
)
def test_a_mistake_is_named_with_its_fix(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_pattern(text)


def test_a_decorator_without_brackets_is_told_what_it_lacks() -> None:
    with pytest.raises(TypeError, match=r"a path is a str, not function: write @app\.get\('/path'\)"):
        parse_pattern(lambda request: None)  # type: ignore[arg-type]
