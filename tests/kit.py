"""Runs the kit as a user does, on a stack of its own: its ports, data and secrets are nobody else's."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests import leftovers

__all__ = ["ROOT", "Kit", "eventually"]

ROOT = Path(__file__).parents[1]
TIMEOUT_S = 240.0


def eventually(condition: Callable[[], object], what: str, timeout_s: float = TIMEOUT_S) -> None:
    """Wait until a condition holds; fail if it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not after {timeout_s:g} s: {what}"
        time.sleep(0.02)


class Kit:
    """The kit's commands, run with this Python, which has everything installed; `state` is its KIT_STATE."""

    def __init__(self, command: Sequence[str] = (sys.executable, "-m", "stack"), cwd: Path = ROOT) -> None:
        # Not below pytest's own folder, which only root may enter: PostgreSQL runs as another user then.
        self.state = Path(
            tempfile.mkdtemp(prefix=f"pierhead test {leftovers.mark()} ")
        )  # a space, as in many people's paths
        self.state.chmod(0o755)
        self.command = command
        self.cwd = cwd
        self.user: int | None = None  # to run as, if we are root
        self.timeout_s = TIMEOUT_S
        self.foreground: subprocess.Popen[bytes] | None = None

    @property
    def env(self) -> dict[str, str]:
        """The environment of the kit."""
        return os.environ | {"KIT_STATE": str(self.state)}

    def __call__(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one command to its end; by default it must succeed."""
        result = subprocess.run(
            [*self.command, *argv],
            cwd=self.cwd,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=self.timeout_s,
            check=False,
            user=self.user,
            group=self.user,
            extra_groups=None if self.user is None else [],
        )
        if check:
            assert result.returncode == 0, f"{argv}: {result.returncode}\n{result.stdout}\n{result.stderr}"
        return result

    def status(self) -> dict[str, Any]:
        """Return what `status --json` prints."""
        status: dict[str, Any] = json.loads(self("status", "--json", check=False).stdout)
        return status

    def up_in_foreground(self, *argv: str) -> None:
        """Start `up` and return when it follows the logs."""
        self.start_in_foreground("up", "--ports", "auto", *argv)
        eventually(lambda: "Following the logs" in self.output() or self.ended(), "up follows the logs")
        assert not self.ended(), self.output()

    def start_in_foreground(self, *argv: str) -> None:
        """Start a command and return."""
        with (self.state / "output").open("wb") as output:
            self.foreground = subprocess.Popen(
                [*self.command, *argv], cwd=self.cwd, env=self.env, stdout=output, stderr=subprocess.STDOUT
            )

    def output(self) -> str:
        """Return what the command in the foreground has printed."""
        return (self.state / "output").read_text(encoding="utf-8", errors="replace")

    def ended(self) -> bool:
        """Tell whether the command in the foreground has ended."""
        assert self.foreground is not None
        return self.foreground.poll() is not None

    def interrupt(self, number: int = signal.SIGINT) -> None:
        """Send a signal to the command in the foreground."""
        assert self.foreground is not None
        self.foreground.send_signal(number)

    def exit_code(self) -> int:
        """Wait for the command in the foreground and return its exit code."""
        assert self.foreground is not None
        return self.foreground.wait(TIMEOUT_S)

    def left_over(self) -> list[str]:
        """Return the processes of this stack that are still there, as any program that names our folder."""
        found = []
        for process in Path("/proc").iterdir():
            if process.name.isdigit() and int(process.name) != os.getpid():
                try:
                    facts = [(process / name).read_bytes() for name in ("cmdline", "environ")]
                except OSError:
                    continue
                if any(os.fsencode(self.state) in fact for fact in facts):
                    found.append(f"{process.name}: {facts[0]!r}")
        return found

    def close(self) -> None:
        """Stop everything and remove the folder."""
        try:
            if self.foreground is not None and self.foreground.poll() is None:
                self.foreground.terminate()
                self.foreground.wait(TIMEOUT_S)
            self("down", "--delete-data")
        finally:
            shutil.rmtree(self.state, ignore_errors=True)
