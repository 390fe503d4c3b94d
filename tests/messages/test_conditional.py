"""Conditional and range requests, in the order of RFC 9110, 13.2.2."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead import HTTPError
from pierhead.messages.conditional import (
    check_preconditions,
    conditional,
    file_etag,
    parse_etags,
    parse_range,
    restore_etags,
)
from pierhead.messages.files import FileBody
from pierhead.messages.headers import Headers
from pierhead.messages.request import Request
from pierhead.messages.response import Response

MODIFIED = "Sun, 06 Nov 1994 08:49:37 GMT"
BEFORE = "Sun, 06 Nov 1994 08:49:36 GMT"
AFTER = "Sun, 06 Nov 1994 08:49:38 GMT"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    path.write_bytes(b"0123456789")
    os.utime(path, (784111777, 784111777))
    return path


def answer(response: Response, method: str = "GET", /, **fields: str) -> Response:
    headers = Headers([(name.replace("_", "-"), value) for name, value in fields.items()])
    return conditional(Request(method, "/", headers), response)


def versioned(etag: str | None = '"v1"', modified: str | None = MODIFIED) -> Response:
    response = Response.text("content", headers={"Cache-Control": "no-cache", "Vary": "Accept"})
    if etag is not None:
        response.headers["ETag"] = etag
    if modified is not None:
        response.headers["Last-Modified"] = modified
    return response


# Validators


def test_a_file_gets_validators(path: Path) -> None:
    response = answer(Response.file(path))
    assert response.status == 200
    assert response.headers["ETag"] == file_etag(FileBody.of(path)) == f'"{784111777 * 10**9:x}-a"'
    assert response.headers["Last-Modified"] == MODIFIED
    assert response.headers["Accept-Ranges"] == "bytes"


def test_the_applications_validators_stay(path: Path) -> None:
    response = answer(Response.file(path, headers={"ETag": '"mine"'}))
    assert response.headers["ETag"] == '"mine"'


def test_what_has_no_validators_is_not_conditional() -> None:
    response = Response.text("content")
    assert answer(response, If_None_Match="*", If_Match='"x"', Range="bytes=0-1") is response
    assert list(response.headers) == [("Content-Type", "text/plain; charset=utf-8")]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_other_methods_were_carried_out_already(method: str) -> None:
    response = versioned()
    assert answer(response, method, If_Match='"v2"') is response


def test_only_a_200_is_conditional() -> None:
    response = Response.problem(404, headers={"ETag": '"v1"'})
    assert answer(response, If_None_Match='"v1"') is response


# Preconditions


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ('"v1"', 304),
        ('W/"v1"', 304),
        ("*", 304),
        ('"v0", "v1"', 304),
        ('"v0"', 200),
        ("v1", 200),
        ("", 200),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_if_none_match(method: str, condition: str, status: int) -> None:
    assert answer(versioned(), method, If_None_Match=condition).status == status


def test_if_none_match_compares_weakly() -> None:
    assert answer(versioned('W/"v1"'), If_None_Match='"v1"').status == 304


def test_not_modified_has_the_fields_of_the_200_but_those_of_its_content() -> None:
    response = answer(versioned(), If_None_Match='"v1"')
    assert response.body == b""
    assert list(response.headers) == [
        ("Cache-Control", "no-cache"),
        ("Vary", "Accept"),
        ("ETag", '"v1"'),
        ("Last-Modified", MODIFIED),
    ]


@pytest.mark.parametrize(
    ("since", "status"), [(BEFORE, 200), (MODIFIED, 304), (AFTER, 304), ("nonsense", 200)]
)
def test_if_modified_since(since: str, status: int) -> None:
    assert answer(versioned(None), If_Modified_Since=since).status == status


def test_if_none_match_goes_before_if_modified_since() -> None:
    assert answer(versioned(), If_None_Match='"v0"', If_Modified_Since=AFTER).status == 200
    assert answer(versioned(), If_None_Match='"v1"', If_Modified_Since=BEFORE).status == 304


@pytest.mark.parametrize(
    ("etag", "condition", "status"),
    [
        ('"v1"', '"v1"', 200),
        ('"v1"', "*", 200),
        ('"v1"', '"v0" , "v1"', 200),
        ('"v1"', '"v0"', 412),
        ('"v1"', 'W/"v1"', 412),
        ('W/"v1"', 'W/"v1"', 412),
        (None, '"v1"', 412),
    ],
)
def test_if_match_compares_strongly(etag: str | None, condition: str, status: int) -> None:
    assert answer(versioned(etag), If_Match=condition).status == status


@pytest.mark.parametrize(
    ("since", "status"), [(BEFORE, 412), (MODIFIED, 200), (AFTER, 200), ("nonsense", 200)]
)
def test_if_unmodified_since(since: str, status: int) -> None:
    assert answer(versioned(), If_Unmodified_Since=since).status == status
    assert answer(versioned(modified=None), If_Unmodified_Since=since).status == 200


def test_if_match_goes_before_if_unmodified_since() -> None:
    assert answer(versioned(), If_Match='"v1"', If_Unmodified_Since=BEFORE).status == 200


def test_precondition_failed_describes_itself() -> None:
    response = answer(versioned(), If_Match='"v0"')
    assert response.headers.getlist("Content-Type") == ["application/problem+json"]
    assert response.headers["ETag"] == '"v1"'


# Before a method that changes something


def allowed(etag: str | None, modified: str | None = None, /, **fields: str) -> bool:
    headers = Headers([(name.replace("_", "-"), value) for name, value in fields.items()])
    request = Request("PUT", "/", headers)
    try:
        check_preconditions(request, etag=etag, modified=modified)
    except HTTPError as raised:
        refused = raised
    else:
        return True
    assert refused.status == 412
    assert refused.headers == ({"ETag": etag} if etag else {})
    return False


@pytest.mark.parametrize(
    ("condition", "holds"),
    [('"v1"', True), ("*", True), ('"v0", "v1"', True), ('"v0"', False), ('W/"v1"', False), ("v1", False)],
)
def test_a_change_to_the_version_that_is_known(condition: str, holds: bool) -> None:
    assert allowed('"v1"', MODIFIED, If_Match=condition) is holds


def test_a_change_without_conditions_is_allowed() -> None:
    assert allowed('"v1"', MODIFIED)
    assert allowed(None)


@pytest.mark.parametrize(("since", "holds"), [(BEFORE, False), (MODIFIED, True), ("nonsense", True)])
def test_a_change_if_unmodified_since(since: str, holds: bool) -> None:
    assert allowed('"v1"', MODIFIED, If_Unmodified_Since=since) is holds
    assert allowed('"v1"', MODIFIED, If_Unmodified_Since=since, If_Match='"v1"')
    assert allowed(None, MODIFIED, If_Unmodified_Since=since) is holds


@pytest.mark.parametrize(("condition", "holds"), [("*", False), ('W/"v1"', False), ('"v0"', True)])
def test_if_none_match_is_412_for_a_change(condition: str, holds: bool) -> None:
    assert allowed('"v1"', If_None_Match=condition) is holds


def test_if_modified_since_is_for_reading() -> None:
    assert allowed('"v1"', MODIFIED, If_Modified_Since=AFTER)


def test_what_does_not_exist_yet_can_be_created_once() -> None:
    assert allowed(None, If_None_Match="*")
    assert allowed(None, If_None_Match='"v1"')
    assert not allowed(None, If_Match="*")
    assert not allowed(None, If_Match='"v1"')


# What proxies make of entity tags


@pytest.mark.parametrize(
    ("sent", "restored"),
    [
        ('W/"x"', '"x"'),  # nginx
        ('"x-gzip"', '"x"'),  # Apache, Caddy
        ('"x-br"', '"x"'),
        ('"x-zstd"', '"x"'),
        ('"x-deflate"', '"x"'),
        ('W/"x-gzip"', '"x"'),  # one behind the other
        ('"x-zstd-gzip"', '"x"'),
        ('"a-gzip" , W/"b","c"', '"a", "b", "c"'),
        ('"x"', '"x"'),
        ('"-gzipped"', '"-gzipped"'),
        ('"gzip"', '"gzip"'),
        ("*", "*"),
        ("x-gzip", "x-gzip"),  # malformed, and left so
    ],
)
@pytest.mark.parametrize("name", ["If-Match", "If-None-Match"])
def test_an_altered_tag_is_restored(name: str, sent: str, restored: str) -> None:
    headers = Headers([(name, sent), ("Accept", "*/*")])
    restore_etags(headers)
    assert dict(headers) == {name: restored, "Accept": "*/*"}


def test_if_range_stays_as_it_is() -> None:
    headers = Headers([("If-Range", '"x-gzip"')])
    restore_etags(headers)
    assert list(headers) == [("If-Range", '"x-gzip"')]


# Ranges


def part(response: Response) -> bytes:
    assert isinstance(response.body, FileBody)
    data = response.body.path.read_bytes()
    return data[response.body.offset : response.body.offset + response.body.length]


@pytest.mark.parametrize(
    ("value", "content", "content_range"),
    [
        ("bytes=0-3", b"0123", "bytes 0-3/10"),
        ("bytes=4-", b"456789", "bytes 4-9/10"),
        ("bytes=-2", b"89", "bytes 8-9/10"),
        ("bytes=5-99", b"56789", "bytes 5-9/10"),
        ("bytes=-99", b"0123456789", "bytes 0-9/10"),
        ("BYTES= 9-9 ", b"9", "bytes 9-9/10"),
    ],
)
def test_a_range_of_a_file(path: Path, value: str, content: bytes, content_range: str) -> None:
    response = answer(Response.file(path, headers={"X-A": "1"}), Range=value)
    assert (response.status, part(response)) == (206, content)
    assert response.headers["Content-Range"] == content_range
    assert response.headers["Content-Length"] == str(len(content))
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert response.headers["X-A"] == "1"
    assert "ETag" in response.headers


@pytest.mark.parametrize("value", ["bytes=10-", "bytes=99-100", "bytes=-0"])
def test_a_range_that_no_byte_is_in(path: Path, value: str) -> None:
    response = answer(Response.file(path), Range=value)
    assert response.status == 416
    assert response.headers["Content-Range"] == "bytes */10"
    assert response.headers.getlist("Content-Type") == ["application/problem+json"]


@pytest.mark.parametrize(
    "value",
    [
        "bytes=0-1,4-5",
        "bytes=3-2",
        "bytes=-",
        "bytes=a-b",
        "lines=0-1",
        "bytes 0-1",
        "bytes=" + "9" * 30 + "-",
    ],
)
def test_ranges_that_are_ignored(path: Path, value: str) -> None:
    response = Response.file(path)
    assert answer(response, Range=value) is response


def test_only_get_has_ranges_and_only_files(path: Path) -> None:
    assert answer(Response.file(path), "HEAD", Range="bytes=0-1").status == 200
    assert answer(versioned(), Range="bytes=0-1").status == 200


def test_a_condition_goes_before_a_range(path: Path) -> None:
    etag = file_etag(FileBody.of(path))
    assert answer(Response.file(path), Range="bytes=0-1", If_None_Match=etag).status == 304


@pytest.mark.parametrize(
    ("condition", "status"),
    [("same", 206), ('"other"', 200), (MODIFIED, 206), (BEFORE, 200), (AFTER, 200), ("nonsense", 200)],
)
def test_if_range(path: Path, condition: str, status: int) -> None:
    etag = file_etag(FileBody.of(path))
    condition = etag if condition == "same" else condition
    assert answer(Response.file(path), Range="bytes=0-1", If_Range=condition).status == status


def test_if_range_compares_strongly(path: Path) -> None:
    weak = Response.file(path, headers={"ETag": 'W/"v1"'})
    assert answer(weak, Range="bytes=0-1", If_Range='W/"v1"').status == 200


def test_a_date_within_the_second_of_the_change_is_no_strong_validator(path: Path) -> None:
    ahead = time.time() + 3600
    os.utime(path, (ahead, ahead))
    response = answer(Response.file(path))
    again = answer(Response.file(path), Range="bytes=0-1", If_Range=response.headers["Last-Modified"])
    assert again.status == 200


def test_an_empty_file_has_no_ranges(path: Path) -> None:
    path.write_bytes(b"")
    assert answer(Response.file(path), Range="bytes=0-").status == 416


@given(st.integers(0, 200), st.none() | st.integers(0, 200), st.none() | st.integers(0, 200))
def test_a_range_is_the_slice_it_names(size: int, first: int | None, last: int | None) -> None:
    data = bytes(index % 256 for index in range(size))
    value = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    if first is None:
        expected = data[max(0, size - last) :] if last is not None else None
    elif last is None:
        expected = data[first:]
    else:
        expected = data[first : last + 1] if first <= last else None
    try:
        found = parse_range(value, size)
    except ValueError:
        assert expected == b""
        return
    if found is None:
        assert expected is None
    else:
        offset, length = found
        assert length > 0
        assert data[offset : offset + length] == expected


@given(st.text(), st.integers(0, 1000))
def test_a_range_is_never_outside_of_the_file(value: str, size: int) -> None:
    try:
        found = parse_range("bytes=" + value, size)
    except ValueError:
        return
    if found is not None:
        assert 0 <= found[0] < found[0] + found[1] <= size


# Lists of entity tags

ETAGS = st.from_regex(re.compile(r'(W/)?"[!#-~]{0,5}"'), fullmatch=True)


@given(st.lists(ETAGS, min_size=1), st.sampled_from([",", ", ", " ,\t", ",,", " , ,"]))
def test_lists_of_entity_tags(etags: list[str], separator: str) -> None:
    assert parse_etags(separator.join(etags)) == etags


@pytest.mark.parametrize("value", ["", "a", '"a', '"a" "b"', '"a\x00"', 'w/"a"', '"a",b'])
def test_malformed_lists_of_entity_tags(value: str) -> None:
    assert parse_etags(value) is None


def test_long_lists_take_linear_time() -> None:
    assert parse_etags('"a",' * 20_000 + "x") is None
