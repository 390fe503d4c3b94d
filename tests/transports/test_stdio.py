"""A connection on two descriptors: back-pressure in both directions, and its ends."""

from __future__ import annotations

import asyncio
import os

from pierhead.transports.stdio import StreamTransport


class Recorder(asyncio.Protocol):
    """Notes what happens, and lets a test wait for it."""

    def __init__(self, *, keep_open: bool = True) -> None:
        self.keep_open = keep_open
        self.received = bytearray()
        self.happened: list[str] = []
        self.error: Exception | None = None
        self.changed = asyncio.Event()

    def note(self, what: str) -> None:
        self.happened.append(what)
        self.changed.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.note("made")

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.note("data")

    def eof_received(self) -> bool:
        self.note("eof")
        return self.keep_open

    def pause_writing(self) -> None:
        self.note("pause")

    def resume_writing(self) -> None:
        self.note("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.error = exc
        self.note("lost")

    async def until(self, what: str) -> None:
        async with asyncio.timeout(60):
            while what not in self.happened:
                self.changed.clear()
                await self.changed.wait()


class Pipes:
    """The two pipes of a connection, with our ends."""

    def __init__(self, protocol: Recorder) -> None:
        theirs_in, self.into = os.pipe()
        self.out, theirs_out = os.pipe()
        self.protocol = protocol
        self.transport = StreamTransport(protocol, theirs_in, theirs_out)
        self.transport.begin()

    def close(self) -> None:
        for fd in (self.into, self.out):
            if fd >= 0:
                os.close(fd)
        self.into = self.out = -1


async def test_bytes_go_in_and_out() -> None:
    pipes = Pipes(Recorder())
    os.write(pipes.into, b"question")
    await pipes.protocol.until("data")
    pipes.transport.write(b"")
    pipes.transport.write(b"answer")
    pipes.transport.close()
    pipes.transport.write(b"too late")
    assert pipes.transport.is_closing()
    await pipes.protocol.until("lost")
    assert bytes(pipes.protocol.received) == b"question"
    assert os.read(pipes.out, 100) == b"answer"
    assert os.read(pipes.out, 100) == b""
    assert pipes.protocol.happened == ["made", "data", "lost"]
    pipes.close()


async def test_the_end_of_what_comes_is_left_to_the_protocol() -> None:
    pipes = Pipes(Recorder())
    os.close(pipes.into)
    pipes.into = -1
    await pipes.protocol.until("eof")
    assert not pipes.transport.is_closing()
    pipes.transport.close()
    await pipes.protocol.until("lost")
    pipes.close()
    closing = Pipes(Recorder(keep_open=False))
    os.close(closing.into)
    closing.into = -1
    await closing.protocol.until("lost")
    closing.close()


async def test_a_reader_that_is_slow_makes_the_protocol_wait() -> None:
    pipes = Pipes(Recorder())
    data = bytes(1 << 20)
    pipes.transport.write(data)
    assert pipes.protocol.happened == ["made", "pause"]
    assert pipes.transport.get_write_buffer_size() > 0
    got = 0
    while got < len(data):
        got += len(await asyncio.to_thread(os.read, pipes.out, 1 << 16))
    await pipes.protocol.until("resume")
    pipes.transport.close()
    await pipes.protocol.until("lost")
    pipes.close()


async def test_a_protocol_that_is_slow_makes_the_sender_wait() -> None:
    pipes = Pipes(Recorder())
    os.write(pipes.into, b"1")
    await pipes.protocol.until("data")
    pipes.transport.pause_reading()
    assert not pipes.transport.is_reading()
    pending = asyncio.ensure_future(asyncio.to_thread(os.write, pipes.into, bytes(300_000)))
    _, still = await asyncio.wait([pending], timeout=0.2)
    assert still, "the pipe takes 64 KiB, and one piece is read"
    pipes.transport.resume_reading()
    await pending
    pipes.transport.abort()
    await pipes.protocol.until("lost")
    pipes.close()


async def test_a_reader_that_left_is_an_error() -> None:
    pipes = Pipes(Recorder())
    os.close(pipes.out)
    pipes.out = -1
    pipes.transport.write(b"answer")
    await pipes.protocol.until("lost")
    assert isinstance(pipes.protocol.error, BrokenPipeError)
    pipes.close()


async def test_abort_leaves_out_what_is_not_written() -> None:
    pipes = Pipes(Recorder())
    pipes.transport.write(bytes(1 << 20))
    pipes.transport.write(b"the end")
    pipes.transport.abort()
    got = bytearray()
    while piece := await asyncio.to_thread(os.read, pipes.out, 1 << 16):
        got += piece
    await pipes.protocol.until("lost")
    assert not got.endswith(b"the end")
    pipes.close()


async def test_what_cannot_be_read_is_at_its_end() -> None:
    protocol = Recorder()
    out, theirs = os.pipe()
    directory = os.open("/", os.O_RDONLY)
    transport = StreamTransport(protocol, directory, theirs)
    transport.begin()
    await protocol.until("eof")
    assert not transport.can_write_eof()
    transport.close()
    await protocol.until("lost")
    os.close(out)
