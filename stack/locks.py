"""`./kit lock`: writes locks/*.txt anew from pyproject.toml, with hashes, for every platform."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from stack.errors import KitError
from stack.state import ROOT

__all__ = ["lock"]

GROUPS = ("build", "migrate", "examples", "stack", "load", "report", "peers", "peers-source", "test", "lock")


def lock(argv: Sequence[str]) -> int:
    """Compile all lock files; `argv` goes to uv (`--upgrade`, `--upgrade-package NAME`). Raises KitError.

    Versions that are locked stay unless asked otherwise. The server's come first and bind all the others.
    """
    compile_lock("server", [], argv)
    for group in GROUPS:
        compile_lock(group, ["--group", group, "--constraints", "locks/server.txt"], argv)
    return 0


def compile_lock(name: str, options: Sequence[str], argv: Sequence[str]) -> None:
    """Write one lock file."""
    print(f"locks/{name}.txt", flush=True)
    # fmt: off
    command = [
        sys.executable, "-m", "uv", "--quiet", "pip", "compile", "pyproject.toml", "--universal",
        "--generate-hashes", "--no-emit-index-url", "--no-annotate", "--python-version", "3.11",
        "--output-file", f"locks/{name}.txt",
        *options, *argv,
    ]
    # fmt: on
    environment = os.environ | {"UV_CUSTOM_COMPILE_COMMAND": "./kit lock"}
    if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode:
        raise KitError(f"uv could not make locks/{name}.txt; what is wrong is said above")
