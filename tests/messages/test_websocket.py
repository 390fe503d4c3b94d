"""A WebSocket over a channel that notes what it is told, without a transport."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import pytest

from pierhead import Headers, Request, Response, WebSocket, WebSocketClosed
from pierhead.messages.headers import HeaderItems


class Channel:
    """Notes each call; `incoming` are the messages to receive, `closed` is what the next call finds."""

    def __init__(self, *incoming: str | bytes, closed: WebSocketClosed | None = None) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.incoming = list(incoming)
        self.closed = closed

    def note(self, *call: object) -> None:
        self.calls.append(call)
        if self.closed is not None:
            raise self.closed

    async def accept(self, subprotocol: str | None, headers: HeaderItems) -> None:
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        self.note("accept", subprotocol, dict(pairs))

    async def reject(self, response: Response) -> None:
        self.note("reject", response.status)

    async def disconnect(self) -> None:
        self.note("disconnect")

    async def receive(self) -> str | bytes:
        if self.closed is None and not self.incoming:
            self.closed = WebSocketClosed(1001, "bye")
        self.note("receive")
        return self.incoming.pop(0)

    async def send(self, message: str | bytes) -> None:
        self.note("send", message)

    async def ping(self, payload: bytes) -> None:
        self.note("ping", payload)

    async def close(self, code: int, reason: str) -> None:
        self.note("close", code, reason)


ACCEPT: tuple[object, ...] = ("accept", None, {})


def opened(channel: Channel, *subprotocols: str) -> WebSocket:
    return WebSocket(Request("GET", "/", Headers()), channel, subprotocols)


async def test_accept_names_a_subprotocol_and_adds_fields() -> None:
    channel = Channel()
    socket = opened(channel, "chat", "echo")
    socket.request.response_headers.add("X-Of-The-Request", "1")
    assert (socket.answered, socket.accepted, socket.subprotocols) == (False, False, ("chat", "echo"))
    await socket.accept("echo", {"X-Room": "lobby"})
    assert channel.calls == [("accept", "echo", {"X-Room": "lobby", "X-Of-The-Request": "1"})]
    assert (socket.answered, socket.accepted, socket.subprotocol) == (True, True, "echo")
    assert socket.close_code is None


async def test_fields_may_be_pairs() -> None:
    channel = Channel()
    await opened(channel).accept(headers=[("X-Room", "lobby")])
    assert channel.calls == [("accept", None, {"X-Room": "lobby"})]


@pytest.mark.parametrize(("offered", "said"), [((), "it offers: none"), (("a", "b"), "it offers: a, b")])
async def test_only_an_offered_subprotocol_is_accepted(offered: tuple[str, ...], said: str) -> None:
    channel = Channel()
    socket = opened(channel, *offered)
    with pytest.raises(ValueError, match=f"does not offer subprotocol 'chat'; {said}"):
        await socket.accept("chat")
    assert channel.calls == []
    await socket.accept()  # the mistake did not answer the handshake
    assert socket.accepted


async def test_a_handshake_is_answered_once() -> None:
    accepted, rejected = opened(Channel()), opened(Channel())
    await accepted.accept()
    await rejected.reject(Response.problem(403))
    for socket in (accepted, rejected):
        with pytest.raises(RuntimeError, match="already answered"):
            await socket.accept()
        with pytest.raises(RuntimeError, match="already answered"):
            await socket.reject(Response.problem(403))


async def test_a_rejected_handshake_is_closed() -> None:
    channel = Channel()
    socket = opened(channel)
    await socket.reject(Response.problem(403))
    assert (socket.answered, socket.accepted) == (True, False)
    assert (socket.close_code, socket.close_reason) == (1006, "the handshake was rejected")
    with pytest.raises(WebSocketClosed):
        await socket.send("hello")
    await socket.close()
    assert channel.calls == [("reject", 403)]


USES: dict[str, Callable[[WebSocket], Awaitable[object]]] = {
    "send": lambda socket: socket.send("hello"),
    "receive": lambda socket: socket.receive(),
    "ping": lambda socket: socket.ping(b"there?"),
    "close": lambda socket: socket.close(4000, "full"),
}


@pytest.mark.parametrize("use", USES)
async def test_the_first_use_accepts(use: str) -> None:
    channel = Channel("message")
    socket = opened(channel)
    await USES[use](socket)
    assert [call[0] for call in channel.calls] == ["accept", use]
    assert channel.calls[0] == ACCEPT


@pytest.mark.parametrize("use", ["accept", *USES])
async def test_a_client_that_went_away_during_the_handshake_is_noticed(use: str) -> None:
    channel = Channel(closed=WebSocketClosed(1006, "gone"))
    socket = opened(channel)
    with pytest.raises(WebSocketClosed):
        await (socket.accept() if use == "accept" else USES[use](socket))
    assert channel.calls == [ACCEPT]
    assert (socket.close_code, socket.close_reason) == (1006, "gone")


@pytest.mark.parametrize("use", ["send", "receive", "ping"])
async def test_the_code_of_the_close_is_kept(use: str) -> None:
    channel = Channel("message")
    socket = opened(channel)
    await socket.accept()
    channel.closed = WebSocketClosed(1001, "bye")
    with pytest.raises(WebSocketClosed):
        await USES[use](socket)
    assert (socket.close_code, socket.close_reason) == (1001, "bye")
    channel.calls.clear()
    with pytest.raises(WebSocketClosed) as again:
        await USES[use](socket)
    assert (again.value.code, again.value.reason) == (1001, "bye")
    assert channel.calls == []  # what is closed is not asked again


async def test_iteration_ends_with_the_conversation() -> None:
    socket = opened(Channel("one", b"two"))
    assert [message async for message in socket] == ["one", b"two"]
    assert socket.close_code == 1001
    assert [message async for message in socket] == []


async def test_messages_go_out_as_they_are() -> None:
    channel = Channel()
    socket = opened(channel)
    await socket.send("text")
    await socket.send(b"bytes")
    await socket.ping()
    assert channel.calls == [ACCEPT, ("send", "text"), ("send", b"bytes"), ("ping", b"")]


async def test_a_ping_is_short() -> None:
    channel = Channel()
    socket = opened(channel)
    await socket.ping(bytes(125))
    with pytest.raises(ValueError, match="at most 125 bytes"):
        await socket.ping(bytes(126))
    assert channel.calls == [ACCEPT, ("ping", bytes(125))]


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1014, 3000, 4999])
async def test_close_sends_code_and_reason_once(code: int) -> None:
    channel = Channel()
    socket = opened(channel)
    await socket.close(code, "ü" * 61)
    await socket.close(1000, "again")
    assert channel.calls == [ACCEPT, ("close", code, "ü" * 61)]
    assert (socket.close_code, socket.close_reason) == (code, "ü" * 61)


@pytest.mark.parametrize("code", [0, 999, 1002, 1004, 1005, 1006, 1015, 2999, 5000])
async def test_codes_that_are_not_an_applications_to_send(code: int) -> None:
    channel = Channel()
    with pytest.raises(ValueError, match=f"{code} is no close code"):
        await opened(channel).close(code)
    assert channel.calls == []


async def test_a_reason_is_short() -> None:
    channel = Channel()
    with pytest.raises(ValueError, match="at most 123 bytes"):
        await opened(channel).close(1000, "ü" * 62)
    assert channel.calls == []


async def test_the_peers_code_is_not_overwritten_by_ours() -> None:
    channel = Channel()
    socket = opened(channel)
    await socket.accept()
    channel.closed = WebSocketClosed(1001, "bye")
    with pytest.raises(WebSocketClosed):
        await socket.receive()
    await socket.close(4000)
    assert (socket.close_code, socket.close_reason) == (1001, "bye")


async def test_the_first_of_two_closes_counts() -> None:
    class Waiting(Channel):
        """Its receive waits for the close, as one that another task is in does."""

        def __init__(self) -> None:
            super().__init__()
            self.waiting, self.over = asyncio.Event(), asyncio.Event()

        async def receive(self) -> str | bytes:
            self.waiting.set()
            await self.over.wait()
            raise WebSocketClosed(1001, "bye")

    channel = Waiting()
    socket = opened(channel)
    receiving = asyncio.create_task(socket.receive())
    await channel.waiting.wait()
    await socket.close(4000, "full")
    channel.over.set()
    with pytest.raises(WebSocketClosed):
        await receiving
    assert (socket.close_code, socket.close_reason) == (4000, "full")


async def test_leaving_before_the_handshake_is_answered_can_be_waited_for() -> None:
    channel = Channel(closed=WebSocketClosed(1006, "gone"))
    socket = opened(channel)
    with pytest.raises(WebSocketClosed):
        await socket.disconnect()
    assert (socket.close_code, socket.close_reason) == (1006, "gone")
    answered = opened(Channel())
    await answered.accept()
    with pytest.raises(RuntimeError, match="already answered"):
        await answered.disconnect()


async def test_one_that_was_given_away_is_closed_here() -> None:
    channel = Channel("hello")
    socket = opened(channel)
    assert socket.channel is channel
    socket.given_away()
    assert socket.answered
    with pytest.raises(WebSocketClosed):
        await socket.receive()
    await socket.close()
    assert channel.calls == []


class Refusing(Channel):
    """Cannot send what it is told first."""

    async def accept(self, subprotocol: str | None, headers: HeaderItems) -> None:
        raise ValueError("a field that cannot be sent")

    async def reject(self, response: Response) -> None:
        await super().reject(response)
        if len(self.calls) == 1:
            raise ValueError("a response that cannot be sent")


async def test_a_handshake_whose_answer_cannot_be_sent_is_not_answered() -> None:
    channel = Refusing()
    socket = opened(channel, "chat")
    with pytest.raises(ValueError, match="a field"):
        await socket.accept("chat")
    assert (socket.answered, socket.subprotocol, socket.close_code) == (False, None, None)
    with pytest.raises(ValueError, match="a response"):
        await socket.reject(Response.text("no", status=401))
    assert (socket.answered, socket.close_code) == (False, None)
    await socket.reject(Response.problem(500))
    assert (socket.answered, socket.accepted, socket.close_code) == (True, False, 1006)


async def test_who_left_before_a_rejection_is_not_answered_again() -> None:
    socket = opened(Channel(closed=WebSocketClosed(1006, "gone")))
    with pytest.raises(WebSocketClosed):
        await socket.reject(Response.problem(403))
    assert (socket.answered, socket.close_code) == (True, 1006)
