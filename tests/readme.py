"""Executes documentation: the ```console blocks of a Markdown file, each command with the output it promises.

    ```console
    $ curl -s http://127.0.0.1:8080/users/1
    {"id":1,...}
    ```

A line that starts with `$ ` is a command (a backslash at its end continues it); the lines up to the next
command are its output, where `...` stands for any text, and alone on a line for any number of lines. A
command without output lines may print what it likes. Every command must succeed. All commands of a file
share one shell, so that `cd` and variables last.

The command of a block marked ```console server starts a server. It runs in the background on a port of its
own, which takes the place of the documented address in the commands that follow.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

__all__ = ["Command", "ReadmeError", "commands", "matches", "run_readme"]

DOCUMENTED = "http://127.0.0.1:8080"
TIMEOUT_S = 120.0


class ReadmeError(AssertionError):
    """The document promises what does not happen; the message names file, line, command, and both outputs."""


@dataclass(frozen=True)
class Command:
    """One command of a document: where it stands, what it is, and its output (None: not said)."""

    line: int
    text: str
    output: str | None
    server: bool = False


def commands(markdown: str) -> Iterator[Command]:
    """Yield the commands of all ```console blocks, in order."""
    for block in re.finditer(r"^```console([^\n]*)\n(.*?)^```\s*$", markdown, re.MULTILINE | re.DOTALL):
        first = markdown.count("\n", 0, block.start(2)) + 1
        server = block[1].strip() == "server"
        lines = block[2].splitlines()
        starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
            last = start
            while lines[last].endswith("\\"):
                last += 1
            text = "\n".join(lines[start : last + 1]).removeprefix("$ ")
            output = "\n".join(lines[last + 1 : end]).rstrip()
            yield Command(first + start, text, output or None, server)


def matches(promised: str, happened: str) -> bool:
    """Return whether the output is what was promised; trailing white space does not count."""
    pattern = ""
    for line in promised.splitlines():
        if line.strip() == "...":
            pattern += r"(?:.*\n)*"
        else:
            pattern += ".*".join(re.escape(part) for part in line.rstrip().split("...")) + r"\n"
    happened = "".join(line.rstrip() + "\n" for line in happened.rstrip().splitlines())
    return re.fullmatch(pattern, happened) is not None


def run_readme(
    path: Path, *, cwd: Path, env: Mapping[str, str] | None = None, running: str | None = None
) -> list[Command]:
    """Run all commands of `path` in the folder `cwd`; return them. Raises ReadmeError if one is wrong.

    `running` is the address of a server that runs already: then none is started, and this one is asked.
    """
    done = list(commands(path.read_text(encoding="utf-8")))
    environment = {**os.environ, **(env or {})}
    servers: list[Server] = []
    address = running or DOCUMENTED
    try:
        with Shell(cwd, environment) as shell:
            for command in done:
                where = f"{path.name}:{command.line}: $ {command.text}"
                if command.server and running:
                    continue
                if command.server:
                    servers.append(Server(command.text, cwd, environment, where))
                    address = servers[-1].address
                    continue
                output, code = shell.run(command.text.replace(DOCUMENTED, address), where)
                output = output.replace(address, DOCUMENTED).replace(address[7:], DOCUMENTED[7:])
                if code:
                    raise ReadmeError(f"{where}\nexit code {code}:\n{output}")
                if command.output is not None and not matches(command.output, output):
                    raise ReadmeError(f"{where}\npromised:\n{command.output}\nhappened:\n{output}")
    finally:
        for server in servers:
            server.stop()
    return done


class Shell:
    """One bash that runs commands one after the other."""

    def __init__(self, cwd: Path, env: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=cwd, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def __enter__(self) -> Shell:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.communicate()

    def run(self, text: str, where: str) -> tuple[str, int]:
        """Return the output (both streams) and the exit code of one command."""
        assert self.process.stdin
        assert self.process.stdout
        mark = uuid.uuid4().hex
        self.process.stdin.write(f"{{ {text}\n}} </dev/null\nprintf '%s %s\\n' {mark} $?\n".encode())
        self.process.stdin.flush()
        output = b""
        deadline = time.monotonic() + TIMEOUT_S
        while not (end := re.search(rf"{mark} (\d+)\n".encode(), output)):
            ready, _, _ = select.select([self.process.stdout], [], [], deadline - time.monotonic())
            piece = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not piece:
                raise ReadmeError(f"{where}\nno end within {TIMEOUT_S:g} s; so far:\n{output.decode()}")
            output += piece
        return output[: end.start()].decode().replace("\r\n", "\n"), int(end[1])


class Server:
    """A server that a document starts; `address` is where it really listens."""

    def __init__(self, text: str, cwd: Path, env: Mapping[str, str], where: str) -> None:
        self.log = cwd / f"server-{uuid.uuid4().hex[:8]}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["bash", "-c", f"exec {text}"], cwd=cwd, env={**env, "PIERHEAD_LISTEN": "http://127.0.0.1:0"},
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        deadline = time.monotonic() + TIMEOUT_S
        while not (ready := self.listening()):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise ReadmeError(f"{where}\nthe server did not start:\n{self.log.read_text()}")
            time.sleep(0.02)
        self.address = ready

    def listening(self) -> str | None:
        """Return the address once the server says so."""
        found = re.search(r"http://127\.0\.0\.1:[1-9]\d*", self.log.read_text())
        return found[0] if found else None

    def stop(self) -> None:
        """Stop the server and wait for its end."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
