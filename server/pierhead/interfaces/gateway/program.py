"""Programs by CGI (RFC 3875): one process for each request, the body on its standard input."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from pierhead.errors import HTTPError
from pierhead.interfaces.gateway.application import GatewayApplication, Run
from pierhead.interfaces.gateway.errors import GatewayError
from pierhead.interfaces.gateway.scripts import Script
from pierhead.messages.request import Request
from pierhead.messages.uploads import Upload

__all__ = ["ProgramApplication"]

logger = logging.getLogger("pierhead.app")

_PIECE_BYTES = 64 << 10
_EXIT_GRACE_S = 5.0  # for a program that has closed its output
_TERM_GRACE_S = 1.0
_INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SYSTEMROOT")


class ProgramApplication(GatewayApplication):
    """A program, or a folder of programs, started anew for each request.

    `path` is an executable file, or a folder of them; `arguments` stand before the script's own path where a
    program runs it, such as an interpreter. At most `processes` of them run at a time in each worker; more
    requests wait. A program sees the variables of its request, of this process's environment only what
    every program needs (PATH, LANG, ...), and `variables`.
    """

    def __init__(
        self,
        path: Path,
        *,
        arguments: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
        processes: int = 16,
        name: str = "",
    ) -> None:
        path = path.absolute()
        folder = path.is_dir()
        super().__init__(
            name or path.name, root=path if folder else None, variables=variables, timeout_s=timeout_s
        )
        self._path = None if folder else path
        self._arguments = tuple(arguments)
        self._processes = processes
        self._free = asyncio.Semaphore(processes)

    async def start(self) -> None:
        """Count this worker's processes; see Application."""
        self._free = asyncio.Semaphore(self._processes)

    async def _open(
        self, request: Request, script: Script | None, variables: dict[str, str], body: Upload | None
    ) -> Run:
        file = script.file if script is not None else self._path
        assert file is not None
        variables.setdefault("SCRIPT_FILENAME", str(file))
        if script is not None and not os.access(file, os.X_OK):
            logger.error("[%s] %s is not executable: chmod +x", request.id, file)
            raise HTTPError(403, "this cannot be run")
        await self._free.acquire()
        try:
            process = await self._start(file, variables, body)
        except BaseException:
            self._free.release()
            raise
        return _Process(process, f"{self.name}: {file.name}", request.id, self._free)

    async def _start(
        self, file: Path, variables: dict[str, str], body: Upload | None
    ) -> asyncio.subprocess.Process:
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        environment |= variables
        stdin: int | IO[bytes] = asyncio.subprocess.DEVNULL
        if body is not None:
            stdin = asyncio.subprocess.PIPE if body.in_memory else body.file
        try:
            process = await asyncio.create_subprocess_exec(
                *self._arguments,
                str(file),
                stdin=stdin,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=file.parent,
                env={name: value.encode("latin-1", "replace") for name, value in environment.items()},
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise GatewayError(500, f"there is no {error.filename or file}, or its interpreter") from None
        except OSError as error:
            fix = "; chmod +x" if isinstance(error, PermissionError) else "; has it a #! line?"
            raise GatewayError(500, f"{file} cannot be started: {error.strerror}{fix}") from None
        if process.stdin is not None:
            assert body is not None
            # As much as a spool keeps in memory: the pipe's buffer or the loop's takes it.
            process.stdin.write(body.file.read())
            process.stdin.close()
        return process


class _Process(Run):
    """A process at work on a request."""

    def __init__(
        self, process: asyncio.subprocess.Process, name: str, request_id: str, free: asyncio.Semaphore
    ) -> None:
        assert process.stdout is not None
        self._process = process
        self._stdout = process.stdout
        self._name = name
        self._request_id = request_id
        self._free = free
        self._ended = False
        self._closed = False
        self._errors = asyncio.ensure_future(self._log_errors())

    async def read(self) -> bytes:
        piece = await self._stdout.read(_PIECE_BYTES)
        if not piece and not self._ended:
            await self._end()
        return piece

    async def close(self) -> None:
        """End the process and what it has started; a cancelled caller does not stop that."""
        if self._closed:
            return
        self._closed = True
        try:
            await asyncio.shield(asyncio.ensure_future(self._reap()))
        finally:
            self._free.release()

    async def _end(self) -> None:
        """Wait for the exit after the output; raises GatewayError for a process that was killed."""
        self._ended = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_EXIT_GRACE_S):
                await self._process.wait()
        code = self._process.returncode
        if code is None:
            logger.error("[%s] %s closed its output but goes on; ending it", self._request_id, self._name)
        elif code < 0:
            raise GatewayError(502, f"{self._name} was killed by {_signal_name(-code)}")
        elif code > 0:
            logger.error("[%s] %s exited with %d", self._request_id, self._name, code)

    async def _reap(self) -> None:
        self._kill(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_TERM_GRACE_S):
                await self._process.wait()
        self._kill(signal.SIGKILL)
        await self._process.wait()
        await asyncio.wait({self._errors}, timeout=_TERM_GRACE_S)
        self._errors.cancel()  # somebody that left the session holds standard error open
        # What is left of the output would keep the pipe's end open.
        self._process._transport.close()  # type: ignore[attr-defined]

    def _kill(self, number: signal.Signals) -> None:
        """Send a signal to the process and its children, which have a session of their own."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    async def _log_errors(self) -> None:
        """Log what is written to standard error, line by line; of a line without end, in pieces."""
        assert self._process.stderr is not None
        rest = b""
        while piece := await self._process.stderr.read(_PIECE_BYTES):
            *lines, rest = (rest + piece).split(b"\n")
            if len(rest) > _PIECE_BYTES:
                lines.append(rest)
                rest = b""
            self._log(lines)
        self._log([rest])

    def _log(self, lines: list[bytes]) -> None:
        for line in lines:
            if line.strip():
                text = line.decode("utf-8", "replace").rstrip()
                logger.warning("[%s] %s: %s", self._request_id, self._name, text)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
