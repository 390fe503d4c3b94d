"""Meta-variables: what is passed, under which name, and what is not."""

from __future__ import annotations

import pytest

from pierhead import Headers, Request
from pierhead.interfaces.environ import meta_variables
from pierhead.messages.request import Address


def variables(target: str = "/", *fields: tuple[str, str], **facts: object) -> dict[str, str]:
    request = Request("GET", target, Headers(fields), **facts)  # type: ignore[arg-type]
    return meta_variables(request, None)


@pytest.mark.parametrize(
    ("host", "server", "name", "port"),
    [
        ("example.org", Address("10.0.0.1", 80), "example.org", "80"),
        ("example.org:8080", None, "example.org", "80"),
        ("[::1]:8080", Address("::1", 8080), "[::1]", "8080"),
        ("[::1]", Address("::1", 8080), "[::1]", "8080"),
        ("", Address("unix:/run/app.sock", None), "localhost", "80"),
    ],
)
def test_the_server_is_the_one_the_client_asked_for(
    host: str, server: Address | None, name: str, port: str
) -> None:
    found = variables("/", ("Host", host), server=server)
    assert (found["SERVER_NAME"], found["SERVER_PORT"]) == (name, port)


def test_without_a_host_field_it_is_the_address() -> None:
    found = variables(server=Address("10.0.0.1", 8080), http_version="1.0")
    assert (found["SERVER_NAME"], found["SERVER_PROTOCOL"]) == ("10.0.0.1", "HTTP/1.0")
    assert "HTTP_HOST" not in found


def test_https() -> None:
    found = variables("/", ("Host", "a"), scheme="https")
    assert (found["HTTPS"], found["SERVER_PORT"]) == ("on", "443")


@pytest.mark.parametrize("name", ["Proxy", "X_Two", "Content_Length", "Transfer-Encoding", "Connection"])
def test_fields_that_would_mislead_are_not_passed(name: str) -> None:
    assert [key for key in variables("/", (name, "x")) if key.startswith(("HTTP_", "CONTENT"))] == []


def test_the_content_type_is_no_http_variable() -> None:
    found = variables("/", ("Content-Type", "text/plain"), ("content-length", "7"))
    assert found["CONTENT_TYPE"] == "text/plain"
    assert "CONTENT_LENGTH" not in found
    assert meta_variables(Request("POST", "/", Headers()), 7)["CONTENT_LENGTH"] == "7"


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        (None, ("", None)),
        (Address("unix:", None), ("", None)),
        (Address("192.0.2.1", None), ("192.0.2.1", None)),
        (Address("192.0.2.1", 80), ("192.0.2.1", "80")),
    ],
)
def test_the_client(client: Address | None, expected: tuple[str, str | None]) -> None:
    found = variables(client=client)
    assert (found["REMOTE_ADDR"], found.get("REMOTE_PORT")) == expected


def test_a_mount_is_the_script_name() -> None:
    request = Request("GET", "/my%20shop/a%2Fb?q", Headers())
    request.root_path, request.raw_path = "/my%20shop", "/a%2Fb"
    found = meta_variables(request, None)
    assert (found["SCRIPT_NAME"], found["PATH_INFO"]) == ("/my shop", "/a/b")
    assert found["REQUEST_URI"] == "/my%20shop/a%2Fb?q"


def test_the_host_of_an_absolute_target_counts() -> None:
    found = variables("http://target.example/", ("Host", "field.example"))
    assert (found["HTTP_HOST"], found["SERVER_NAME"]) == ("target.example", "target.example")
