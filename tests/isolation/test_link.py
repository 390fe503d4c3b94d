"""Links: frames and descriptors between two ends, with back-pressure and ends that vanish."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pierhead.isolation.frames import Frame, Kind
from pierhead.isolation.link import Link

Pair = tuple[Link, Link]


@pytest.fixture
async def ends() -> AsyncIterator[Pair]:
    one, other = socket.socketpair()
    links = Link(one), Link(other, takes_files=True)
    yield links
    for link in links:
        link.close()


async def test_frames_arrive_in_order(ends: Pair) -> None:
    one, other = ends
    one.send(Kind.HEAD, {"status": 200})
    one.send(Kind.PIECE, data=b"abc")
    assert await other.read() == Frame(Kind.HEAD, {"status": 200}, b"")
    assert await other.read() == Frame(Kind.PIECE, {}, b"abc")


async def test_a_file_arrives_with_its_frame_though_much_was_sent_before(ends: Pair, tmp_path: Path) -> None:
    one, other = ends
    big = bytes(3_000_000)
    for name in ("first", "second"):
        (tmp_path / name).write_text(name)
        with (tmp_path / name).open() as file:
            one.send(Kind.PIECE, data=big)
            one.send(Kind.REQUEST, {"name": name}, files=[file.fileno()])  # a copy: this one is closed
    for name in ("first", "second"):
        piece = await other.read()
        assert piece is not None
        assert piece.data == big
        frame = await other.read()
        assert frame is not None
        with os.fdopen(other.take_file()) as file:
            assert file.read() == name == frame.facts["name"]


async def test_drain_waits_for_a_reader_that_does_not_read(ends: Pair) -> None:
    one, other = ends
    for _ in range(40):
        one.send(Kind.PIECE, data=bytes(100_000))
    draining = asyncio.ensure_future(one.drain())
    assert not (await asyncio.wait([draining], timeout=0.05))[0]
    for _ in range(40):
        assert await other.read() is not None
    await draining


async def test_what_was_sent_before_the_end_is_read(ends: Pair) -> None:
    one, other = ends
    one.send(Kind.DONE)
    one.close()
    one.send(Kind.DONE)  # goes nowhere
    assert await other.read() == Frame(Kind.DONE, {}, b"")
    assert await other.read() is None
    assert other.ended
    with pytest.raises(ConnectionError):
        await other.drain()


async def test_who_waits_is_told_of_the_end(ends: Pair) -> None:
    one, other = ends
    for _ in range(40):
        one.send(Kind.PIECE, data=bytes(100_000))
    draining, reading = asyncio.ensure_future(one.drain()), asyncio.ensure_future(one.read())
    await asyncio.sleep(0)
    other.close()
    assert await reading is None
    with pytest.raises(ConnectionError):
        await draining


async def test_a_reader_may_take_what_has_come_for_the_end(ends: Pair) -> None:
    """As where a process has ended whose own children still hold its socket."""
    one, other = ends
    one.send(Kind.DONE)
    other.end()
    assert await other.read() == Frame(Kind.DONE, {}, b"")
    assert await other.read() is None


async def test_a_reader_that_gets_nonsense_takes_it_for_the_end() -> None:
    one, other = socket.socketpair()
    link = Link(other)
    one.sendall(bytes([99]) + bytes(8))
    assert await link.read() is None
    link.close()
    one.close()


async def test_any_thread_may_send_even_while_the_loop_is_blocked(ends: Pair) -> None:
    one, other = ends
    thread = threading.Thread(target=one.send, args=[Kind.EXTEND, {"seconds": 5}])
    thread.start()
    thread.join()  # blocks the loop meanwhile
    assert await other.read() == Frame(Kind.EXTEND, {"seconds": 5}, b"")
    threads = [threading.Thread(target=one.send, args=[Kind.PIECE, None, bytes(200_000)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for _ in threads:
        frame = await other.read()
        assert frame is not None
        assert len(frame.data) == 200_000
    for thread in threads:
        thread.join()
