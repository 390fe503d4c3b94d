"""Runs the real server in real processes, and loads it, for tests of signals and crashes."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["APP", "Load", "Pierhead", "eventually"]

APP = """
import asyncio, os, time
from pierhead import App, Request, Response, WebSocket

VERSION = "one"
app = App()

@app.get("/")
async def who(request: Request) -> Response:
    return Response.json({"version": VERSION, "pid": os.getpid(), "ppid": os.getppid()})

def begin():
    with open("begun", "a") as file:
        file.write("x")

@app.get("/slow")
async def slow(request: Request) -> Response:
    begin()
    while not os.path.exists("go"):
        await asyncio.sleep(0.01)
    return Response.text("finished")

@app.get("/block")
def block(request: Request) -> Response:
    begin()
    while not os.path.exists("go"):
        time.sleep(0.01)
    return Response.text("finished")

@app.get("/exit/{code:int}")
async def leave(request: Request, code: int) -> Response:
    os._exit(code)

@app.get("/events")
async def events(request: Request) -> Response:
    async def pieces():
        while True:
            yield b"data: tick\\n\\n"
            await asyncio.sleep(0.05)
    return Response.stream(pieces(), content_type="text/event-stream")
"""


def eventually(condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Wait until a condition holds; fails with `what` where it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in {seconds:g} s: {what}"
        time.sleep(0.02)


class Pierhead:
    """One `pierhead run`; as a context manager it leaves no process behind."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        source: str = APP,
        application: str = "app:app",
        workers: int = 2,
        ready: bool = True,
        program: Sequence[str] = (sys.executable, "-P", "-m", "pierhead"),
    ) -> None:
        self.folder = folder
        self.write(source)
        self.log = ""
        self._lock = threading.Condition()
        command = [*program, "run", application, "--app-dir", str(folder)]
        command += [
            "--listen",
            "http://127.0.0.1:0",
            "--workers",
            str(workers),
            "--access-log",
            "off",
            *options,
        ]
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.pids: set[int] = set()
        self._begun: dict[int, str] = {}
        if ready:
            try:
                self.wait_for_log("ready on")
            except AssertionError:
                self.__exit__(None, None, None)
                raise
            match = re.search(r"http://127\.0\.0\.1:([0-9]+)", self.log)
            assert match is not None, self.log
            self.port = int(match[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.note_processes()
        if self.process.poll() is None:
            self.process.kill()
        for pid in self._left():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(60)
        eventually(lambda: not self._left(), f"processes left: {self._left()}")
        self._reader.join(60)
        assert self.process.stderr is not None
        self.process.stderr.close()

    def write(self, source: str, **replacements: str) -> None:
        """Write the application's code."""
        for old, new in replacements.items():
            source = source.replace(old, new)
        (self.folder / "app.py").write_text(source)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the master."""
        self.note_processes()
        self.process.send_signal(number)

    def wait(self, seconds: float = 60.0) -> int:
        """Wait for the master's end; returns its exit code. Unless it was killed, `log` is complete then."""
        code = self.process.wait(seconds)
        if code >= 0:
            self._reader.join(seconds)
        return code

    def wait_until_begun(self, count: int = 1) -> None:
        """Wait until `count` requests for /slow or /block are being handled; they end after `let_go`."""
        path = self.folder / "begun"
        eventually(lambda: path.exists() and len(path.read_text()) >= count, f"{count} requests begun")

    def let_go(self) -> None:
        """Have all requests for /slow and /block finish."""
        (self.folder / "go").touch()

    def get(self, target: str = "/", timeout: float = 60.0) -> tuple[int, bytes]:
        """Send one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", target)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def note_processes(self) -> set[int]:
        """Return the pids of generations and workers, and remember them to be cleaned up."""
        found: set[int] = set()
        parents = [self.process.pid]
        while parents:
            parent = parents.pop()
            with suppress(OSError):
                for task in Path(f"/proc/{parent}/task").iterdir():
                    children = [int(pid) for pid in (task / "children").read_text().split()]
                    found.update(children)
                    parents += children
        self.pids |= found
        self._begun |= {pid: when for pid in found if (when := begun_at(pid))}
        return found

    def _left(self) -> list[int]:
        """Return which of all processes there were still run: others may have their numbers by now."""
        return [pid for pid, when in self._begun.items() if begun_at(pid) == when and alive(pid)]

    def workers(self) -> set[int]:
        """Return the pids of the workers: the grandchildren."""
        self.note_processes()
        return {pid for pid in self.pids if alive(pid) and parent_of(parent_of(pid)) == self.process.pid}

    def wait_for_log(self, text: str, count: int = 1, seconds: float = 60.0) -> None:
        """Wait until `text` stands in the log `count` times."""
        with self._lock:
            done = self._lock.wait_for(lambda: self.log.count(text) >= count, seconds)
        assert done, f"{text!r} is not in the log:\n{self.log}"

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._lock:
                self.log += line
                self._lock.notify_all()


class Load:
    """Sends requests from a few threads, each on a new connection, and notes what went wrong."""

    def __init__(self, server: Pierhead, target: str = "/", clients: int = 4) -> None:
        self._server = server
        self._target = target
        self._stopping = threading.Event()
        self.answered = 0
        self.failed: list[str] = []
        self.bodies: list[bytes] = []
        self.seconds: list[float] = []
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]

    @contextmanager
    def running(self) -> Iterator[Load]:
        """Send requests during the block."""
        for thread in self._threads:
            thread.start()
        try:
            eventually(lambda: self.answered > 20, "the load runs")
            yield self
        finally:
            self._stopping.set()
            for thread in self._threads:
                thread.join(60)

    def more(self, count: int = 50) -> None:
        """Wait until `count` more requests were answered."""
        target = self.answered + count
        eventually(lambda: self.answered >= target, f"{count} more requests answered")

    def _run(self) -> None:
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                status, body = self._server.get(self._target)
                if status != 200:
                    self.failed.append(f"status {status}")
                self.bodies.append(body)
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
            self.seconds.append(time.monotonic() - started)
            self.answered += 1


def alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def begun_at(pid: int) -> str:
    """Return when a process was started, in ticks of the machine; "" where it is no more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def parent_of(pid: int) -> int:
    """Return the parent's pid, 0 where there is none any more."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
