"""Runs of locust without the second or two that loading it takes; locust_spawner.py is the other side."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

__all__ = ["FAREWELL_S", "Spawner", "SpawnerError"]

PROGRAM = Path(__file__).with_name("locust_spawner.py")
FAREWELL_S = 8.0  # for users that are told to stop: they clear away what they made
POLL_S = 0.02


class SpawnerError(Exception):
    """A run that did not end in time, or could not begin; the message says which."""


class Spawner:
    """Starts its program with the first run, and ends it when the block ends; one run at a time.

    It has a session of its own: Ctrl-C at the terminal comes to us alone, and we end the run.
    """

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Spawner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(
        self, words: Sequence[str], env: Mapping[str, str], *, timeout_s: float, cores: Sequence[int] = ()
    ) -> tuple[int, str]:
        """Run locust; return its exit code and what it said. Raises SpawnerError, OSError."""
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, str(PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
        process = self.process  # another thread may end it
        assert process.stdin
        assert process.stdout
        with tempfile.NamedTemporaryFile(prefix="locust-") as output:
            order = {"words": list(words), "env": dict(env), "cores": list(cores), "output": output.name}
            try:
                process.stdin.write(json.dumps(order).encode() + b"\n")
                process.stdin.flush()
                ready, _, _ = select.select([process.stdout], [], [], timeout_s)
                answer = process.stdout.readline() if ready else b"?"
            except BrokenPipeError:
                answer = b""
            except BaseException:
                self.end(FAREWELL_S)
                raise
            if answer == b"?":
                self.end(0)
                raise SpawnerError(f"locust was still running after {timeout_s:g} s")
            if not answer:
                self.end(0)
                raise SpawnerError("locust could not be loaded; does `python -m locust --version` work?")
            return int(answer), Path(output.name).read_text(encoding="utf-8", errors="replace")

    def end(self, patience_s: float) -> None:
        """End all processes: after a request and so many seconds, if there are any, by force.

        For another thread than that of a run, too, which then fails.
        """
        process, self.process = self.process, None
        if process is None:
            return
        deadline = time.monotonic() + patience_s
        with contextlib.suppress(ProcessLookupError):
            if patience_s:
                os.killpg(process.pid, signal.SIGTERM)
            while time.monotonic() < deadline:
                process.poll()
                os.killpg(process.pid, 0)  # raises when none is left
                time.sleep(POLL_S)
            os.killpg(process.pid, signal.SIGKILL)
        self.close(process)

    def close(self, process: subprocess.Popen[bytes] | None = None) -> None:
        """End the program, which is idle."""
        process = process or self.process
        self.process = None
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
            process.wait()
