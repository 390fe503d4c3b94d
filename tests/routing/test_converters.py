"""Converters: which text each type of parameter takes, and the value it becomes."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest

from pierhead.routing import Converters


def convert(name: str, text: str) -> Any:
    function = Converters()[name].convert
    assert function is not None
    return function(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("42", 42),
        ("-1", -1),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
    ],
)
def test_int_takes_whole_numbers_of_64_bits(text: str, value: int) -> None:
    assert convert("int", text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "007",
        "-0",
        "+1",
        " 1",
        "1 ",
        "1\n",
        "1_000",
        "1.0",
        "0x1",
        "٣",
        "²",
        "9223372036854775808",
        "-9223372036854775809",
        "1" * 5000,
    ],
)
def test_int_takes_one_spelling_of_each_number_and_none_too_large(text: str) -> None:
    with pytest.raises(ValueError):
        convert("int", text)


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0.0), ("1.5", 1.5), ("-0.25", -0.25), ("10", 10.0), ("1.50", 1.5)]
)
def test_float_takes_decimal_numbers(text: str, value: float) -> None:
    assert convert("float", text) == value


@pytest.mark.parametrize(
    "text", ["", ".5", "5.", "1e3", "nan", "inf", "-inf", "+1.0", "00.5", "1,5", "9" * 400, "9" * 309]
)
def test_float_takes_no_exponent_and_nothing_that_is_no_finite_number(text: str) -> None:
    with pytest.raises(ValueError):
        convert("float", text)


def test_uuid_takes_either_case() -> None:
    text = "0191d7a2-9e3c-7b1a-8f00-0123456789ab"
    assert convert("uuid", text) == convert("uuid", text.upper()) == uuid.UUID(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0191d7a29e3c7b1a8f000123456789ab",
        "{0191d7a2-9e3c-7b1a-8f00-0123456789ab}",
        "urn:uuid:0191d7a2-9e3c-7b1a-8f00-0123456789ab",
        "0191d7a2-9e3c-7b1a-8f00-0123456789ag",
    ],
)
def test_uuid_takes_the_canonical_form_only(text: str) -> None:
    with pytest.raises(ValueError):
        convert("uuid", text)


@pytest.mark.parametrize("rule", ["[a-z-]+", re.compile("[a-z-]+")])
def test_a_converter_may_be_a_regular_expression_for_the_whole_segment(rule: Any) -> None:
    converters = Converters()
    converters.add("slug", rule)
    function = converters["slug"].convert
    assert function is not None
    assert function("some-page") == "some-page"
    for text in ("Some-Page", "a page", "page1", "page\n"):
        with pytest.raises(ValueError):
            function(text)


def test_a_converter_may_be_a_function() -> None:
    converters = Converters()
    converters.add("hex", lambda text: int(text, 16))
    function = converters["hex"].convert
    assert function is not None
    assert function("ff") == 255


@pytest.mark.parametrize(
    ("name", "rule", "error", "message"),
    [
        ("int", "[0-9]+", ValueError, "there is a converter 'int' already"),
        ("path", ".*", ValueError, "there is a converter 'path' already"),
        ("a-b", ".*", ValueError, "'a-b' is no name for a converter: use letters, digits and _"),
        ("bad", "[", ValueError, r"converter 'bad': '\[' is no regular expression: unterminated"),
        ("odd", 5, TypeError, "converter 'odd' is a regular expression or a function, not int"),
    ],
)
def test_what_cannot_be_a_converter_is_refused(
    name: str, rule: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Converters().add(name, rule)


def test_an_unknown_converter_is_named_with_the_known_ones() -> None:
    with pytest.raises(
        ValueError, match=r"no converter 'number'; there are: float, int, path, str, uuid; add"
    ):
        Converters()["number"]
