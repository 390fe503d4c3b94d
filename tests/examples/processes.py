"""Runs an example as its README says, in a process of its own with several workers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.kit import eventually

__all__ = ["EXAMPLES", "ExampleServer"]

EXAMPLES = Path(__file__).parents[2] / "examples"
STOP_TIMEOUT_S = 60.0


class ExampleServer:
    """`pierhead run app:app` in an example's folder, on a free port; `url` is where it listens."""

    def __init__(self, example: str, database_url: str, *options: str) -> None:
        argv = [sys.executable, "-P", "-m", "pierhead", "run", "app:app", "--workers", "2", *options]
        settings = {"DATABASE_URL": database_url, "PIERHEAD_LISTEN": "http://127.0.0.1:0"}
        self._log = tempfile.NamedTemporaryFile(prefix=f"{example}-", suffix=".log")  # noqa: SIM115
        self.process = subprocess.Popen(
            argv, cwd=EXAMPLES / example, env=os.environ | settings,
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
        )  # fmt: skip
        self.port = 0

    @property
    def log(self) -> str:
        """What the server has said."""
        return Path(self._log.name).read_text(encoding="utf-8")

    @property
    def url(self) -> str:
        """Where the server listens."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        try:
            eventually(self._listens, "the example listens")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def reload(self) -> None:
        """Have all workers replaced, and wait until the new ones serve; the old ones may still drain."""
        before = self.log.count(" serves on ")
        self.process.send_signal(signal.SIGHUP)
        eventually(lambda: self.log.count(" serves on ") > before, "the new workers serve")

    def stop(self) -> None:
        """Stop the server and wait for its end."""
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()

    def _listens(self) -> bool:
        assert self.process.poll() is None, self.log
        found = re.search(r"http://127\.0\.0\.1:([1-9]\d*)", self.log)
        self.port = int(found[1]) if found else 0
        return found is not None
