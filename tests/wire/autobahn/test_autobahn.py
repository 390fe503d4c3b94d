"""Runs the cases of the Autobahn test suite's fuzzing client against an echo server on a real socket.

All of sections 1 to 7, and of 9, 10, 12 and 13, whose sizes and counts are cut down unless the environment
has AUTOBAHN=full.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pytest

from pierhead import App, WebSocket
from tests.wire.autobahn import bulk
from tests.wire.autobahn.cases import CASES, FRAMEWISE, SYNC, Case
from tests.wire.autobahn.peer import BINARY, CLOSE, CONTINUATION, PONG, TEXT, Frame, Peer
from tests.wire.loops import best_loop
from tests.wire.serving import Serving, serving

FULL = os.environ.get("AUTOBAHN") == "full"


@pytest.fixture(scope="module")
def echo() -> Iterator[Serving]:
    app = App()

    @app.websocket("/")
    async def echo(socket: WebSocket) -> None:
        async for message in socket:
            await socket.send(message)

    with serving(app, best_loop) as running:
        yield running


def end(peer: Peer, code: int | None) -> None:
    """Expect a close frame with this code (None: without one), then the end of the connection."""
    opcode, payload = peer.message()
    assert opcode == CLOSE, (opcode, payload)
    assert (int.from_bytes(payload[:2], "big") if payload else None) == code, payload
    payload[2:].decode()
    assert peer.at_end()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.number)
def test_case(case: Case, echo: Serving) -> None:
    with contextlib.closing(Peer(echo)) as peer:
        expected = list(case.expect)
        together: list[Frame] = []
        for frame in (*case.send, None):
            if frame is not None and frame is not SYNC and case.chop != FRAMEWISE:
                together.append(frame)
                continue
            peer.send(*together, chop=max(case.chop, 0), withhold=case.withhold)
            together.clear()
            if frame is SYNC:
                peer.send(frame)
                while (received := peer.message()) != (PONG, SYNC.payload):
                    assert received == expected.pop(0)
            elif frame is not None:
                peer.send(frame)
        for message in expected:
            assert peer.message() == message
        if case.fails:
            end(peer, case.fails)
        elif case.closes == 0:
            peer.send(Frame(CLOSE, (1000).to_bytes(2, "big")))
            end(peer, 1000)
        else:
            end(peer, case.closes)


@pytest.mark.timeout(1800 if FULL else 600)
@pytest.mark.parametrize("case", bulk.cases(full=FULL), ids=lambda case: case.number)
def test_bulk(case: bulk.Bulk, echo: Serving) -> None:
    opcode = TEXT if case.text else BINARY
    with contextlib.closing(Peer(echo, offer=case.offer)) as peer:
        assert bool(peer.deflating) is bool(case.offer), peer.head
        for payload in case.payloads():
            data = peer.deflating.compress(payload) if peer.deflating else payload
            size = case.fragment or len(data) or 1
            parts = [data[at : at + size] for at in range(0, len(data), size)] or [b""]
            frames = [
                Frame(
                    CONTINUATION if at else opcode,
                    part,
                    fin=at == len(parts) - 1,
                    rsv=4 if peer.deflating and not at else 0,
                )
                for at, part in enumerate(parts)
            ]
            peer.send(*frames, chop=case.chop)
            assert peer.message() == (opcode, payload)
        peer.send(Frame(CLOSE, (1000).to_bytes(2, "big")))
        end(peer, 1000)


def test_the_list_is_complete() -> None:
    """As many cases as the suite has in each section (8.x and 11.x never were; 9.9 is switched off there)."""
    numbers = [case.number for case in CASES] + [case.number for case in bulk.cases(full=FULL)]
    assert len(set(numbers)) == len(numbers)
    counts = {
        section: sum(number.split(".")[0] == str(section) for number in numbers) for section in range(1, 14)
    }
    assert counts == {
        1: 16, 2: 11, 3: 7, 4: 10, 5: 20, 6: 145, 7: 37, 8: 0, 9: 54, 10: 1, 11: 0, 12: 90, 13: 126,
    }  # fmt: skip
