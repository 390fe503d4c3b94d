"""Rendering of responses: framing is the server's, and no application can split a response in two."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.protocols.http1 import Http1Codec, Http1Limits, ResponseError, render
from pierhead.protocols.http1.events import RawFields
from pierhead.protocols.http1.render import ResponseWriter, hints, render_ordinary


def whole(
    status: int, fields: RawFields, body: bytes = b"", *, method: str = "GET", version: str = "1.1"
) -> bytes:
    return ResponseWriter(method, version).whole(status, fields, body, b"Date: now\r\n", keep_alive=True)


def test_a_whole_response() -> None:
    assert whole(200, [(b"Content-Type", b"text/plain")], b"hello") == (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nDate: now\r\n\r\nhello"
    )


def test_a_status_without_a_registered_phrase() -> None:
    assert whole(299, []).startswith(b"HTTP/1.1 299 \r\n")


@pytest.mark.parametrize("status", [99, 100, 101, 199, 600, 1000])
def test_an_interim_or_impossible_status_is_no_response(status: int) -> None:
    with pytest.raises(ResponseError, match="200 to 599"):
        whole(status, [])
    with pytest.raises(ResponseError, match="200 to 599"):
        ResponseWriter("GET", "1.1").head(status, [], b"", keep_alive=True)


@pytest.mark.parametrize("status", [204, 304])
def test_a_bodiless_status_has_neither_body_nor_length(status: int) -> None:
    assert b"Content-Length" not in whole(status, [])
    with pytest.raises(ResponseError, match="no body"):
        whole(status, [], b"x")
    with pytest.raises(ResponseError, match="no body"):
        ResponseWriter("GET", "1.1").head(status, [], b"", keep_alive=True)


def test_304_may_tell_the_length_it_would_have() -> None:
    assert b"Content-Length: 7\r\n" in whole(304, [(b"Content-Length", b"7")])
    assert b"Content-Length" not in whole(204, [(b"Content-Length", b"0")])


def test_head_gets_the_head_alone() -> None:
    answer = whole(200, [], b"hello", method="HEAD")
    assert b"Content-Length: 5\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")
    assert b"Content-Length: 9\r\n" in whole(200, [(b"Content-Length", b"9")], b"", method="HEAD")


def test_a_wrong_length_is_the_applications_error() -> None:
    with pytest.raises(ResponseError, match="the Content-Length is 4, the body has 5 bytes"):
        whole(200, [(b"content-length", b"4")], b"hello")
    assert whole(200, [(b"content-length", b"5")], b"hello").count(b"ength: 5") == 1


@pytest.mark.parametrize("value", [b"", b"5, 5", b"-1", b"0x5"])
def test_a_length_that_is_none_is_the_applications_error(value: bytes) -> None:
    with pytest.raises(ResponseError, match="not one number"):
        whole(200, [(b"Content-Length", value)], b"hello")


def test_two_lengths_are_the_applications_error() -> None:
    with pytest.raises(ResponseError, match="not one number"):
        whole(200, [(b"Content-Length", b"5"), (b"Content-Length", b"5")], b"hello")


@pytest.mark.parametrize(
    "field", [(b"X", b"y\r\nSet-Cookie: z"), (b"X\r\nY", b"z"), (b"X", b"\n"), (b"X", b"\0")]
)
def test_a_header_cannot_split_the_response(field: tuple[bytes, bytes]) -> None:
    with pytest.raises(ResponseError, match="CR, LF or NUL"):
        whole(200, [field])


def test_an_application_does_not_frame() -> None:
    with pytest.raises(ResponseError, match="Transfer-Encoding"):
        whole(200, [(b"Transfer-Encoding", b"chunked")])


def test_an_application_may_close_but_not_keep_the_connection() -> None:
    writer = ResponseWriter("GET", "1.1")
    head = writer.whole(
        200, [(b"Connection", b"Close"), (b"Keep-Alive", b"timeout=5")], b"", b"", keep_alive=True
    )
    assert head.count(b"Connection: close\r\n") == 1
    assert b"Keep-Alive" not in head
    assert not writer.keep_alive
    assert b"Connection" not in whole(200, [(b"Connection", b"keep-alive")])


def test_a_stream_is_chunked() -> None:
    writer = ResponseWriter("GET", "1.1")
    assert b"Transfer-Encoding: chunked\r\n" in writer.head(200, [], b"", keep_alive=True)
    assert writer.data(b"hello") == b"5\r\nhello\r\n"
    assert writer.data(b"") == b""
    assert writer.end() == b"0\r\n\r\n"


def test_a_stream_to_http_1_0_ends_with_the_connection() -> None:
    writer = ResponseWriter("GET", "1.0")
    head = writer.head(200, [], b"", keep_alive=True)
    assert b"Transfer-Encoding" not in head
    assert b"Connection: close\r\n" in head
    assert writer.data(b"hello") + writer.end() == b"hello"
    assert not writer.keep_alive


def test_a_stream_to_head_is_silent() -> None:
    writer = ResponseWriter("HEAD", "1.1")
    writer.head(200, [], b"", keep_alive=True)
    assert writer.data(b"hello") + writer.end() == b""


def test_a_stream_of_announced_length_is_counted() -> None:
    writer = ResponseWriter("GET", "1.1")
    assert b"chunked" not in writer.head(200, [(b"Content-Length", b"5")], b"", keep_alive=True)
    assert writer.data(b"hel") == b"hel"
    with pytest.raises(ResponseError, match="1 bytes longer"):
        writer.data(b"lo!")
    assert not writer.keep_alive


def test_a_stream_that_ends_early_is_an_error() -> None:
    writer = ResponseWriter("GET", "1.1")
    writer.head(200, [(b"Content-Length", b"5")], b"", keep_alive=True)
    writer.data(b"hel")
    with pytest.raises(ResponseError, match="2 bytes shorter"):
        writer.end()
    assert not writer.keep_alive


def test_trailers_follow_a_chunked_body_only() -> None:
    chunked = ResponseWriter("GET", "1.1")
    chunked.head(200, [], b"", keep_alive=True)
    assert chunked.end([(b"X-Sum", b"1")]) == b"0\r\nX-Sum: 1\r\n\r\n"
    measured = ResponseWriter("GET", "1.1")
    measured.head(200, [(b"Content-Length", b"0")], b"", keep_alive=True)
    assert measured.end([(b"X-Sum", b"1")]) == b""


@pytest.mark.parametrize(
    "field", [(b"Content-Length", b"1"), (b"a b", b""), (b"X", b"1\r\nY: 2"), (b"X", b"\0")]
)
def test_a_field_that_may_be_no_trailer_is_the_applications_error(field: tuple[bytes, bytes]) -> None:
    writer = ResponseWriter("GET", "1.1")
    writer.head(200, [], b"", keep_alive=True)
    with pytest.raises(ResponseError):
        writer.end([field])


def test_early_hints_are_a_response_of_their_own() -> None:
    assert hints([(b"Link", b"</a.css>")]) == b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    with pytest.raises(ResponseError):
        hints([(b"Link", b"a\r\n\r\nb")])


ORDINARY_FIELDS = st.lists(
    st.tuples(
        st.sampled_from([b"Content-Type", b"X", b"set-cookie", b"Connection", b"content-length", b"Upgrade"]),
        st.sampled_from([b"text/plain", b"", b"5", b"close", b"y" * 300, b"a\r\nb", b"\0"]),
    ),
    max_size=4,
)


@given(st.sampled_from([200, 204, 299, 304, 404, 101]), ORDINARY_FIELDS, st.sampled_from([b"", b"hello"]))
def test_what_is_rendered_the_fast_way_is_what_the_writer_renders(
    status: int, fields: RawFields, body: bytes
) -> None:
    for _ in range(2):  # the second time from what was rendered before
        fast = render_ordinary(status, fields, body, b"Date: now\r\n")
        if fast is not None:
            assert fast == whole(status, fields, body)


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        (204, []),
        (304, []),
        (101, []),
        (200, [(b"Connection", b"close")]),
        (200, [(b"CONTENT-LENGTH", b"5")]),
        (200, [(b"Transfer-Encoding", b"chunked")]),
        (200, [(b"X", b"y\r\nZ: z")]),
        (200, [(b"X\0", b"y")]),
    ],
)
def test_what_is_out_of_the_ordinary_is_left_to_the_writer(status: int, fields: RawFields) -> None:
    assert render_ordinary(status, fields, b"", b"") is None


def test_only_so_many_lines_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "_KNOWN_LINES", 2)
    lines = render._Lines()
    for number in range(5):
        assert lines[(b"X", b"%d" % number)] == b"X: %d\r\n" % number
        assert len(lines) <= 2
    assert lines[(b"X", b"y" * 300)].endswith(b"y\r\n")
    assert (b"X", b"y" * 300) not in lines


def test_what_to_upgrade_to_is_for_the_client() -> None:
    answer = whole(426, [(b"Upgrade", b"websocket")])
    assert b"Connection: Upgrade\r\nUpgrade: websocket\r\n" in answer


def test_the_codec_renders_either_way() -> None:
    codec = Http1Codec(Http1Limits())
    codec.feed(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert codec.respond(200, [(b"X", b"y")], b"hello") == whole(200, [(b"X", b"y")], b"hello").replace(
        b"Date: now\r\n", b""
    )
    codec.next_request()
    codec.feed(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert b"Content-Length" not in codec.respond(304, [], b"")
    assert codec.hint([(b"Link", b"</a>")]).startswith(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n")


def test_a_body_comes_after_its_head() -> None:
    with pytest.raises(RuntimeError, match="start_response first"):
        Http1Codec(Http1Limits()).data(b"hello")


def test_an_application_has_its_own_date_and_server_instead_of_the_servers() -> None:
    stamp = b"Date: now\r\nServer: pierhead\r\n"
    codec = Http1Codec(Http1Limits())
    for fields, expected in (
        ([(b"server", b"mine")], b"server: mine\r\nContent-Length: 1\r\nDate: now\r\n\r\na"),
        ([(b"DATE", b"then")], b"DATE: then\r\nContent-Length: 1\r\nServer: pierhead\r\n\r\na"),
        ([(b"X", b"y")], b"X: y\r\nContent-Length: 1\r\n" + stamp + b"\r\na"),
    ):
        codec.feed(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert codec.respond(200, fields, b"a", stamp) == b"HTTP/1.1 200 OK\r\n" + expected
        codec.next_request()
