"""HTTPS by the whole server: with workers, reloads, and what is said at the start."""

from __future__ import annotations

import re
import signal
import socket
import ssl
from pathlib import Path

import pytest

from pierhead.cli import main
from tests.certificates import make_certificate
from tests.supervisor.harness import Pierhead, eventually

HEADER = b"PROXY TCP4 192.0.2.7 198.51.100.1 50123 443\r\n"


def shown(port: int, before: bytes = b"") -> tuple[str, bytes]:
    """Return the certificate that is shown, and the answer to a request."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), 60) as raw:
        raw.sendall(before)
        with context.wrap_socket(raw) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            answer = bytearray()
            while piece := client.recv(65536):
                answer += piece
            der = client.getpeercert(binary_form=True)
            assert der is not None
            return ssl.DER_cert_to_PEM_cert(der), bytes(answer)


def secure_port(server: Pierhead) -> int:
    match = re.search(r"https://127\.0\.0\.1:([0-9]+)", server.log)
    assert match is not None, server.log
    return int(match[1])


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_server_with_workers_speaks_tls_and_takes_new_certificates(tmp_path: Path, loop: str) -> None:
    certificate, key = make_certificate(tmp_path, "a", "DNS:a.example")
    urls = [f"https://127.0.0.1:0{options}" for options in ("", "?proxy", "?max_headers=1")]
    options = [*(part for url in urls for part in ("--listen", url)), "--loop", loop]
    with Pierhead(tmp_path, *options, "--tls-certificate", str(certificate), "--tls-key", str(key)) as server:
        port = secure_port(server)
        old, answer = shown(port)
        assert old == certificate.read_text()
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert main(["health", f"https://127.0.0.1:{port}"]) == 0
        proxied, limited = map(int, re.findall(r"https://127\.0\.0\.1:([0-9]+)", server.log)[1:3])
        assert shown(proxied, HEADER)[1].startswith(b"HTTP/1.1 200 OK\r\n")
        assert shown(limited)[1].startswith(b"HTTP/1.1 431 "), "it has a limit of its own"
        make_certificate(tmp_path, "a", "DNS:a.example")
        server.signal(signal.SIGHUP)
        server.wait_for_log("generation 2 serves on")
        eventually(lambda: shown(port)[0] == certificate.read_text() != old, "the new certificate is shown")


def test_a_certificate_that_cannot_be_used_is_told_before_anything_starts(tmp_path: Path) -> None:
    certificate, _ = make_certificate(tmp_path, "a")
    options = ["--listen", "https://127.0.0.1:0", "--tls-certificate", str(certificate)]
    with Pierhead(tmp_path, *options, ready=False) as server:
        assert server.wait() == 2
        server.wait_for_log(f"pierhead: tls_key {certificate}: it holds no private key in PEM")
    with Pierhead(tmp_path, "--listen", "https://127.0.0.1:0", ready=False) as server:
        assert server.wait() == 2
        server.wait_for_log("needs a certificate: set tls_certificate")


def test_a_reload_with_a_certificate_that_cannot_be_used_changes_nothing(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "a")
    options = ["--tls-certificate", str(certificate), "--tls-key", str(key)]
    with Pierhead(tmp_path, "--listen", "https://127.0.0.1:0", *options) as server:
        key.write_text("nonsense")
        server.signal(signal.SIGHUP)
        server.wait_for_log("reload failed; the code from before goes on serving")
        assert f"tls_key {key}: it holds no private key in PEM" in server.log
        assert shown(secure_port(server))[1].startswith(b"HTTP/1.1 200 OK\r\n")
