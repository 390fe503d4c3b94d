"""The SCGI codec: the netstring, its variables, the body, and what the specification forbids."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.protocols.http1 import Data, End, Event, Http1Limits, Refused, RequestHead
from pierhead.protocols.scgi import ScgiCodec

REST = {
    "SCGI": "1",
    "REQUEST_METHOD": "POST",
    "REQUEST_URI": "/a",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_HOST": "a",
    "REMOTE_ADDR": "192.0.2.7",
}


def section(length: str = "5", **rest: str) -> bytes:
    variables = {"CONTENT_LENGTH": length, **REST, **rest}
    return "".join(f"{name}\0{value}\0" for name, value in variables.items()).encode()


def netstring(content: bytes) -> bytes:
    return b"%d:%b," % (len(content), content)


POST = netstring(section()) + b"hello"


def codec(**limits: int) -> ScgiCodec:
    connection = ScgiCodec(Http1Limits(**limits))
    connection.trusted = True
    return connection


def refusal(data: bytes, **limits: int) -> Refused:
    (event,) = codec(**limits).feed(data)
    assert isinstance(event, Refused)
    return event


def test_a_request_with_a_body() -> None:
    connection = codec()
    assert connection.idle
    head, data, end = connection.feed(POST)
    assert isinstance(head, RequestHead)
    assert (head.method, head.target) == ("POST", "/a")
    assert (data, end) == (Data(b"hello"), End())
    assert connection.request_complete
    assert connection.request is not None
    assert connection.request.client == ("192.0.2.7", None)


@given(st.lists(st.integers(0, len(POST)), max_size=6))
def test_a_request_comes_in_any_pieces(cuts: list[int]) -> None:
    connection = codec()
    events = []
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(POST)], strict=True):
        events += connection.feed(POST[start:end])
    assert isinstance(events[0], RequestHead)
    assert b"".join(event.data for event in events if isinstance(event, Data)) == b"hello"
    assert events[-1] == End()
    assert connection.buffered_bytes == 0


def test_what_follows_the_body_is_not_looked_at() -> None:
    connection = codec()
    assert connection.feed(POST + POST)[1:] == [Data(b"hello"), End()]
    assert connection.feed(POST) == []
    assert connection.feed_eof() == []
    assert connection.respond(200, [], b"hi") == b"Status: 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    assert not connection.keep_alive


def test_a_request_without_a_body() -> None:
    connection = codec()
    (head,) = connection.feed(netstring(section("0", REQUEST_METHOD="GET")))
    assert isinstance(head, RequestHead)
    assert b"Content-Length" not in head.section
    assert connection.request_complete


@pytest.mark.parametrize("data", [b"2", b"20", POST[:3], POST[:-1], POST[:-6]])
def test_a_request_that_breaks_off_is_refused(data: bytes) -> None:
    connection = codec()
    connection.feed(data)
    (refused,) = connection.feed_eof()
    assert isinstance(refused, Refused)
    assert refused.status == 400


def test_a_connection_may_end_before_it_began() -> None:
    assert codec().feed_eof() == []


@pytest.mark.parametrize("data", [b"G", b"00", b"01:", b"-1:", b"12345678901", b":", b"5;", b"\x01\x01"])
def test_a_length_that_is_none_is_refused_at_once(data: bytes) -> None:
    assert refusal(data).status == 400


def test_too_many_variables_are_refused_by_their_length_alone() -> None:
    assert refusal(b"999999999:").status == 431


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the first variable"),
        (b"CONTENT_LENGTH", "each ended by a NUL"),
        (b"CONTENT_LENGTH\x000", "each ended by a NUL"),
        (b"CONTENT_LENGTH\x000\x00SCGI\x00", "each ended by a NUL"),
        (b"SCGI\x001\x00CONTENT_LENGTH\x000\x00", "the first variable"),
        (b"CONTENT_LENGTH\x00\x00SCGI\x001\x00", "the first variable"),
        (b"CONTENT_LENGTH\x000\x00", "SCGI is not 1"),
        (b"CONTENT_LENGTH\x000\x00SCGI\x002\x00", "SCGI is not 1"),
        (section() + b"SCGI\x001\x00", "came twice"),
        (section() + b"\x00x\x00", "has no name"),
    ],
)
def test_variables_the_specification_forbids(content: bytes, reason: str) -> None:
    refused = refusal(netstring(content))
    assert refused.status == 400
    assert reason in refused.reason


def test_the_netstring_ends_with_a_comma() -> None:
    assert "comma" in refusal(POST.replace(b",", b";", 1)).reason


def test_a_body_over_the_limit_is_refused_by_its_length() -> None:
    assert refusal(POST, max_body_bytes=4).status == 413


def test_after_a_refusal_nothing_is_read() -> None:
    connection = codec()
    connection.feed(b"GET / HTTP/1.1\r\n")
    assert connection.feed(POST) == []
    assert connection.respond(400, [], b"").startswith(b"Status: 400 Bad Request\r\n")


@given(st.integers(0, len(POST) - 1), st.integers(0, 255), st.lists(st.integers(0, len(POST)), max_size=4))
def test_whatever_comes_in_whatever_pieces_has_one_meaning(place: int, byte: int, cuts: list[int]) -> None:
    data = POST[:place] + bytes((byte,)) + POST[place + 1 :]
    whole, pieces = codec(), codec()
    expected = whole.feed(data) + whole.feed_eof()
    ends = [*sorted(cuts), len(data)]
    found = [
        event for start, end in zip([0, *ends], ends, strict=False) for event in pieces.feed(data[start:end])
    ]
    found += pieces.feed_eof()

    def bodies(events: list[Event]) -> bytes:
        return b"".join(event.data for event in events if isinstance(event, Data))

    assert bodies(found) == bodies(expected)
    assert [one for one in found if not isinstance(one, Data)] == [
        one for one in expected if not isinstance(one, Data)
    ]
