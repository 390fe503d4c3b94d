"""Where checks run on this machine: each target has replicas of its own, and its proxy in front of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stack import ports
from stack.errors import KitError
from stack.matrix.gateways import GATEWAYS, Gateway
from stack.matrix.programs import PROGRAMS, Program
from stack.matrix.target import Target
from stack.process import Process, start
from stack.service import clean_environment, probe
from stack.state import ROOT

__all__ = ["missing", "running"]

PROBE = Path(__file__).parent / "probe"
READY_S = 60.0
RELOADED = "serves on"  # what the master says of a new generation
ANSWER_S = 8  # what the proxies wait for an answer here; the shipped 130 s would take too long to see
# What is said in `site/`, or in Caddy's environment, beyond ports and upstreams.
MORE = {
    "caddy": {"CADDY_ANSWER_TIMEOUT": f"{ANSWER_S}s"},
    "nginx": {"server.conf": f"proxy_read_timeout {ANSWER_S}s;\n"},
    "apache": {"site.conf": f"Define ANSWER_TIMEOUT {ANSWER_S}\n"},
}


def missing(target: str) -> str | None:
    """Return the reason why a target can't be run on this machine, if there is one."""
    if target in GATEWAYS:
        return GATEWAYS[target].program.missing()
    return next((program.missing() for program in PROGRAMS if program.name == target), None)


@dataclass
class Replica:
    """One replica of the probing application: a master, a generation and two workers, in one session."""

    folder: Path
    name: str
    gateway: str = ""
    """What it speaks beside HTTP: fastcgi, scgi, or nothing."""
    port: int = field(default_factory=ports.any_free)
    gateway_port: int = field(default_factory=ports.any_free)
    process: Process | None = None

    @property
    def log(self) -> str:
        """What it wrote since it was started."""
        return (self.folder / f"{self.name}.log").read_text(encoding="utf-8", errors="replace")

    async def start(self, *, trusted: str, keep_alive_s: float = 75.0) -> None:
        """Start, and wait until it is ready. Raises KitError."""
        environment = clean_environment() | {
            "PYTHONPATH": str(ROOT / "examples"),
            "PROBE_NAME": self.name,
            "PROBE_NOTES": str(self.folder),
            "SIMPLE_DB": str(self.folder / "simple.db"),
            "PIERHEAD_TRUSTED_PROXIES": trusted,
            "PIERHEAD_KEEP_ALIVE_TIMEOUT_S": str(keep_alive_s),
        }
        # fmt: off
        argv = [
            sys.executable, "-m", "pierhead", "run", "app:app", "--app-dir", str(PROBE), "--workers", "2",
            "--listen", f"http://127.0.0.1:{self.port}", "--access-log", "off",
        ]
        # fmt: on
        if self.gateway:
            argv += ["--listen", f"{self.gateway}://127.0.0.1:{self.gateway_port}"]
        self.process = start(argv, env=environment, log=self.folder / f"{self.name}.log", cwd=PROBE)
        deadline = time.monotonic() + READY_S
        while problem := await asyncio.to_thread(probe, ["GET", f"http://127.0.0.1:{self.port}/readyz"]):
            if not self.process.alive() or time.monotonic() > deadline:
                raise KitError(f"the probing application does not start ({problem}):\n{self.log[-2000:]}")
            await asyncio.sleep(0.05)

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to each of its processes."""
        for pid in self.process.members() if self.process else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    async def end(self, *, at_once: bool) -> None:
        """Have it end, and wait until it has. Raises KitError if it does not."""
        if self.process is None:
            return
        if at_once:
            self.process.kill()
        else:
            self.process.signal(signal.SIGTERM)
        await until(self.process.gone, f"{self.name} ends")

    async def reload(self) -> None:
        """Have it load its code again, and wait until the old processes have gone. Raises KitError."""
        assert self.process is not None, f"{self.name} was not started"
        before, members = self.log.count(RELOADED), len(self.process.members())
        self.process.signal(signal.SIGHUP)
        await until(lambda: self.log.count(RELOADED) > before, f"{self.name} reloads")
        process = self.process
        await until(lambda: len(process.members()) <= members, f"the old processes of {self.name} leave")


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until something holds. Raises KitError if it does not in time."""
    deadline = time.monotonic() + READY_S
    while not condition():
        if time.monotonic() > deadline:
            raise KitError(f"not after {READY_S:g} s: {what}")
        await asyncio.sleep(0.02)


@dataclass
class Processes:
    """What disruptive checks do to the processes of one target (target.Control)."""

    folder: Path
    trusted: str
    program: Program | None = None
    replicas: list[Replica] = field(default_factory=list)

    async def kill(self, number: int) -> None:
        """End a replica at once."""
        await self.replicas[number].end(at_once=True)

    async def drain(self, number: int) -> None:
        """Stop a replica after its requests."""
        await self.replicas[number].end(at_once=False)

    async def start(self, number: int, *, keep_alive_s: float = 75.0) -> None:
        """Start a replica, and wait until it is ready."""
        await self.replicas[number].start(trusted=self.trusted, keep_alive_s=keep_alive_s)

    def pause(self, number: int) -> None:
        """Freeze a replica."""
        self.replicas[number].signal_all(signal.SIGSTOP)

    def resume(self, number: int) -> None:
        """Let it go on."""
        self.replicas[number].signal_all(signal.SIGCONT)

    async def reload_application(self) -> None:
        """Have every replica load its code again, and wait until the old processes have gone."""
        for replica in self.replicas:
            await replica.reload()

    async def reload_proxy(self) -> None:
        """Have the proxy read its files again."""
        if self.program is not None:
            await self.program.reload()

    async def add(self) -> int:
        """Start one more replica and tell the proxy."""
        number = len(self.replicas)
        self.replicas.append(Replica(self.folder, f"app-{number + 1}"))
        await self.start(number)
        await self.tell_proxy(self.replicas)
        return number

    async def remove(self, number: int) -> None:
        """Take a replica from the proxy, then stop it."""
        replica = self.replicas.pop(number)
        await self.tell_proxy(self.replicas)
        await replica.end(at_once=False)

    async def tell_proxy(self, replicas: Sequence[Replica]) -> None:
        """Have the proxy use these replicas, and no others."""
        if self.program is not None:
            self.program.upstreams = [replica.port for replica in replicas]
            await self.program.reload()

    async def close(self) -> None:
        """End every process."""
        await asyncio.gather(*(replica.end(at_once=True) for replica in self.replicas))
        if self.program is not None:
            await self.program.stop()


@contextlib.asynccontextmanager
async def running(name: str, replicas: int) -> AsyncIterator[Target]:
    """Run a target's processes as long as the block. Raises KitError."""
    folder = Path(tempfile.mkdtemp(prefix=f"matrix-{name}-"))
    folder.chmod(0o755)  # noqa: ASYNC240 - at once done
    # By itself, the application believes nobody: we are not a proxy.
    processes = Processes(folder, "none" if name == "direct" else "loopback")
    try:
        gateway = GATEWAYS[name].protocol if name in GATEWAYS else ""
        processes.replicas = [Replica(folder, f"app-{number + 1}", gateway) for number in range(replicas)]
        await asyncio.gather(*(processes.start(number) for number in range(replicas)))
        ports = [replica.port for replica in processes.replicas]
        port, version = ports[0], ""
        for program in PROGRAMS:
            if program.name == name:
                processes.program = program(folder, ports, more=MORE[name])
                version = processes.program.service().version
                await processes.program.__aenter__()
                port = processes.program.port
        if gateway:
            processes.program = Gateway(
                folder, [replica.gateway_port for replica in processes.replicas], shipped=GATEWAYS[name]
            )
            version = processes.program.service().version
            await processes.program.__aenter__()
            port = processes.program.port
        yield Target(name, port, replicas, version=version, control=processes)
    finally:
        await processes.close()
        shutil.rmtree(folder, ignore_errors=True)
