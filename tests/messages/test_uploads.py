"""Uploads: in memory or on disk, saved whole or not at all, never named by the client."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import shutil
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.errors import HTTPError
from pierhead.messages.media import MediaType
from pierhead.messages.uploads import Upload, UploadWriter, safe_filename

FULL_DISK = Path("/dev/full")


async def written(*pieces: bytes, max_memory_bytes: int = 10, spool_dir: str | None = None) -> Upload:
    writer = UploadWriter("f", "a.txt", MediaType("text/plain"), max_memory_bytes, spool_dir)
    for piece in pieces:
        await writer.write(piece)
    return await writer.finish()


@pytest.mark.parametrize("content", [b"", b"0123456789", b"0123456789A", b"0123456789" * 100])
async def test_what_is_written_is_read(content: bytes) -> None:
    upload = await written(*(content[i : i + 3] for i in range(0, len(content), 3)))
    assert upload.in_memory == (len(content) <= 10)
    assert upload.size == len(content)
    assert await upload.read(4) == content[:4]
    assert await upload.read() == content[4:]
    assert await upload.read() == b""
    await upload.seek(1)
    assert await upload.read() == content[1:]
    upload.close()
    assert upload.file.closed


async def test_repr() -> None:
    assert repr(await written(b"abc")) == "<Upload 'f' 'a.txt' 3 bytes>"


@pytest.mark.parametrize("content", [b"short", b"long" * 100])
async def test_saving(tmp_path: Path, content: bytes) -> None:
    upload = await written(content)
    await upload.read(2)
    target = tmp_path / upload.safe_filename
    target.write_bytes(b"old")
    await upload.save(target)
    upload.write_to(str(tmp_path / "again"))
    assert target.read_bytes() == (tmp_path / "again").read_bytes() == content
    assert await upload.read() == content[2:]
    assert {path.name for path in tmp_path.iterdir()} == {"a.txt", "again"}
    upload.close()


async def test_a_file_that_cannot_be_saved_leaves_nothing(tmp_path: Path) -> None:
    upload = await written(b"x")
    with pytest.raises(FileNotFoundError):
        await upload.save(tmp_path / "none" / "a")
    (tmp_path / "directory").mkdir()
    with pytest.raises(OSError, match="directory"):
        await upload.save(tmp_path / "directory")
    assert [path.name for path in tmp_path.iterdir()] == ["directory"]


async def test_no_space_to_save_is_507(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    upload = await written(b"x")
    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(HTTPError, match="507"):
        await upload.save(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not FULL_DISK.exists(), reason="needs /dev/full")
async def test_no_space_to_spool_is_507(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda dir: FULL_DISK.open("r+b", buffering=0))  # noqa: A006
    writer = UploadWriter("f", "f", MediaType(), 10, None)
    with pytest.raises(HTTPError, match="507"):
        await writer.write(b"0123456789A")
    writer.close()


async def test_a_spool_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await written(b"0123456789A", spool_dir=str(tmp_path / "none"))


async def test_small_pieces_are_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    visits = 0

    class Counting(io.BytesIO):
        def writelines(self, lines: Iterable[object]) -> None:
            nonlocal visits
            visits += 1
            super().writelines(lines)  # type: ignore[arg-type]

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda dir: Counting())  # noqa: A006
    upload = await written(*[b"x"] * 1001, max_memory_bytes=99)
    assert (upload.size, visits) == (1001, 11)


async def test_a_writer_closed_while_its_thread_waits_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    files: list[io.BytesIO] = []
    started, go_on = threading.Event(), threading.Event()

    def slow(dir: str | None) -> io.BytesIO:  # noqa: A002
        started.set()
        go_on.wait(10)
        files.append(io.BytesIO())
        return files[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", slow)
    writer = UploadWriter("f", "f", MediaType(), 1, None)
    task = asyncio.ensure_future(writer.write(b"abc"))
    await asyncio.to_thread(started.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    writer.close()
    assert all(file.closed for file in files)
    await writer.write(b"abc")
    assert len(files) <= 1


def test_closing_what_the_disk_does_not_take() -> None:
    class Failing(io.BytesIO):
        def close(self) -> None:
            super().close()
            raise OSError(errno.ENOSPC, "No space left on device")

    Upload("f", "f", MediaType(), Failing(), 0).close()
    writer = UploadWriter("f", "f", MediaType(), 0, None)
    writer.close()


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ada\\cv.doc", "cv.doc"),
        (".htaccess", "htaccess"),
        ("a b\r\nc\0.txt", "a_b_c_.txt"),
        ("grün (1).txt", "grün_(1).txt"),
        ("u\u0308.txt", "ü.txt"),
        ("con.txt", "_con.txt"),
        ("COM1", "_COM1"),
        ("", "upload"),
        ("..", "upload"),
        ("日本.txt", "日本.txt"),
        ("x" * 300 + ".tar.gz", "x" * 197 + ".gz"),
        ("x" * 300, "x" * 200),
        ("é" * 150, "é" * 100),
        ("a." + "x" * 300, "a." + "x" * 198),
    ],
)
def test_safe_filenames(name: str, safe: str) -> None:
    assert safe_filename(name) == safe


@given(st.text())
def test_a_safe_filename_is_one_name(name: str) -> None:
    safe = safe_filename(name)
    assert safe == os.path.basename(safe)  # noqa: PTH119
    assert 0 < len(safe.encode()) <= 201
    assert not safe.startswith(".")
    assert safe.isprintable()
    assert safe_filename(safe) == safe
