"""File bodies and the names of downloads."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.messages.files import FileBody, content_disposition, file_pieces


def test_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"hello")
    os.utime(path, ns=(0, 1_500_000_000))
    body = FileBody.of(path)
    assert body == FileBody(path, 0, 5, 5, 1_500_000_000)
    assert body.mtime == 1.5
    assert FileBody.of(str(path)) == body


def test_only_regular_files_have_a_length(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FileBody.of(tmp_path / "none")
    with pytest.raises(IsADirectoryError, match="is a directory"):
        FileBody.of(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        FileBody.of(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("report 1.pdf", 'attachment; filename="report 1.pdf"'),
        ("grün.txt", "attachment; filename=\"gr_n.txt\"; filename*=UTF-8''gr%C3%BCn.txt"),
        ('a"b%c.txt', "attachment; filename=\"a_b_c.txt\"; filename*=UTF-8''a%22b%25c.txt"),
    ],
)
def test_the_name_of_a_download(name: str, value: str) -> None:
    assert content_disposition(name) == value


def test_a_name_without_a_download() -> None:
    assert content_disposition("a.pdf", "inline") == 'inline; filename="a.pdf"'


@pytest.mark.parametrize("name", ["", "a/b", "a\\b", "..", ".", "a\r\nb", "a\0", "a\u202egpj.exe"])
def test_a_download_is_not_named_like_a_path(name: str) -> None:
    with pytest.raises(ValueError, match="no name for a download"):
        content_disposition(name)


@given(st.text())
def test_a_download_name_never_breaks_the_field(name: str) -> None:
    try:
        value = content_disposition(name)
    except ValueError:
        return
    match = re.fullmatch(
        r"attachment; filename=\"([^\"\\]*)\"(?:; filename\*=UTF-8''([!#$&+.^_`|~\-\w%]*))?", value, re.ASCII
    )
    assert match is not None
    assert (unquote(match[2]) if match[2] else match[1]) == name


async def test_a_part_of_a_file_comes_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"x" + b"y" * 300_000 + b"z")
    body = FileBody(path, 1, 300_001, 300_002, 0)
    pieces = [piece async for piece in file_pieces(body)]
    assert b"".join(pieces) == b"y" * 300_000 + b"z"
    assert len(pieces) == 2


async def test_of_a_file_that_has_shrunk_comes_what_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"hello")
    assert [piece async for piece in file_pieces(FileBody(path, 3, 100, 100, 0))] == [b"lo"]
