"""Listener URLs."""

from __future__ import annotations

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
    ],
)
def test_a_listener_is_read_and_shown(text: str, listener: ListenURL) -> None:
    assert ListenURL.parse(text) == listener
    assert ListenURL.parse(str(listener)).host == listener.host


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("127.0.0.1:8080", "did you mean http://127.0.0.1:8080"),
        ("8080", "use http://host:port"),
        ("https://127.0.0.1:8443", "there is no https:// listener"),
        ("http://:8080", "the host is missing"),
        ("http://127.0.0.1:65536", "a port is 0 to 65535"),
        ("http://127.0.0.1:http", "use http://host:port"),
        ("http://127.0.0.1:8080/app", "use http://host:port"),
        ("http://a b:1", "use http://host:port"),
        ("http://::1:8080", "use http://host:port"),
        ("http://unix:", "use http://unix:/path"),
        ("http://unix:/run/", "use http://unix:/path"),
        ("http://unix:/run/a?mode=999", "use http://unix:/path"),
        ("http://unix:/" + "a" * 107, "at most 107 bytes"),
    ],
)
def test_what_is_none_says_what_to_use(text: str, fix: str) -> None:
    with pytest.raises(ValueError, match=fix):
        ListenURL.parse(text)
