"""HTTP dates (RFC 9110, 5.6.7)."""

from __future__ import annotations

import datetime
import re
import time

__all__ = ["format_http_date", "parse_http_date"]

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH = rf"(?P<month>{'|'.join(_MONTHS)})"
_TIME = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_FORMS = (
    re.compile(
        rf"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (?P<day>\d\d) {_MONTH} (?P<year>\d{{4}}) {_TIME} GMT", re.ASCII
    ),
    re.compile(
        rf"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (?P<day>\d\d)-{_MONTH}-(?P<year>\d\d) {_TIME} GMT",
        re.ASCII,
    ),
    re.compile(
        rf"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) {_MONTH} (?P<day>[ \d]\d) {_TIME} (?P<year>\d{{4}})", re.ASCII
    ),
)


def format_http_date(when: float | datetime.datetime) -> str:
    """Render seconds since the epoch, or a datetime with a time zone, as an HTTP date.

    Raises ValueError for a datetime without a time zone.
    """
    if isinstance(when, datetime.datetime):
        if when.tzinfo is None:
            raise ValueError(f"{when!r} has no time zone: use datetime.now(datetime.UTC) or the like")
        when = when.timestamp()
    year, month, day, hour, minute, second, weekday, *_ = time.gmtime(when)
    clock = f"{hour:02}:{minute:02}:{second:02}"
    return f"{_DAYS[weekday]}, {day:02} {_MONTHS[month - 1]} {year:04} {clock} GMT"


def parse_http_date(value: str) -> int | None:
    """Return the seconds since the epoch of an HTTP date in any of its three forms, None where it is none."""
    for form in _FORMS:
        if match := form.fullmatch(value):
            break
    else:
        return None
    year = int(match["year"])
    if len(match["year"]) == 2:  # more than 50 years ahead means the past (RFC 9110, 5.6.7)
        this_year = datetime.datetime.now(datetime.UTC).year
        year += this_year - this_year % 100
        if year > this_year + 50:
            year -= 100
    second = min(int(match["second"]), 59)  # 60 is a leap second
    try:
        when = datetime.datetime(
            year,
            _MONTHS.index(match["month"]) + 1,
            int(match["day"]),
            int(match["hour"]),
            int(match["minute"]),
            second,
            tzinfo=datetime.UTC,
        )
    except ValueError:
        return None
    return int(when.timestamp())
