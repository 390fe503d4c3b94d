"""A disk that is full, for uploads: a real one, of a few pages. Who uploads is told, nobody else notices."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.test_balance import connect
from tests.faults.test_clients import reset
from tests.faults.test_limits import response
from tests.supervisor.harness import APP, Load, Pierhead, eventually

SIZE = 256 << 10
UPLOADS = (
    APP
    + """
@app.post("/upload")
async def upload(request: Request) -> Response:
    form = await request.form()
    return Response.text(str(len(form.files)))
"""
)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of SIZE bytes."""
    folder = tmp_path / "spool"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)],
        capture_output=True, text=True, check=False,
    ) if sys.platform == "linux" and os.geteuid() == 0 else None  # fmt: skip
    if mounted is None or mounted.returncode:
        pytest.skip("only root can mount a file system, on Linux")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def upload(size: int, part: int | None = None) -> bytes:
    """Return an upload of one file; `part`: only so many of its bytes."""
    disposition = b'Content-Disposition: form-data; name="f"; filename="f"'
    body = b"--x\r\n" + disposition + b"\r\n\r\n" + b"y" * size + b"\r\n--x--\r\n"
    head = (
        b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    return head + body[:part]


def send(server: Pierhead, request: bytes) -> bytes:
    with connect(server) as client:
        client.sendall(request)
        return response(client)


def free(folder: Path) -> int:
    facts = os.statvfs(folder)
    return facts.f_bavail * facts.f_frsize


def test_an_upload_that_does_not_fit_is_507_and_leaves_nothing(tmp_path: Path, disk: Path) -> None:
    with Pierhead(tmp_path, "--spool-dir", str(disk), source=UPLOADS) as server:
        workers = server.workers()
        with Load(server).running() as load:
            for _ in range(3):
                assert send(server, upload(SIZE // 2)).endswith(b"\r\n\r\n1"), "there is room for this one"
                refused = send(server, upload(2 * SIZE))
                assert refused.startswith(b"HTTP/1.1 507 "), refused
            answers: list[bytes] = []
            crowd = [
                threading.Thread(target=lambda: answers.append(send(server, upload(SIZE * 2 // 3))))
                for _ in range(4)
            ]
            for one in crowd:
                one.start()
            for one in crowd:
                one.join(60)
            assert {answer[9:12] for answer in answers} <= {b"200", b"507"}
            assert len(answers) == 4, "each is answered"
            client = connect(server)
            client.sendall(upload(SIZE * 3 // 4, part=SIZE // 2))
            eventually(lambda: free(disk) < SIZE, "it is being written")
            reset(client)
            load.more()
        assert load.failed == []
        eventually(lambda: free(disk) == SIZE, "nothing is left, not of an upload that was cut either")
        assert server.workers() == workers
        assert "Traceback" not in server.log
