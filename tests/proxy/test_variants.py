"""What the files can do besides: each mix-in and variant, accepted by the real programs and really used."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import ssl
import struct
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stack.matrix.client import Answer, Connection, connected, fetch
from stack.matrix.programs import PROXY, Apache, Caddy, Nginx, Program
from stack.ports import any_free
from stack.service import Service
from tests.proxy.upstream import Upstream, running_upstream

MINIMAL = {"caddy": "minimal.Caddyfile", "nginx": "minimal.conf", "apache": "minimal.conf"}
SECURE = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
    "referrer-policy": "strict-origin-when-cross-origin",
}
HSTS = "max-age=31536000"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the workers of a proxy, which are nobody, may enter."""
    path = Path(tempfile.mkdtemp(prefix="proxy"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def clean(output: str) -> bool:
    lines = [line for line in output.splitlines() if ":notice]" not in line]
    complaint = r"\[(\w+:)?(warn|error|emerg|crit|alert)\]|not formatted|AH\d+|\"error\""
    return not any(re.search(complaint, line) for line in lines)


# --- compression: what is large and text, with validators that still work


@pytest.mark.parametrize(
    ("path", "accepted", "encoding"),
    [("/text", "gzip", "gzip"), ("/text", "identity", None), ("/text", None, None), ("/", "gzip", None)],
)
async def test_long_text_is_compressed_for_who_wants_it(
    proxy: Program, path: str, accepted: str | None, encoding: str | None
) -> None:
    answer = await fetch(proxy.port, path, [("Accept-Encoding", accepted)] if accepted else [])
    assert answer.one("content-encoding") == encoding
    if path == "/text":
        assert "accept-encoding" in (answer.one("vary") or "").lower() or encoding is None


@pytest.mark.parametrize("accepted", ["gzip", "identity"])
async def test_the_validator_that_a_client_got_is_understood(
    proxy: Program, upstream: Upstream, accepted: str
) -> None:
    fields = [("Accept-Encoding", accepted)]
    tag = (await fetch(proxy.port, "/text", fields)).one("etag")
    assert tag
    again = await fetch(proxy.port, "/text", [*fields, ("If-None-Match", f'"other", {tag}')])
    assert again.status == 304
    await fetch(proxy.port, "/text", [*fields, ("If-Match", tag)], method="PUT")
    assert upstream.seen[-1].one("if-match") == '"v1"', "the application compares with its own"


# --- security headers


@pytest.mark.parametrize("path", ["/", "/busy"])
async def test_security_headers_are_added(proxy: Program, path: str) -> None:
    answer = await fetch(proxy.port, path)
    assert {name: answer.one(name) for name in SECURE} == SECURE
    assert answer.all("strict-transport-security") == [], "not over plain HTTP"


async def test_the_application_may_say_it_itself(proxy: Program) -> None:
    answer = await fetch(proxy.port, "/secured")
    assert answer.one("x-content-type-options") == "own"
    assert answer.one("x-frame-options") == "DENY"
    assert answer.one("referrer-policy") == "no-referrer"
    assert answer.one("strict-transport-security") == "max-age=1"


async def test_error_pages_have_them_too(proxy: Program, upstream: Upstream) -> None:
    await upstream.stop()
    answer = await fetch(proxy.port)
    await upstream.start()
    assert {name: answer.one(name) for name in SECURE} == SECURE


# --- a proxy in front of this one

FRONT = {
    "caddy": {"CADDY_FRONT": "127.0.0.0/8"},
    "nginx": {"http.conf": "set_real_ip_from 127.0.0.0/8;\n"},
    "apache": {"site.conf": 'Define FRONT "127.0.0.0/8"\n'},
}


async def test_a_proxy_in_front_is_believed_where_it_is_named(
    program: type[Program], upstream: Upstream, tmp_path: Path
) -> None:
    fields = [
        ("X-Forwarded-For", "6.6.6.6, 203.0.113.7"),  # the first one is what the client claimed to the front
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Port", "443"),
        ("X-Forwarded-Host", "evil.example"),
        ("Forwarded", "for=6.6.6.6"),
        ("X-Forwarded-Prefix", "/evil"),
    ]
    async with program(tmp_path, [upstream.port], more=FRONT[program.name]) as proxy:
        assert (await fetch(proxy.port, "/", fields)).status == 200
        assert (await fetch(proxy.port, "/")).status == 200
        assert (await fetch(proxy.port, "/", [("X-Forwarded-Proto", "gopher")])).status == 200
    believed, without, nonsense = upstream.seen
    assert believed.one("x-forwarded-for") == "203.0.113.7"
    assert believed.one("x-forwarded-proto") == "https"
    assert believed.one("x-forwarded-port") == "443"
    assert believed.one("x-forwarded-host") == "example.org:8080"
    assert believed.all("forwarded") + believed.all("x-forwarded-prefix") == []
    for seen in (without, nonsense):
        assert seen.one("x-forwarded-for") == "127.0.0.1"
        assert seen.one("x-forwarded-proto") == "http"
        assert seen.one("x-forwarded-port") == str(proxy.port)


# --- upstreams on unix sockets


async def test_the_application_may_listen_on_unix_sockets(program: type[Program], folder: Path) -> None:
    paths = [folder / "one.sock", folder / "two.sock"]
    async with running_upstream(f"unix:{paths[0]}") as one, running_upstream(f"unix:{paths[1]}") as two:
        for path in paths:
            path.chmod(0o777)
        async with program(folder, [f"unix:{path}" for path in paths]) as proxy, asyncio.timeout(60):
            while not (one.seen and two.seen):
                assert (await fetch(proxy.port, "/a%2Fb")).status == 200
        assert one.seen[0].target == "/a%2Fb"
        assert one.seen[0].one("host") == "example.org:8080"
        assert one.seen[0].one("x-forwarded-for") == "127.0.0.1"


# --- static files

STATIC = {
    "caddy": {"CADDY_STATIC_FILES": "on"},
    "nginx": {"server.conf": "include mixins/static.conf;\n"},
    "apache": {"site.conf": "Define STATIC\n"},
}


async def test_static_files_do_without_the_application(
    program: type[Program], upstream: Upstream, folder: Path
) -> None:
    files = folder / program.name / "static" if program is not Caddy else folder / "static"
    files.mkdir(parents=True)
    (files / "style.css").write_text("a { color: red }\n" * 200)
    (folder / "secret.txt").write_text("secret")
    (files.parent / "secret.txt").write_text("secret")
    more = STATIC[program.name] | ({"CADDY_STATIC": str(files)} if program is Caddy else {})
    async with program(folder, [upstream.port], more=more) as proxy:
        whole = await fetch(proxy.port, "/static/style.css")
        assert whole.status == 200
        assert (whole.one("content-type") or "").replace("UTF", "utf") == "text/css; charset=utf-8"
        assert whole.one("cache-control") == "public, max-age=3600"
        assert whole.one("x-content-type-options") == "nosniff"
        validator = whole.one("last-modified")
        assert validator
        assert (
            await fetch(proxy.port, "/static/style.css", [("If-Modified-Since", validator)])
        ).status == 304
        part = await fetch(proxy.port, "/static/style.css", [("Range", "bytes=0-2")])
        assert (part.status, part.body) == (206, b"a {")
        packed = await fetch(proxy.port, "/static/style.css", [("Accept-Encoding", "gzip")])
        assert packed.one("content-encoding") == "gzip"
        assert (await fetch(proxy.port, "/static/none.css")).status == 404
        for path in ("/static/../secret.txt", "/static/%2e%2e/secret.txt", "/static/..%2fsecret.txt"):
            assert b"secret" not in (await fetch(proxy.port, path)).body
        assert not [seen for seen in upstream.seen if "style" in seen.target]
        assert (await fetch(proxy.port, "/other")).status == 200
    assert upstream.seen[-1].target == "/other"


# --- a limit for each client


async def test_too_many_requests_are_refused_with_when_to_come_back(
    upstream: Upstream, tmp_path: Path
) -> None:
    more = {"http.conf": "include mixins/rate-limit.conf;\n"}
    async with Nginx(tmp_path, [upstream.port], more=more) as proxy:
        answers: list[Answer] = []
        refused: list[Answer] = []
        while not refused:  # a busy machine may be so slow that 120 requests keep to 20 a second, and 40 more
            answers += await asyncio.gather(*(fetch(proxy.port) for _ in range(120)))
            refused = [answer for answer in answers if answer.status == 429]
    assert len(answers) - len(refused) >= 41
    assert {answer.one("retry-after") for answer in refused} == {"1"}
    assert all(answer.all("retry-after") == [] for answer in answers if answer.status == 200)


# --- TLS, HTTP/2, HTTP/3


@pytest.fixture
def authority(folder: Path) -> Path:
    """A certificate made by proxy/local-ca, and its authority."""
    made = subprocess.run([PROXY / "local-ca", folder / "tls"], capture_output=True, text=True, check=True)
    assert "DNS:localhost" in made.stdout
    return folder / "tls"


@pytest.fixture
async def secure(
    program: type[Program], upstream: Upstream, folder: Path, authority: Path
) -> AsyncIterator[tuple[Program, int, Path]]:
    """The program with TLS: itself, the port for it, and the certificate of who certifies it."""
    tls = any_free()
    if program is Caddy:
        plain = any_free()
        more = {"CADDY_HTTP_PORT": str(plain), "CADDY_HTTPS_PORT": str(tls)}
        proxy: Program = program(folder, [upstream.port], config="tls.Caddyfile", more=more, port=tls)
        root = folder / "caddy" / "data" / "caddy" / "pki" / "authorities" / "local" / "root.crt"
    else:
        lines = {
            "nginx": {
                "server.conf": f"listen 127.0.0.1:{tls} ssl default_server;\ninclude mixins/tls.conf;\n"
            },
            "apache": {"site.conf": f"Listen 127.0.0.1:{tls}\nDefine TLS_PORT {tls}\n"},
        }
        proxy = program(folder, [upstream.port], more=lines[program.name])
        give_certificate(folder / program.name, authority)
        root = authority / "ca.pem"
    code, output = await proxy.validate()
    assert code == 0, output
    assert clean(output), output
    async with proxy:
        async with asyncio.timeout(60):
            while not await shakes_hands(tls, root):  # noqa: ASYNC110 - Caddy makes certificates as it goes
                await asyncio.sleep(0.05)
        yield proxy, tls, root


def give_certificate(place: Path, authority: Path) -> None:
    """Put the certificate where nginx's and httpd's mixins/tls.conf have it."""
    (place / "site").mkdir(parents=True)
    shutil.copytree(authority, place / "site" / "tls")


async def shakes_hands(port: int, root: Path) -> bool:
    try:
        context = ssl.create_default_context(cafile=str(root))
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def curl(port: int, root: Path, *options: str) -> tuple[str, str]:
    """Ask https://localhost; return the head and the body that came."""
    command = ["curl", "-sS", "-i", "--cacert", str(root), "--resolve", f"localhost:{port}:127.0.0.1"]
    process = await asyncio.create_subprocess_exec(
        *command, *options, f"https://localhost:{port}/", stdout=-1, stderr=-1
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    head, _, body = output.decode().partition("\r\n\r\n")
    return head.lower(), body


async def test_plain_http_is_sent_to_tls_on_request(
    program: type[Program], upstream: Upstream, folder: Path, authority: Path
) -> None:
    plain, tls = any_free(), any_free()
    more = {
        "caddy": {"CADDY_HTTP_PORT": str(plain), "CADDY_HTTPS_PORT": str(tls)},
        "nginx": {
            "http.conf": f"server {{ listen 127.0.0.1:{plain}; return 308 https://$host$request_uri; }}\n"
        },
        "apache": {
            "site.conf": f"Listen 127.0.0.1:{plain}\nListen 127.0.0.1:{tls}\n"
            f"Define TLS_PORT {tls}\nDefine TLS_ONLY\n"
        },
    }[program.name]
    if program is Caddy:
        proxy: Program = program(folder, [upstream.port], config="tls.Caddyfile", more=more, port=tls)
    else:
        proxy = program(folder, [upstream.port], more=more)
        give_certificate(folder / program.name, authority)
    async with proxy:
        for target in ("/a%20b%2Fc?d=%20", "/100%25", "/"):
            answer = await fetch(plain, target, host="localhost")
            assert (answer.status, answer.one("location")) == (308, f"https://localhost{target}")
    assert all(seen.target == "/readyz" for seen in upstream.seen)  # a proxy's own question


async def test_tls_with_http_2_and_a_certificate_that_checks(
    secure: tuple[Program, int, Path], upstream: Upstream
) -> None:
    _, port, root = secure
    spoofed = ["-H", "X-Forwarded-For: 6.6.6.6", "-H", "X-Forwarded-Prefix: /evil"]
    head, body = await curl(port, root, "--http2", *spoofed)
    assert head.startswith("http/2 200")
    assert body == str(upstream.port)
    assert f"strict-transport-security: {HSTS}" in head
    assert "x-content-type-options: nosniff" in head
    head, _ = await curl(port, root, "--http1.1", "--tls-max", "1.2")
    assert head.startswith("http/1.1 200")
    seen = upstream.seen[0]
    assert seen.one("x-forwarded-for") == "127.0.0.1"
    assert seen.one("x-forwarded-proto") == "https"
    assert seen.one("x-forwarded-port") == str(port)
    assert seen.one("host") == f"localhost:{port}"
    assert seen.all("x-forwarded-prefix") == []
    with pytest.raises(AssertionError, match="protocol version"):
        await curl(port, root, "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0")


async def test_limits_hold_with_tls_too(secure: tuple[Program, int, Path], upstream: Upstream) -> None:
    _, port, root = secure
    context = ssl.create_default_context(cafile=str(root))
    streams = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    client = Connection(*streams)
    async with asyncio.timeout(60):
        await client.head(
            "/", [("Content-Length", str(128 * 1024 * 1024 + 1))], method="POST", host=f"localhost:{port}"
        )
        await client.body(b"x" * 2**19)
        assert (await client.answer()).status == 413
    client.writer.close()
    assert upstream.seen == []


async def test_caddy_redirects_http_and_speaks_http_3(upstream: Upstream, folder: Path) -> None:
    plain, tls = any_free(), any_free()
    more = {"CADDY_HTTP_PORT": str(plain), "CADDY_HTTPS_PORT": str(tls)}
    async with Caddy(folder, [upstream.port], config="tls.Caddyfile", more=more, port=plain):
        moved = await fetch(plain, "/path", host="localhost")
        assert moved.status in (301, 308)
        assert moved.one("location") == "https://localhost/path"
        assert 1 in await quic_versions(tls), "QUIC version 1, which is HTTP/3's"


async def quic_versions(port: int) -> list[int]:
    """Ask for a version of QUIC that does not exist; the server names those it knows (RFC 9000, 6)."""
    loop = asyncio.get_running_loop()
    answers: asyncio.Queue[bytes] = asyncio.Queue()

    class Receiver(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, address: object) -> None:
            answers.put_nowait(data)

    transport, _ = await loop.create_datagram_endpoint(Receiver, remote_addr=("127.0.0.1", port))
    probe = b"\xc0" + struct.pack(">I", 0x1A2A3A4A) + b"\x08destinat\x06source"
    try:
        async with asyncio.timeout(60):
            while answers.empty():
                transport.sendto(probe.ljust(1200, b"\0"))
                await asyncio.sleep(0.1)
    finally:
        transport.close()
    answer = answers.get_nowait()
    assert answer[1:5] == b"\0\0\0\0", "a version negotiation packet"
    versions = answer[7 + answer[5] + answer[6 + answer[5]] :]
    return [value for (value,) in struct.iter_unpack(">I", versions)]


# --- copied: what proxy/README.md says to change, and nothing else


def edited(text: str, edits: dict[str, str]) -> str:
    """Change lines marked <-- (or the one after a mark that stands alone), and only those."""
    lines = text.splitlines()
    for old, new in edits.items():
        (number,) = (index for index, line in enumerate(lines) if line.strip().startswith(old))
        place = "\n".join(lines[max(0, number - 3) : number + 1])
        assert "<--" in place, f"{old} is not marked"
        lines[number] = lines[number].replace(lines[number].strip(), new)
    return "\n".join(lines) + "\n"


async def copied(program: type[Program], folder: Path, port: int, upstream: int) -> Program:
    """Copy the folder of a proxy and change the marked lines of its minimal variant."""
    path = folder / program.name
    shutil.copytree(PROXY / program.name, path)
    minimal = path / MINIMAL[program.name]
    edits = {
        "caddy": {
            "http://:8081": f"http://:{port} {{\n\tbind 127.0.0.1",
            "reverse_proxy": f"reverse_proxy 127.0.0.1:{upstream} {{",
        },
        "nginx": {
            "listen": f"listen 127.0.0.1:{port};",
            "server 127": f"server 127.0.0.1:{upstream};",
        },
        "apache": {
            "Listen": f"Listen 127.0.0.1:{port}\nUser nobody\nGroup #65534",
            "BalancerMember": f'BalancerMember "http://127.0.0.1:{upstream}" ${{MEMBER}}',
        },
    }
    minimal.write_text(edited(minimal.read_text(), edits[program.name]))

    class Copied(program):  # type: ignore[valid-type,misc] # whichever of the three it is
        def service(self) -> Service:
            service: Service = super().service()
            words = {
                "caddy": ["--config", str(minimal), "--adapter", "caddyfile"],
                "nginx": ["-p", str(path), "-c", minimal.name, "-g", "daemon off;"],
                "apache": ["-d", str(path), "-f", minimal.name, "-DFOREGROUND"],
            }
            first = [*service.argv[:2]] if program is Caddy else [service.argv[0]]
            return replace(service, argv=[*first, *words[self.name]], cwd=path)

    chosen: Program = Copied(folder / "elsewhere", [upstream], port=port)
    chosen.folder.mkdir()
    return chosen


async def test_the_minimal_variant_works_where_it_was_copied(
    program: type[Program], upstream: Upstream, folder: Path
) -> None:
    proxy = await copied(program, folder, any_free(), upstream.port)
    code, output = await proxy.validate()
    assert code == 0, output
    assert clean(output), output
    async with proxy:
        spoofed = [("X-Forwarded-For", "6.6.6.6"), ("Forwarded", "for=6.6.6.6"), ("X-Real-IP", "6.6.6.6")]
        answer = await fetch(proxy.port, "/a%2Fb", spoofed)
        assert (answer.status, answer.body) == (200, str(upstream.port).encode())
        seen = upstream.seen[0]
        assert seen.target == "/a%2Fb"
        assert "6.6.6.6" not in repr(seen.fields)
        assert seen.one("x-forwarded-for") == "127.0.0.1"
        assert seen.one("x-forwarded-host") == "example.org:8080"
        async with connected(proxy.port) as client, asyncio.timeout(60):
            await client.head("/events")
            await client.end()
            await client.event()
            upstream.events.put_nowait(1)
            await client.event()
            upstream.events.put_nowait(None)
    assert clean(proxy.complaints()), proxy.complaints()


@pytest.mark.apache
async def test_the_log_of_apache_is_json_whatever_a_client_sends(upstream: Upstream, tmp_path: Path) -> None:
    if reason := Apache.missing():
        pytest.skip(reason)
    agents = ["plain", 'a"b\\c', "caf\u00e9", "tab\there", "x" * 500]
    targets = ["/a%2Fb?token=hunter2", '/q"uo\\te', "/%22%0a"]
    async with Apache(tmp_path, [upstream.port]) as proxy:
        for agent in agents:
            await raw(proxy.port, "/agent", agent)
        for target in targets:
            await raw(proxy.port, target, "plain")
        await raw(proxy.port, "nonsense", "plain")
    text = proxy.access_log.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert len(lines) == len(agents) + len(targets) + 1
    assert [line["agent"] for line in lines[:3]] == ["plain", 'a"b\\c', "-"]
    assert lines[len(agents)]["path"] == "/a%2Fb"
    assert "hunter2" not in text


async def raw(port: int, target: str, agent: str) -> bytes:
    """Send what a decent client would not."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"GET {target} HTTP/1.1\r\nHost: example.org\r\nUser-Agent: {agent}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode())
    answer = await reader.read()
    writer.close()
    return answer
