"""WebSockets under pressure, over a real socket with raw frames: bounded memory both ways, orderly ends."""

from __future__ import annotations

import asyncio
import contextlib
import select
import threading
import time
import zlib
from collections.abc import Callable, Iterator

import pytest

from pierhead import App, WebSocket, WebSocketClosed
from pierhead.transports import websocket as shell
from pierhead.transports.connection import HttpConnection
from pierhead.transports.websocket import WebSocketShell
from tests.wire.autobahn.peer import BINARY, CLOSE, PING, PONG, TEXT, Frame, Peer
from tests.wire.loops import best_loop
from tests.wire.serving import TIMEOUT_S, Serving, serving

SMALL_BUFFER_BYTES = 4096
BOUND_BYTES = 2 << 20


class Stage:
    """What the handlers below share with the tests."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.received: list[int] = []
        self.sent = 0
        self.ended: list[int] = []


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def app(stage: Stage) -> App:
    app = App()

    @app.websocket("/")
    async def echo(socket: WebSocket) -> None:
        async for message in socket:
            await socket.send(message)
        stage.ended.append(socket.close_code or 0)

    @app.websocket("/slow")
    async def slow(socket: WebSocket) -> None:
        await socket.accept()
        await stage.go_on.wait()
        async for message in socket:
            stage.received.append(len(message))
        stage.ended.append(socket.close_code or 0)

    @app.websocket("/flood")
    async def flood(socket: WebSocket) -> None:
        try:
            while True:
                await socket.send(b"x" * 65536)
                stage.sent += 1
        except WebSocketClosed as closed:
            stage.ended.append(closed.code)

    @app.websocket("/deaf")
    async def deaf(socket: WebSocket) -> None:
        await socket.receive()
        await stage.go_on.wait()

    return app


@pytest.fixture
def running(app: App) -> Iterator[Serving]:
    with serving(app, best_loop, write_timeout_s=60) as running:
        yield running


@pytest.fixture
def impatient(app: App) -> Iterator[Serving]:
    """A server that pings soon, and soon gives up."""
    with serving(
        app, best_loop, websocket_ping_interval_s=0.2, websocket_ping_timeout_s=5.0, write_timeout_s=60
    ) as running:
        yield running


def until(condition: Callable[[], object]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < end, "it never became so"
        time.sleep(0.01)


def connection(running: Serving) -> HttpConnection:
    """Return the server's end of the only connection."""
    (found,) = running.server._connections
    assert isinstance(found, HttpConnection)
    return found


def buffered(running: Serving) -> int:
    """Return how many bytes the server holds for a peer that does not read."""
    return connection(running).transport.get_write_buffer_size()


def receive(peer: Peer) -> tuple[int, bytes]:
    """Return the next message that is no ping; those are answered."""
    while (received := peer.message()) == (PING, b""):
        peer.send(Frame(PONG))
    return received


def go_on(running: Serving, stage: Stage) -> None:
    async def set_event() -> None:
        stage.go_on.set()

    running.run(set_event())


def send_until_blocked(peer: Peer, frame: Frame, running: Serving) -> int:
    """Send a frame again and again until the server no longer reads; returns how often."""
    data = frame.render()
    batch = data * (65536 // len(data))
    sent = 0
    peer.socket.setblocking(False)
    rest = b""
    while True:
        _, writable, _ = select.select([], [peer.socket], [], 0.5)
        if not writable:
            if connection(running).reading:
                continue  # the machine is slow, not the server unwilling
            break
        rest = rest or batch
        sent_now = peer.socket.send(rest)
        sent += sent_now
        rest = rest[sent_now:]
    peer.socket.settimeout(TIMEOUT_S)
    whole, part = divmod(sent, len(data))
    if part:
        # What is still owed of the last frame goes out once the server reads again.
        threading.Thread(target=peer.socket.sendall, args=(data[part:],), daemon=True).start()
        whole += 1
    return whole


def test_pings_of_a_peer_that_reads_no_pongs_have_to_wait(impatient: Serving) -> None:
    with contextlib.closing(Peer(impatient, receive_buffer_bytes=SMALL_BUFFER_BYTES)) as peer:
        ping = Frame(PING, b"p" * 125)
        sent = send_until_blocked(peer, ping, impatient)
        assert buffered(impatient) < BOUND_BYTES
        for _ in range(sent):
            assert receive(peer) == (PONG, ping.payload)
        peer.send(Frame(TEXT, b"still there"))
        assert receive(peer) == (TEXT, b"still there")


def test_messages_for_a_slow_handler_have_to_wait_and_it_is_not_taken_for_a_dead_peer(
    impatient: Serving, stage: Stage
) -> None:
    """Nothing the peer sends can be heard meanwhile: no pong either, for longer than a ping may take."""
    with contextlib.closing(Peer(impatient, "/slow")) as peer:
        sent = send_until_blocked(peer, Frame(BINARY, b"m" * 1000), impatient)
        begun = impatient.server.now
        until(lambda: impatient.server.now - begun > 6.0)
        assert stage.received == []
        go_on(impatient, stage)
        until(lambda: len(stage.received) == sent)
        assert set(stage.received) == {1000}


def test_sending_to_a_peer_that_does_not_read_waits(impatient: Serving, stage: Stage) -> None:
    with contextlib.closing(Peer(impatient, "/flood", receive_buffer_bytes=SMALL_BUFFER_BYTES)) as peer:
        until(lambda: connection(impatient).congested)
        sent = stage.sent
        begun = impatient.server.now
        until(lambda: impatient.server.now - begun > 0.5)
        assert stage.sent == sent
        assert buffered(impatient) < BOUND_BYTES
        for _ in range(sent + 10):
            assert receive(peer) == (BINARY, b"x" * 65536)
        until(lambda: stage.sent > sent)
    until(lambda: stage.ended == [1006])


def test_many_compression_bombs_do_not_add_up(running: Serving, stage: Stage) -> None:
    """64 messages of 4 MiB in less than 300 KB: only a few are ever held at a time."""
    compressor = zlib.compressobj(wbits=-15)
    bombs = [
        (compressor.compress(bytes(4 << 20)) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4] for _ in range(64)
    ]
    assert sum(map(len, bombs)) < 300_000
    with contextlib.closing(Peer(running, "/slow", offer="permessage-deflate")) as peer:
        sender = threading.Thread(
            target=peer.send, args=[Frame(BINARY, bomb, rsv=4) for bomb in bombs], daemon=True
        )
        sender.start()
        until(lambda: not connection(running).reading)
        channel = connection(running).upgraded
        assert isinstance(channel, WebSocketShell)
        assert channel._queue_bytes <= 12 << 20
        go_on(running, stage)
        until(lambda: len(stage.received) == 64)
        assert set(stage.received) == {4 << 20}
        sender.join()


def test_one_bomb_over_the_limit_is_refused_and_the_server_lives(running: Serving) -> None:
    compressor = zlib.compressobj(wbits=-15)
    piece = compressor.compress(bytes(20 << 20)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    with contextlib.closing(Peer(running, offer="permessage-deflate")) as peer:
        peer.send(Frame(BINARY, piece[:-4], rsv=4))
        opcode, payload = receive(peer)
        assert (opcode, payload[:2]) == (CLOSE, (1009).to_bytes(2, "big"))
        assert peer.at_end()
    with contextlib.closing(Peer(running)) as peer:
        peer.send(Frame(TEXT, b"hello"))
        assert receive(peer) == (TEXT, b"hello")


def test_a_peer_that_is_still_sending_learns_why_it_is_closed(app: App) -> None:
    """The rest of what it sends is read for a while, or the reset would overtake the close frame."""
    message = Frame(TEXT, b"x" * (3 << 20))
    with (
        serving(app, best_loop, max_websocket_message_bytes=1000) as running,
        contextlib.closing(Peer(running)) as peer,
    ):
        peer.send(message, withhold=1)
        opcode, payload = peer.message()
        assert opcode == CLOSE
        assert payload == (1009).to_bytes(2, "big") + b"a message is longer than 1000 bytes"
        assert peer.at_end()


def test_a_handler_that_does_not_listen_delays_the_answer_to_a_close_only_for_a_while(
    running: Serving, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "_CLOSE_TIMEOUT_S", 0.1)
    with contextlib.closing(Peer(running, "/deaf")) as peer:
        messages = [Frame(TEXT, b"heard"), Frame(TEXT, b"not heard")]
        peer.send(*messages, Frame(CLOSE, (4000).to_bytes(2, "big")))
        assert receive(peer) == (CLOSE, (4000).to_bytes(2, "big"))
        go_on(running, stage)
        assert peer.at_end()


def test_what_was_asked_before_a_close_is_answered_before_it(running: Serving, stage: Stage) -> None:
    with contextlib.closing(Peer(running)) as peer:
        asked = [Frame(TEXT, b"%d" % number) for number in range(50)]
        peer.send(*asked, Frame(CLOSE, (1000).to_bytes(2, "big")))
        assert [receive(peer) for _ in asked] == [(TEXT, frame.payload) for frame in asked]
        assert receive(peer) == (CLOSE, (1000).to_bytes(2, "big"))
        assert peer.at_end()
    until(lambda: stage.ended == [1000])


def test_fragments_without_end_are_refused(running: Serving) -> None:
    with contextlib.closing(Peer(running)) as peer:
        again = Frame(0, b"", fin=False).render() * 1000
        peer.send(Frame(TEXT, b"", fin=False))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(101):
                peer.socket.sendall(again)
        opcode, payload = receive(peer)
        assert (opcode, payload[:2]) == (CLOSE, (1009).to_bytes(2, "big"))
        assert peer.at_end()
