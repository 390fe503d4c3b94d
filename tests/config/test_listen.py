"""Listener URLs."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from pierhead.config.listen import ListenURL


@pytest.mark.parametrize(
    ("text", "listener"),
    [
        ("http://127.0.0.1:8080", ListenURL(host="127.0.0.1", port=8080)),
        ("http://localhost:0/", ListenURL(host="localhost", port=0)),
        ("http://0.0.0.0", ListenURL(host="0.0.0.0", port=80)),
        ("http://[::1]:0", ListenURL(host="::1", port=0)),
        ("http://[fe80::1%eth0]:8080", ListenURL(host="fe80::1%eth0", port=8080)),
        ("http://unix:/run/app.sock", ListenURL(path="/run/app.sock", mode=0o660)),
        ("http://unix:app.sock?mode=600", ListenURL(path="app.sock", mode=0o600)),
        ("http://unix:@app", ListenURL(path="@app")),
        ("https://example.org", ListenURL(protocol="https", host="example.org", port=443)),
        ("https://[::]:8443?proxy", ListenURL(protocol="https", host="::", port=8443, proxy_protocol=True)),
        ("http://unix:/a?proxy&mode=666", ListenURL(path="/a", mode=0o666, proxy_protocol=True)),
        ("fastcgi://127.0.0.1:9000", ListenURL(protocol="fastcgi", host="127.0.0.1", port=9000)),
        ("fastcgi://fd:0", ListenURL(protocol="fastcgi", fd=0)),
        ("scgi://unix:/run/app.sock", ListenURL(protocol="scgi", path="/run/app.sock")),
        ("fd://3", ListenURL(fd=3)),
        ("fd://3?proxy", ListenURL(fd=3, proxy_protocol=True)),
        ("stdio:", ListenURL(stdio=True)),
        (
            "http://0.0.0.0:80?max_body_bytes=1MiB&handler_timeout_s=500ms&websocket_compression=no",
            ListenURL(
                host="0.0.0.0",
                port=80,
                limits=(
                    ("max_body_bytes", 1 << 20),
                    ("handler_timeout_s", 0.5),
                    ("websocket_compression", False),
                ),
            ),
        ),
    ],
)
def test_a_listener_is_read_and_shown(text: str, listener: ListenURL) -> None:
    assert ListenURL.parse(text) == listener
    shown = ListenURL.parse(str(listener))
    options: dict[str, Any] = {
        "mode": listener.mode,
        "proxy_protocol": listener.proxy_protocol,
        "limits": listener.limits,
    }
    assert dataclasses.replace(shown, **options) == listener


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("127.0.0.1:8080", "did you mean http://127.0.0.1:8080"),
        ("8080", "use http://host:port"),
        ("ftp://127.0.0.1:8443", "there is no ftp:// listener but http://"),
        ("stdio://", "there is no stdio:// listener"),
        ("http://:8080", "the host is missing"),
        ("http://127.0.0.1:65536", "a port is 0 to 65535"),
        ("http://127.0.0.1:http", "use http://host:port"),
        ("http://127.0.0.1:8080/app", "use http://host:port"),
        ("http://a b:1", "use http://host:port"),
        ("http://::1:8080", "use http://host:port"),
        ("http://unix:", "use http://unix:/path"),
        ("http://unix:/run/", "use http://unix:/path"),
        ("http://unix:/run/a?mode=999", "use http://unix:/path"),
        ("http://unix:@", "use http://unix:/path"),
        ("http://unix:@a?mode=600", "'mode=600' is no option of this listener"),
        ("http://127.0.0.1:8080?mode=600", "'mode=600' is no option of this listener"),
        ("http://127.0.0.1:8080?", "'' is no option of this listener"),
        ("http://127.0.0.1:1?max_bdy_bytes=1", "no option of this listener; did you mean max_body_bytes?"),
        ("http://127.0.0.1:1?max_body_bytes=much", "max_body_bytes = 'much': use a size such as"),
        ("http://127.0.0.1:1?head_timeout_s=0", "head_timeout_s = '0': use at least 0.1s"),
        ("http://127.0.0.1:1?workers=2", "'workers=2' is no option of this listener"),
        ("scgi://127.0.0.1:4000?proxy", "goes before http and https"),
        ("scgi://127.0.0.1", "the port is missing: scgi://127.0.0.1:9000"),
        ("fd://x", "use http://fd:3"),
        ("fastcgi://fd:", "use fastcgi://fd:3"),
        ("http://unix:/" + "a" * 107, "at most 107 bytes"),
    ],
)
def test_what_is_none_says_what_to_use(text: str, fix: str) -> None:
    with pytest.raises(ValueError, match=fix):
        ListenURL.parse(text)
