"""CGI variables to a request: as strict as the HTTP gate, and what is believed of whom."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.protocols.cgi import GatewayRequest, read_variables
from pierhead.protocols.http1 import Framing, Http1Limits
from pierhead.protocols.http1.gate import RefusedError

GET = {
    "REQUEST_METHOD": "GET",
    "REQUEST_URI": "/users?page=2",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_HOST": "example.org",
    "REMOTE_ADDR": "192.0.2.7",
    "REMOTE_PORT": "50123",
    "SERVER_ADDR": "198.51.100.1",
    "SERVER_PORT": "443",
    "HTTPS": "on",
}


def read(
    changes: dict[str, str | None] | None = None,
    *,
    trusted: bool = True,
    own_process: bool = False,
) -> GatewayRequest:
    """Read the variables of a GET with changes; None takes one away."""
    variables = [
        (name.encode(), value.encode("latin-1"))
        for name, value in {**GET, **(changes or {})}.items()
        if value is not None
    ]
    return read_variables(variables, Http1Limits(), trusted=trusted, own_process=own_process)


def refusal(changes: dict[str, str | None]) -> tuple[int, str]:
    with pytest.raises(RefusedError) as caught:
        read(changes)
    return caught.value.status, caught.value.reason


def test_a_request_is_what_the_client_sent() -> None:
    request = read({"HTTP_ACCEPT_LANGUAGE": "de", "HTTP_X_REQUEST_ID": "a", "CONTENT_TYPE": "text/plain"})
    head = request.head
    assert (head.method, head.target, head.version) == ("GET", "/users?page=2", "1.1")
    assert head.fields == [
        (b"Host", b"example.org"),
        (b"Accept-Language", b"de"),
        (b"X-Request-Id", b"a"),
        (b"Content-Type", b"text/plain"),
    ]
    assert head.framing is Framing.NONE
    assert not request.length_known


def test_a_trusted_web_server_says_where_the_request_came_from() -> None:
    request = read()
    assert request.client == ("192.0.2.7", 50123)
    assert request.server == ("198.51.100.1", 443)
    assert request.scheme == "https"


def test_of_another_only_the_request_is_taken() -> None:
    request = read({"SCRIPT_NAME": "/app", "PATH_INFO": "/users", "REQUEST_URI": "/app/users"}, trusted=False)
    assert request == GatewayRequest(request.head, length_known=False)
    assert request.head.target == "/app/users"


@pytest.mark.parametrize(
    ("changes", "client"),
    [
        ({"REMOTE_ADDR": "2001:DB8::1", "REMOTE_PORT": None}, ("2001:db8::1", None)),
        ({"REMOTE_ADDR": "unix:"}, ("unix:", None)),
        ({"REMOTE_ADDR": None}, ("unknown", None)),
        ({"REMOTE_ADDR": ""}, ("unknown", None)),
        ({"REMOTE_PORT": "0"}, ("192.0.2.7", None)),
        ({"REMOTE_PORT": "70000"}, ("192.0.2.7", None)),
        ({"REMOTE_PORT": "x"}, ("192.0.2.7", None)),
    ],
)
def test_who_the_client_is(changes: dict[str, str | None], client: tuple[str, int | None]) -> None:
    assert read(changes).client == client


@pytest.mark.parametrize("address", ["localhost", "192.0.2.7, 127.0.0.1", "fe80::1%eth0", "\xff"])
def test_a_client_that_is_no_address_is_refused(address: str) -> None:
    assert refusal({"REMOTE_ADDR": address}) == (400, "the REMOTE_ADDR is no address")


@pytest.mark.parametrize(
    ("changes", "server"),
    [
        ({"SERVER_ADDR": None}, ("", 443)),
        ({"SERVER_ADDR": "unix:"}, ("", 443)),
        ({"SERVER_PORT": None}, None),
        ({"SERVER_PORT": ""}, None),
    ],
)
def test_where_the_request_arrived(
    changes: dict[str, str | None], server: tuple[str, int | None] | None
) -> None:
    assert read(changes).server == server


@pytest.mark.parametrize(
    ("changes", "scheme"),
    [
        ({"HTTPS": "1"}, "https"),
        ({"HTTPS": "ON"}, "https"),
        ({"HTTPS": "off"}, "http"),
        ({"HTTPS": ""}, "http"),
        ({"HTTPS": None}, "http"),
        ({"HTTPS": None, "REQUEST_SCHEME": "https"}, "https"),
    ],
)
def test_the_scheme(changes: dict[str, str | None], scheme: str) -> None:
    assert read(changes).scheme == scheme


@pytest.mark.parametrize(
    ("changes", "target", "root_path"),
    [
        # nginx, Caddy and Apache's proxy modules: the whole path as SCRIPT_NAME
        ({"REQUEST_URI": "/a%20b?x", "SCRIPT_NAME": "/a b"}, "/a%20b?x", ""),
        ({"REQUEST_URI": "/a", "SCRIPT_NAME": "/a", "PATH_INFO": ""}, "/a", ""),
        # a path that was split
        ({"REQUEST_URI": "/app/a%2fb?x=1", "SCRIPT_NAME": "/app", "PATH_INFO": "/a/b"}, "/a%2fb?x=1", "/app"),
        ({"REQUEST_URI": "/app/a%2fb", "SCRIPT_NAME": "/app", "PATH_INFO": "/a%2fb"}, "/a%2fb", "/app"),
        ({"REQUEST_URI": "/%61pp/a", "SCRIPT_NAME": "/app", "PATH_INFO": "/a"}, "/a", "/app"),
        ({"REQUEST_URI": "/app/", "SCRIPT_NAME": "/app/", "PATH_INFO": "/"}, "/", "/app"),
        ({"REQUEST_URI": "/a", "SCRIPT_NAME": "", "PATH_INFO": "/a"}, "/a", ""),
        ({"REQUEST_URI": "/a%20b/c", "SCRIPT_NAME": "/a b", "PATH_INFO": "/c"}, "/c", "/a%20b"),
        # without REQUEST_URI
        ({"REQUEST_URI": None, "SCRIPT_NAME": "/b", "PATH_INFO": "/ ", "QUERY_STRING": "x"}, "/%20?x", "/b"),
        ({"REQUEST_URI": None, "SCRIPT_NAME": "/a"}, "/a", ""),
        ({"REQUEST_URI": None}, "/", ""),
        # a front controller: the client does not see it
        ({"REQUEST_URI": "/a?x", "SCRIPT_NAME": "/cgi-bin/app", "PATH_INFO": "/a"}, "/a?x", ""),
        # rewritten by the web server: what it made of it counts
        ({"REQUEST_URI": "/a/../b", "SCRIPT_NAME": "/a", "PATH_INFO": "/b", "QUERY_STRING": ""}, "/b", "/a"),
        ({"REQUEST_URI": "/x", "SCRIPT_NAME": "/a", "PATH_INFO": "/b", "QUERY_STRING": "y"}, "/b?y", "/a"),
    ],
)  # fmt: skip
def test_where_the_application_is_mounted(
    changes: dict[str, str | None], target: str, root_path: str
) -> None:
    request = read(changes)
    assert (request.head.target, request.root_path) == (target, root_path)


@pytest.mark.parametrize(
    ("changes", "target", "root_path"),
    [
        ({"REQUEST_URI": "/app?x", "SCRIPT_NAME": "/app"}, "/?x", "/app"),
        ({"REQUEST_URI": "/", "SCRIPT_NAME": "/app.cgi"}, "/", "/app.cgi"),
        ({"REQUEST_URI": "/a", "SCRIPT_NAME": "", "PATH_INFO": "/a"}, "/a", ""),
        ({"REQUEST_URI": "/", "SCRIPT_NAME": "/"}, "/", ""),
        ({"REQUEST_URI": "/a?x"}, "/a?x", ""),
        ({"REQUEST_URI": "*", "REQUEST_METHOD": "OPTIONS", "SCRIPT_NAME": "/app"}, "*", ""),
    ],
)
def test_in_a_process_of_its_own_the_script_is_the_program(
    changes: dict[str, str | None], target: str, root_path: str
) -> None:
    request = read(changes, own_process=True)
    assert (request.head.target, request.root_path) == (target, root_path)


def test_fields_about_the_clients_connection_are_dropped() -> None:
    dropped = ["CONNECTION", "KEEP_ALIVE", "TE", "TRAILER", "UPGRADE", "EXPECT", "PROXY", "PROXY_CONNECTION"]
    changes: dict[str, str | None] = {f"HTTP_{name}": "x" for name in dropped}
    head = read({**changes, "HTTP_TRANSFER_ENCODING": "chunked"}).head
    assert head.fields == [(b"Host", b"example.org")]
    assert not head.upgrade
    assert not head.expect_continue


def test_the_length_of_the_body() -> None:
    request = read({"REQUEST_METHOD": "POST", "CONTENT_LENGTH": "5"})
    assert (request.head.framing, request.head.length, request.length_known) == (Framing.LENGTH, 5, True)
    assert read({"CONTENT_LENGTH": ""}).length_known is False


def test_no_body_looks_as_it_did_to_the_web_server() -> None:
    """SCGI asks for a CONTENT_LENGTH always; the client sent one where it is there a second time."""
    assert b"Content-Length" not in read({"CONTENT_LENGTH": "0"}).head.section
    both = read({"CONTENT_LENGTH": "0", "HTTP_CONTENT_LENGTH": "0"})
    assert both.head.fields[-1] == (b"Content-Length", b"0")
    assert both.length_known


@pytest.mark.parametrize(
    "changes",
    [
        {"CONTENT_LENGTH": "5", "HTTP_CONTENT_LENGTH": "6"},
        {"HTTP_CONTENT_LENGTH": "6"},
        {"CONTENT_TYPE": "text/plain", "HTTP_CONTENT_TYPE": "application/json"},
    ],
)
def test_a_body_that_is_described_in_two_ways_is_refused(changes: dict[str, str | None]) -> None:
    status, reason = refusal(changes)
    assert status == 400
    assert reason.endswith("differ")


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"REQUEST_METHOD": None}, 400),
        ({"REQUEST_METHOD": "GET /x HTTP/1.1\r\nX: y"}, 400),
        ({"REQUEST_METHOD": "GET /other"}, 400),
        ({"REQUEST_METHOD": "CONNECT"}, 501),
        ({"REQUEST_URI": "/a b"}, 400),
        ({"REQUEST_URI": "/a HTTP/1.1\r\nX-Evil: 1\r\nY: "}, 400),
        ({"REQUEST_URI": "a"}, 400),
        ({"REQUEST_URI": "/%00"}, 400),
        ({"REQUEST_URI": "/%zz"}, 400),
        ({"REQUEST_URI": "*"}, 400),
        ({"REQUEST_URI": "/" + "a" * 9000}, 414),
        ({"HTTP_HOST": None}, 400),
        ({"HTTP_HOST": "a b"}, 400),
        ({"HTTP_X": "a\r\nContent-Length: 5"}, 400),
        ({"HTTP_X": "a\nb"}, 400),
        ({"HTTP_X": "a\x00"}, 400),
        ({"HTTP_X Y": "a"}, 400),
        ({"HTTP_X\r\nY": "a"}, 400),
        ({"HTTP_": "a"}, 400),
        ({"HTTP_X": "a" * 40000}, 431),
        ({f"HTTP_X{number}": "" for number in range(101)}, 431),
        ({"CONTENT_TYPE": "a\nb"}, 400),
        ({"CONTENT_LENGTH": "-1"}, 400),
        ({"CONTENT_LENGTH": "+5"}, 400),
        ({"CONTENT_LENGTH": "5, 5"}, 400),
        ({"CONTENT_LENGTH": "1" + "0" * 30}, 413),
        ({"SERVER_PROTOCOL": "SPDY/3"}, 400),
        ({"SERVER_PROTOCOL": "HTTP/1.1\r\nX: y"}, 400),
        ({"REQUEST_URI": "/a", "SCRIPT_NAME": "/b", "PATH_INFO": "c"}, 400),
        ({"REQUEST_URI": "/app%2Fx", "SCRIPT_NAME": "/app", "PATH_INFO": "/x"}, 400),
    ],
)  # fmt: skip
def test_what_the_gate_refuses_is_refused_here(changes: dict[str, str | None], status: int) -> None:
    assert refusal(changes)[0] == status


def test_a_field_that_came_twice_stays_two_lines() -> None:
    pairs = [(name.encode(), value.encode()) for name, value in GET.items()]
    twice = [*pairs, (b"HTTP_X", b"a"), (b"HTTP_X", b"b")]
    assert read_variables(twice, Http1Limits(), trusted=True).head.fields[1:] == [(b"X", b"a"), (b"X", b"b")]
    with pytest.raises(RefusedError, match="one Host"):
        read_variables([*pairs, (b"HTTP_HOST", b"example.net")], Http1Limits(), trusted=True)


def test_two_variables_of_one_name_must_agree() -> None:
    pairs = [(name.encode(), value.encode()) for name, value in GET.items()]
    assert read_variables([*pairs, (b"HTTPS", b"on")], Http1Limits(), trusted=True).scheme == "https"
    with pytest.raises(RefusedError, match="two values"):
        read_variables([*pairs, (b"REQUEST_METHOD", b"POST")], Http1Limits(), trusted=True)


@pytest.mark.parametrize(
    ("protocol", "host", "version"),
    [
        ("HTTP/1.1", "a", "1.1"),
        ("HTTP/1.0", None, "1.0"),
        ("HTTP/0.9", None, "1.0"),
        ("HTTP/1.7", "a", "1.1"),
        ("HTTP/1", "a", "1.1"),
        ("HTTP/2.0", "a", "1.1"),
        ("HTTP/3", None, "1.0"),
        ("INCLUDED", None, "1.0"),
        (None, None, "1.0"),
    ],
)
def test_the_version(protocol: str | None, host: str | None, version: str) -> None:
    assert read({"SERVER_PROTOCOL": protocol, "HTTP_HOST": host}).head.version == version


NAMES = st.sampled_from(
    [*GET, "SCRIPT_NAME", "PATH_INFO", "CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_X", "QUERY_STRING"]
)
VALUES = st.one_of(
    st.sampled_from(["", "/", "/a", "/a/b", "GET", "POST", "HTTP/1.1", "5", "0", "on", "a\r\nX: y", "/%41"]),
    st.text(alphabet=st.characters(max_codepoint=255), max_size=12),
)  # fmt: skip


@given(st.dictionaries(NAMES, VALUES, max_size=6), st.booleans(), st.booleans())
def test_no_variable_becomes_anything_but_itself(
    changes: dict[str, str], trusted: bool, own_process: bool
) -> None:
    """Whatever the variables are: they are refused, or there are no more fields than there were variables."""
    try:
        request = read(dict(changes), trusted=trusted, own_process=own_process)
    except RefusedError:
        return
    names = {name for name, _ in request.head.fields}
    assert names <= {b"Host", b"X", b"Content-Type", b"Content-Length"}
    assert len(names) == len(request.head.fields)
    assert request.head.method == {**GET, **changes}["REQUEST_METHOD"]
    assert request.root_path.isprintable()
