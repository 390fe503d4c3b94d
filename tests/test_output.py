"""Where log lines go: nobody waits for a slow reader, and nothing is lost without being counted."""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from pierhead.output import LINE_LIMIT_BYTES, LogOutput

LINE = b"x" * 999 + b"\n"


@pytest.fixture
def standard_output(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], LogOutput]:
    """Return an output whose standard output is a given descriptor."""

    def make(descriptor: int) -> LogOutput:
        with open(descriptor, "wb", closefd=False) as file:
            monkeypatch.setattr(sys, "__stdout__", file)
            return LogOutput("-")

    return make


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    try:
        yield reader, writer
    finally:
        for end in (reader, writer):
            with suppress(OSError):
                os.close(end)


def fill(descriptor: int) -> int:
    """Write until a pipe takes no more; return how much it took."""
    os.set_blocking(descriptor, False)
    size = 0
    try:
        while True:
            size += os.write(descriptor, b"." * 4096)
    except BlockingIOError:
        os.set_blocking(descriptor, True)
        return size


def read_now(descriptor: int) -> bytes:
    os.set_blocking(descriptor, False)
    data = b""
    try:
        while piece := os.read(descriptor, 1 << 20):
            data += piece
    except BlockingIOError:
        pass
    return data


async def turns(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what a reader has cannot be awaited
            await asyncio.sleep(0.01)


async def test_the_lines_of_one_turn_of_the_loop_are_one_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[bytes] = []
    write = os.write

    def spy(descriptor: int, data: bytes) -> int:
        if data.startswith(b"x"):
            writes.append(data)
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", spy)
    output = LogOutput(str(tmp_path / "log"))
    for _ in range(10):
        output.write(LINE)
    await asyncio.sleep(0)
    assert writes == [LINE * 10]
    output.close()


async def test_a_pipe_gets_pieces_that_stay_whole(
    standard_output: Callable[[int], LogOutput], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pipe() as (reader, writer):
        output = standard_output(writer)
        pieces: list[bytes] = []
        send = output._send

        def spy(piece: bytes) -> int:
            pieces.append(piece)
            return send(piece)

        monkeypatch.setattr(output, "_send", spy)
        for _ in range(10):
            output.write(LINE)
        await asyncio.sleep(0)
        assert all(len(piece) <= LINE_LIMIT_BYTES and piece.endswith(b"\n") for piece in pieces)
        assert len(pieces) == 3
        assert read_now(reader) == LINE * 10
        output.close()


async def test_a_slow_reader_costs_lines_but_no_time(
    standard_output: Callable[[int], LogOutput], caplog: pytest.LogCaptureFixture
) -> None:
    with pipe() as (reader, writer):
        fill(writer)
        output = standard_output(writer)
        for _ in range(2000):  # more than is kept
            output.write(LINE)
        await asyncio.wait_for(asyncio.sleep(0), 30)
        assert not os.get_blocking(output._descriptor)
        assert os.get_blocking(writer), "our parent's end is as it was"
        received = b""

        def all_there() -> bool:
            nonlocal received
            received += read_now(reader)
            return "were lost" in caplog.text

        await turns(all_there)
        received += read_now(reader)
        kept = received.count(b"\n")
        assert received.lstrip(b".") == LINE * kept
        assert (
            f"{2000 - kept} lines of the access log to standard output were lost: its reader is too slow"
            in (caplog.text)
        )
        output.close()


async def test_where_a_pipe_cannot_be_opened_again_it_is_looked_at_first(
    standard_output: Callable[[int], LogOutput], monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: Any, **__: Any) -> int:
        raise PermissionError

    with pipe() as (reader, writer):
        fill(writer)
        with monkeypatch.context() as patched:
            patched.setattr(os, "open", forbidden)
            output = standard_output(writer)
        assert output._descriptor == writer
        output.write(LINE)
        await asyncio.wait_for(asyncio.sleep(0), 30)
        received = read_now(reader)
        assert b"\n" not in received
        await turns(lambda: read_now(reader) == LINE)
        output.close()


async def test_a_socket_is_not_waited_for(standard_output: Callable[[int], LogOutput]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        output = standard_output(ours.fileno())
        for _ in range(500):
            output.write(LINE)
        await asyncio.wait_for(asyncio.sleep(0), 30)
        assert ours.getblocking()
        received = b""

        def all_there() -> bool:
            nonlocal received
            received += read_now(theirs.fileno())
            return len(received) == 500 * len(LINE)

        await turns(all_there)
        assert received == LINE * 500
        output.close()


async def test_a_full_disk_is_survived_and_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    output = LogOutput("/dev/full")
    for _ in range(3):
        output.write(LINE)
        await asyncio.sleep(0)
    assert caplog.text.count("the access log cannot be written to /dev/full: No space left on device") == 1
    with tempfile.TemporaryFile() as disk:  # somebody made room
        os.dup2(disk.fileno(), output._descriptor)
        output.write(LINE)
        await asyncio.sleep(0)
        assert os.fstat(disk.fileno()).st_size == len(LINE)
    assert "3 lines of the access log to /dev/full were lost: No space left on device" in caplog.text
    output.close()


@pytest.mark.skipif(sys.platform != "linux", reason="it cannot be seen elsewhere")
async def test_what_a_full_disk_has_torn_stays_a_line_of_its_own(tmp_path: Path) -> None:
    output = LogOutput("/dev/full")
    output.write(LINE)
    await asyncio.sleep(0)
    torn = tmp_path / "torn"
    torn.write_bytes(b"the beginning of")
    with torn.open("ab") as disk:  # somebody made room
        os.dup2(disk.fileno(), output._descriptor)
        for _ in range(2):
            output.write(LINE)
            await asyncio.sleep(0)
    assert torn.read_bytes() == b"the beginning of\n" + LINE + LINE
    output.close()


async def test_a_reader_that_is_gone_costs_lines_only(
    standard_output: Callable[[int], LogOutput], caplog: pytest.LogCaptureFixture
) -> None:
    with pipe() as (reader, writer):
        output = standard_output(writer)
        os.close(reader)
        for _ in range(3):
            output.write(LINE)
            await asyncio.sleep(0)
        assert caplog.text.count("Broken pipe") == 1
        output.close()


async def test_what_is_left_is_written_at_the_end(standard_output: Callable[[int], LogOutput]) -> None:
    with pipe() as (reader, writer):
        output = standard_output(writer)
        output.write(LINE)
        output.close()
        assert read_now(reader) == LINE
    await asyncio.sleep(0)  # the flush that was due finds nothing, and a descriptor that it leaves alone


async def test_the_end_is_not_held_up_by_a_reader_that_sleeps(
    standard_output: Callable[[int], LogOutput],
) -> None:
    with pipe() as (_, writer):
        fill(writer)
        output = standard_output(writer)
        output.write(LINE)
        async with asyncio.timeout(60):
            await asyncio.to_thread(output.close)


def test_a_file_is_appended_to_and_stays_in_its_process(tmp_path: Path) -> None:
    output = LogOutput(str(tmp_path / "log"))
    assert fcntl.fcntl(output._descriptor, fcntl.F_GETFL) & os.O_APPEND
    assert not os.get_inheritable(output._descriptor)
    output.close()
