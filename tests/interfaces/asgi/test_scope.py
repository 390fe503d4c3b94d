"""The scope: what an ASGI application is told."""

from __future__ import annotations

from typing import Any

import pytest

from pierhead import Headers, Request
from pierhead.interfaces.asgi.scope import http_scope, websocket_scope
from pierhead.messages.request import Address
from pierhead.messages.tls import TLSInfo


def scope(target: str = "/", **facts: Any) -> Any:
    root_path = facts.pop("root_path", "")
    tls = facts.pop("tls", None)
    request = Request("GET", target, Headers(facts.pop("headers", ())), **facts)
    request.root_path, request.tls = root_path, tls
    return http_scope(request, {"pool": 1})


def test_all_of_it() -> None:
    address = Address("192.0.2.1", 1234)
    headers = [("Host", "example.org"), ("X-One", "A"), ("x-one", "b")]
    found = scope("/caf%C3%A9/a%2Fb?q=%20", client=address, server=Address("::1", 80), headers=headers)
    assert found == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/café/a/b",
        "raw_path": b"/caf%C3%A9/a%2Fb",
        "query_string": b"q=%20",
        "root_path": "",
        "headers": [(b"host", b"example.org"), (b"x-one", b"A"), (b"x-one", b"b")],
        "client": ("192.0.2.1", 1234),
        "server": ("::1", 80),
        "state": {"pool": 1},
        "extensions": {
            "http.response.pathsend": {},
            "http.response.early_hint": {},
            "http.response.trailers": {},
        },
    }


def test_the_path_has_the_root_path_in_it() -> None:
    found = scope("/list?x", root_path="/my%20shop")
    assert (found["root_path"], found["path"], found["raw_path"]) == (
        "/my shop",
        "/my shop/list",
        b"/my%20shop/list",
    )


def test_options_of_the_server_as_a_whole() -> None:
    assert scope("*")["path"] == "*"


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        (None, None),
        (Address("unix:", None), None),
        (Address("192.0.2.1", None), ("192.0.2.1", 0)),  # named by a proxy
    ],
)
def test_clients_without_a_port(client: Address | None, expected: object) -> None:
    assert scope(client=client)["client"] == expected


def test_a_unix_socket_is_a_server_without_a_port() -> None:
    assert scope(server=Address("unix:/run/app.sock", None))["server"] == ("/run/app.sock", None)


def test_requests_do_not_share_what_they_may_change() -> None:
    request = Request("GET", "/", Headers())
    state = {"pool": 1}
    one, other = http_scope(request, state), http_scope(request, state)
    one["state"]["user"] = one["extensions"]["mine"] = one["asgi"]["mine"] = 1
    assert "user" not in other["state"]
    assert "user" not in state
    assert "mine" not in other["extensions"]
    assert "mine" not in other["asgi"]


def test_what_is_known_of_tls() -> None:
    found = scope(scheme="https", tls=TLSInfo(tls_version=0x0304, client_cert_chain=("PEM",)))
    assert found["extensions"]["tls"] == {
        "tls_version": 0x0304,
        "cipher_suite": None,
        "server_cert": None,
        "client_cert_chain": ["PEM"],
        "client_cert_name": None,
        "client_cert_error": None,
    }


@pytest.mark.parametrize(("scheme", "expected"), [("http", "ws"), ("https", "wss")])
def test_a_websocket(scheme: str, expected: str) -> None:
    request = Request("GET", "/chat", Headers(), scheme=scheme)
    found = websocket_scope(request, ("chat",), {})
    assert (found["type"], found["scheme"], found["subprotocols"]) == ("websocket", expected, ["chat"])
    assert "method" not in found
    assert found["extensions"] == {"websocket.http.response": {}}
