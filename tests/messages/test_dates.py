"""HTTP dates are read in three forms and written in one."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.messages.dates import format_http_date, parse_http_date


@pytest.mark.parametrize(
    "text",
    ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"],
)
def test_the_three_forms_of_rfc_9110_5_6_7(text: str) -> None:
    assert parse_http_date(text) == 784111777


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 25:49:37 GMT",
        "sun, 06 nov 1994 08:49:37 gmt",
        "Sun, ٠٦ Nov 1994 08:49:37 GMT",
    ],
)
def test_what_is_no_date_is_none(text: str) -> None:
    assert parse_http_date(text) is None


def test_a_year_of_two_digits_is_at_most_fifty_years_ahead() -> None:
    this_year = datetime.datetime.now(datetime.UTC).year
    for ahead, expected in [(50, this_year + 50), (51, this_year - 49)]:
        text = f"Sunday, 06-Nov-{(this_year + ahead) % 100:02} 00:00:00 GMT"
        seconds = parse_http_date(text)
        assert seconds is not None
        assert datetime.datetime.fromtimestamp(seconds, datetime.UTC).year == expected


def test_a_leap_second_is_read() -> None:
    assert parse_http_date("Sat, 31 Dec 2016 23:59:60 GMT") == 1483228799


def test_a_datetime_needs_a_time_zone() -> None:
    paris = datetime.timezone(datetime.timedelta(hours=1))
    assert (
        format_http_date(datetime.datetime(1994, 11, 6, 9, 49, 37, tzinfo=paris))
        == "Sun, 06 Nov 1994 08:49:37 GMT"
    )
    with pytest.raises(ValueError, match="no time zone"):
        format_http_date(datetime.datetime(1994, 11, 6))


@given(st.integers(0, 253402300799))
def test_what_is_written_is_read(seconds: int) -> None:
    assert parse_http_date(format_http_date(seconds)) == seconds
