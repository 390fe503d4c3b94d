"""The real proxies with the shipped files, run in a folder of their own for as long as a block."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

from stack import ports, proxies
from stack.errors import KitError
from stack.service import Service
from stack.state import ROOT

__all__ = ["PROGRAMS", "PROXY", "Apache", "Caddy", "Nginx", "Program"]

PROXY = ROOT / "proxy"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0


@dataclass
class Program:
    """One proxy in front of some servers: a port of this machine, "host:port", or "unix:/path" each.

    `config` is the shipped file to run; `more` is what else is said in `site/`, or in Caddy's environment.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    reload_signal: ClassVar[signal.Signals] = signal.SIGHUP

    folder: Path
    upstreams: Sequence[int | str]
    config: str = ""
    more: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=ports.any_free)
    process: asyncio.subprocess.Process | None = None

    @classmethod
    def missing(cls) -> str | None:
        """Return the reason why the program can't be run on this machine, if there is one."""
        return None

    def service(self) -> Service:
        """Write what is specific to this place; return the program as a service. Raises KitError."""
        raise NotImplementedError

    def validating(self, service: Service) -> list[str]:
        """Return the command that checks the configuration."""
        raise NotImplementedError

    @property
    def addresses(self) -> list[str]:
        """The upstreams as stack.proxies writes them."""
        return [f"127.0.0.1:{one}" if isinstance(one, int) else one for one in self.upstreams]

    @property
    def access_log(self) -> Path:
        """Where requests are logged."""
        return self.folder / "stdout"

    async def validate(self) -> tuple[int, str]:
        """Return the exit code and what the program says of its configuration."""
        service = self.service()
        process = await asyncio.create_subprocess_exec(
            *self.validating(service),
            env=dict(service.env),
            cwd=service.cwd,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        return process.returncode or 0, output.decode()

    async def __aenter__(self) -> Self:
        service = self.service()
        with (self.folder / "stdout").open("ab") as out, (self.folder / "stderr").open("ab") as err:
            self.process = await asyncio.create_subprocess_exec(
                *service.argv, env=dict(service.env), cwd=service.cwd, stdout=out, stderr=err
            )
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while not await self._accepts():
                    if self.process.returncode is not None:
                        raise KitError(f"{self.name} ended:\n{self.complaints()}")
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
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def reload(self) -> None:
        """Make the program read its configuration again, without an interruption. Raises KitError."""
        service = self.service()
        command = proxies.reload_command(service)
        if command is None:
            if self.process is not None:
                self.process.send_signal(self.reload_signal)
            return
        process = await asyncio.create_subprocess_exec(
            *command, env=dict(service.env), cwd=service.cwd, stderr=asyncio.subprocess.PIPE
        )
        _, errors = await process.communicate()
        if process.returncode:
            raise KitError(f"{self.name} does not reload:\n{errors.decode()}")

    def complaints(self) -> str:
        """Return what the program wrote on standard error."""
        path = self.folder / "stderr"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    async def _accepts(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except ConnectionRefusedError:
            return False
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        return True


@dataclass
class Caddy(Program):
    """Caddy from its wheel."""

    name = "caddy"
    title = "Caddy"
    config: str = "Caddyfile"

    def service(self) -> Service:
        """Return it as a service. Raises KitError."""
        return proxies.caddy(self.folder, self.port, self.addresses, config=self.config, more=self.more)

    def validating(self, service: Service) -> list[str]:
        """Return the command that checks the configuration."""
        return [service.argv[0], "validate", *service.argv[2:]]


@dataclass
class Nginx(Program):
    """nginx from its wheel."""

    name = "nginx"
    title = "nginx"
    config: str = "nginx.conf"

    def service(self) -> Service:
        """Return it as a service. Raises KitError."""
        return proxies.nginx(self.folder, self.port, self.addresses, config=self.config, more=self.more)

    def validating(self, service: Service) -> list[str]:
        """Return the command that checks the configuration."""
        return [*service.argv[:-2], "-t"]


@dataclass
class Apache(Program):
    """Apache httpd as the system has it."""

    name = "apache"
    title = "Apache"
    reload_signal = signal.SIGUSR1
    config: str = "httpd.conf"

    @classmethod
    def missing(cls) -> str | None:
        """Return the reason why there is no httpd of use here."""
        found = proxies.find_apache()
        return found if isinstance(found, str) else None

    def service(self) -> Service:
        """Return it as a service. Raises KitError."""
        service = proxies.apache(self.folder, self.port, self.addresses, config=self.config, more=self.more)
        if isinstance(service, str):
            raise KitError(service)
        return service

    def validating(self, service: Service) -> list[str]:
        """Return the command that checks the configuration."""
        return [*service.argv[:-1], "-t"]


PROGRAMS: tuple[type[Program], ...] = (Caddy, Nginx, Apache)
