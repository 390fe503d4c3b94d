"""The facts of a TLS connection, as ASGI names them."""

from __future__ import annotations

from pierhead.messages.tls import TLSInfo


def test_what_is_known_becomes_the_extension() -> None:
    info = TLSInfo(tls_version=0x0304, client_cert_chain=("one", "two"))
    assert info.as_extension() == {
        "tls_version": 0x0304,
        "cipher_suite": None,
        "server_cert": None,
        "client_cert_chain": ["one", "two"],
        "client_cert_name": None,
        "client_cert_error": None,
    }
