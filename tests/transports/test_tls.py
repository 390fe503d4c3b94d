"""HTTPS: certificates by name, read again when they change, client certificates, and what is refused."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import h11
import pytest

from pierhead import App, Request, Response
from pierhead.config import Settings
from pierhead.interfaces.native import NativeApplication
from pierhead.transports.server import Server
from pierhead.transports.tls import CertificateError, Certificates
from tests.certificates import make_certificate
from tests.contract.wire import Answer, Ask, http_answer, http_request


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the certificates a, b, ca, and client (signed by ca)."""
    folder = tmp_path_factory.mktemp("certificates")
    make_certificate(folder, "a", "DNS:a.example", "IP:127.0.0.1")
    make_certificate(folder, "b", "DNS:b.example", "DNS:*.w.example")
    make_certificate(folder, "ca")
    make_certificate(folder, "client", signed_by="ca")
    return folder


@pytest.fixture
def app() -> App:
    app = App()

    @app.get("/")
    async def facts(request: Request) -> Response:
        tls = request.tls
        assert tls is not None
        return Response.json(
            {
                "scheme": request.scheme,
                "version": tls.tls_version,
                "cipher": tls.cipher_suite,
                "cert": tls.server_cert,
                "client": tls.client_cert_name,
                "chain": len(tls.client_cert_chain),
            }
        )

    return app


def settings(folder: Path, *names: str, **others: Any) -> Settings:
    certificates = tuple(str(folder / f"{name}.pem") for name in names)
    keys = tuple(str(folder / f"{name}.key") for name in names)
    return Settings(tls_certificate=certificates, tls_key=keys, **others)


@contextlib.asynccontextmanager
async def serving(app: App, settings: Settings, cut: int | None = None) -> AsyncIterator[int]:
    """Serve and yield the port; then `cut` connections must have to be cut off."""
    server = Server(NativeApplication(app), settings)
    listening = socket.create_server(("127.0.0.1", 0))
    port: int = listening.getsockname()[1]
    try:
        await server.serve([listening], ["https://127.0.0.1:0"])
        yield port
        assert await server.drain(60.0) == (cut or 0) or cut is None
    finally:
        await server.close()


def client(**changes: Any) -> ssl.SSLContext:
    """Return a client's context; it takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for name, value in changes.items():
        setattr(context, name, value)
    return context


async def ask(port: int, name: str | None = None, context: ssl.SSLContext | None = None) -> Answer:
    """Send a request to `name`."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context or client(), server_hostname=name or "127.0.0.1"
    )
    writer.write(http_request(Ask(fields=[("Connection", "close")])))
    try:
        return http_answer(await reader.read())
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()


async def shown(port: int, name: str) -> str:
    """Return the certificate that is shown to who asks for a name."""
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client(), server_hostname=name)
    der: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return ssl.DER_cert_to_PEM_cert(der)


def pem(folder: Path, name: str) -> str:
    return (folder / f"{name}.pem").read_text()


async def test_a_request_over_tls(app: App, folder: Path) -> None:
    trusting = ssl.create_default_context(cafile=str(folder / "a.pem"))
    async with serving(app, settings(folder, "a")) as port:
        answer = await ask(port, "a.example", trusting)
    assert b'"scheme":"https","version":772,' in answer.body
    assert b'"client":null,"chain":0' in answer.body
    assert pem(folder, "a").encode().replace(b"\n", b"\\n") in answer.body


@pytest.mark.parametrize(
    ("asked", "certificate"),
    [
        ("a.example", "a"),
        ("b.example", "b"),
        ("B.Example", "b"),
        ("x.w.example", "b"),
        ("y.x.w.example", "a"),
        ("w.example", "a"),
        ("unknown.example", "a"),
        ("127.0.0.1", "a"),  # of an address no name is sent
    ],
)
async def test_a_client_gets_the_certificate_for_the_name_it_asks_for(
    app: App, folder: Path, asked: str, certificate: str
) -> None:
    async with serving(app, settings(folder, "a", "b")) as port:
        assert await shown(port, asked) == pem(folder, certificate)


async def test_a_key_may_be_in_the_certificates_file(app: App, folder: Path, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_text((folder / "b.key").read_text() + pem(folder, "b"))
    async with serving(app, Settings(tls_certificate=(str(both),))) as port:
        assert await shown(port, "b.example") == pem(folder, "b")


@pytest.mark.parametrize(
    ("http2", "offered", "chosen"),
    [
        ("auto", ["http/1.1", "h2"], "h2"),
        ("auto", ["http/1.1"], "http/1.1"),
        ("off", ["h2", "http/1.1"], "http/1.1"),
    ],
)
async def test_the_protocol_is_negotiated(
    app: App, folder: Path, http2: str, offered: list[str], chosen: str
) -> None:
    context = client()
    context.set_alpn_protocols(offered)
    async with serving(app, settings(folder, "a", http2=http2)) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="a.example")
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == chosen
        writer.close()
        with contextlib.suppress(ssl.SSLError):  # the server may have sent its settings meanwhile
            await writer.wait_closed()


async def test_old_versions_are_refused(app: App, folder: Path) -> None:
    async with serving(app, settings(folder, "a", tls_minimum_version="1.3")) as port:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await ask(port, context=client(maximum_version=ssl.TLSVersion.TLSv1_2))
        assert (await ask(port)).status == 200
    async with serving(app, settings(folder, "a")) as port:
        answer = await ask(port, context=client(maximum_version=ssl.TLSVersion.TLSv1_2))
        assert b'"version":771,' in answer.body


async def test_a_client_may_have_to_have_a_certificate(app: App, folder: Path) -> None:
    with_one = client()
    with_one.load_cert_chain(folder / "client.pem", folder / "client.key")
    stranger = client()
    stranger.load_cert_chain(folder / "b.pem", folder / "b.key")
    async with serving(app, settings(folder, "a", "b", tls_client_ca=str(folder / "ca.pem"))) as port:
        for name in ("a.example", "b.example"):
            answer = await ask(port, name, with_one)
            assert b'"client":"CN=client,O=Tests\\\\, Inc","chain":1' in answer.body
            for other in (client(), stranger):
                # In TLS 1.3 it shows after the handshake only: then there is no response.
                with pytest.raises((ssl.SSLError, ConnectionError, h11.RemoteProtocolError)):
                    await ask(port, name, other)


async def test_what_is_no_tls_is_closed_and_a_handshake_has_its_time(app: App, folder: Path) -> None:
    async with serving(app, settings(folder, "a", tls_handshake_timeout_s=0.1)) as port:
        for sent in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            with contextlib.suppress(ConnectionResetError):
                assert b"HTTP" not in await reader.read()
            writer.close()


async def test_a_client_that_ends_its_side_gets_no_warning_logged(
    app: App, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(app, settings(folder, "a")) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client())
        writer.write(http_request(Ask())[:-2])
        writer.close()
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            await writer.wait_closed()
            assert b"HTTP/1.1 200" not in await reader.read()
    assert caplog.text == ""


async def test_a_client_that_does_not_answer_the_end_does_not_hold_a_drain_up(app: App, folder: Path) -> None:
    async with serving(app, settings(folder, "a"), cut=0) as port:
        loop = asyncio.get_running_loop()
        raw = socket.create_connection(("127.0.0.1", port))
        idle = await loop.run_in_executor(None, client().wrap_socket, raw)
        idle.sendall(http_request(Ask()))
        assert await loop.run_in_executor(None, idle.recv, 12) == b"HTTP/1.1 200"
        # and reads no more
    idle.close()


async def test_certificates_that_change_are_used_from_the_next_handshake_on(
    app: App, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for file in ("a.pem", "a.key", "b.pem", "b.key"):
        shutil.copy(folder / file, tmp_path / file)
    async with serving(app, settings(tmp_path, "a")) as port:
        assert await shown(port, "b.example") == pem(folder, "a")
        (tmp_path / "b.pem").replace(tmp_path / "a.pem")  # the key is still that of the other
        await logged(caplog, "is not the key of")
        assert await shown(port, "b.example") == pem(folder, "a")
        (tmp_path / "b.key").replace(tmp_path / "a.key")
        await logged(caplog, "read the certificates again")
        assert await shown(port, "b.example") == pem(folder, "b")
        (tmp_path / "a.key").unlink()
        await logged(caplog, "No such file")
        assert (await ask(port)).status == 200


async def logged(caplog: pytest.LogCaptureFixture, text: str) -> None:
    deadline = time.monotonic() + 60
    while text not in caplog.text:
        assert time.monotonic() < deadline, caplog.text
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("certificate", "key", "complaint"),
    [
        ("none.pem", "a.key", "tls_certificate {folder}/none.pem: No such file or directory"),
        ("a.pem", "none.key", "tls_key {folder}/none.key: No such file or directory"),
        ("a.pem", "b.key", "tls_key {folder}/b.key: it is not the key of tls_certificate {folder}/a.pem"),
        ("a.key", "a.key", "tls_certificate {folder}/a.key: it holds no certificate in PEM"),
        ("a.pem", "b.pem", "tls_key {folder}/b.pem: it holds no private key in PEM"),
        ("a.pem", None, "tls_key {folder}/a.pem: it holds no private key in PEM; name its file in tls_key"),
        ("a.pem", "locked.key", "tls_key {folder}/locked.key: it is encrypted"),
        ("broken.pem", "a.key", "tls_certificate {folder}/broken.pem: it cannot be used with tls_key"),
    ],
)
def test_a_certificate_that_cannot_be_used_names_its_file(
    folder: Path, certificate: str, key: str | None, complaint: str
) -> None:
    (folder / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    lock_key(folder)
    keys = (str(folder / key),) if key else ()
    with pytest.raises(CertificateError) as caught:
        Certificates(Settings(tls_certificate=(str(folder / certificate),), tls_key=keys))
    assert str(caught.value).startswith(complaint.format(folder=folder))


def lock_key(folder: Path) -> None:
    command = ["openssl", "pkey", "-in", str(folder / "a.key"), "-aes128", "-passout", "pass:secret"]
    subprocess.run([*command, "-out", str(folder / "locked.key")], check=True, timeout=60)


def test_who_signs_clients_certificates_is_named_where_it_cannot_be_used(folder: Path) -> None:
    for name, complaint in (("none.pem", "No such file"), ("a.key", "no certificates in PEM")):
        with pytest.raises(CertificateError, match=f"tls_client_ca .*{complaint}"):
            Certificates(settings(folder, "a", tls_client_ca=str(folder / name)))


def test_without_a_certificate_there_is_no_tls() -> None:
    with pytest.raises(CertificateError, match="set tls_certificate"):
        Certificates(Settings())
