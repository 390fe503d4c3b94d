"""What an interrupted run leaves behind is found by its mark and by its descent, and nothing else is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.leftovers import is_there
from tests.supervisor.harness import eventually

ROOT = Path(__file__).parents[1]
RUN = """
import os, subprocess, sys
from pathlib import Path
from tests import leftovers

leftovers.begin()
child = subprocess.Popen(["sleep", "600"], env={})
code = (
    "import subprocess as s; print(s.Popen(['sleep', '600'], stdout=s.DEVNULL, start_new_session=True).pid)"
)
detached = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout
folder = Path(os.environ["TMPDIR"]) / f"pierhead test {leftovers.mark()} abc"
folder.mkdir()
print(child.pid, detached.strip(), folder, flush=True)
leftovers.clear()
assert not folder.exists()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_processes_with_the_mark_and_descendants_are_ended_and_others_not(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sleep").symlink_to(shutil.which("sleep") or "")
    # Only this program is there, and so no Docker.
    environment = {"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT), "PATH": str(tmp_path / "bin")}
    with subprocess.Popen(["sleep", "600"], env=os.environ | environment) as stranger:
        done = subprocess.run(
            [sys.executable, "-c", RUN], env=environment, capture_output=True, text=True, check=True
        )
        child, detached = map(int, done.stdout.split()[:2])
        eventually(lambda: not is_there(child) and not is_there(detached), "both are gone")
        assert is_there(stranger.pid)
        stranger.kill()
