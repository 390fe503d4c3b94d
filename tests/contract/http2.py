"""A request of the contract by HTTP/2, on a connected socket."""

from __future__ import annotations

import socket

from tests.contract.wire import Answer, Ask
from tests.http2peer import Peer

__all__ = ["ask_by_http2"]


def ask_by_http2(client: socket.socket, ask: Ask, scheme: str) -> Answer:
    """Send the request and return the response; what HTTP/1.1 sends in chunks has no Content-Length here."""
    peer = Peer()
    head = [(":method", ask.method), (":scheme", scheme), (":path", ask.target), (":authority", ask.host)]
    head += [(name.lower(), value) for name, value in ask.fields]
    if ask.body and not ask.chunked:
        head.append(("content-length", str(len(ask.body))))
    if ask.expects:
        head.append(("expect", "100-continue"))
    sent = not ask.body and not ask.chunked
    stream = peer.section(head, end=sent)
    answer = peer.answers[stream]
    rest = ask.body
    with client:
        while not answer.ended:
            assert answer.reset is None, f"the stream was reset: {answer.reset}"
            if not sent and (answer.interim or not ask.expects):
                room = min(peer.h2.local_flow_control_window(stream), len(rest))
                sent = room == len(rest)
                if room or sent:
                    peer.data(stream, rest[:room], end=sent)
                rest = rest[room:]
            client.sendall(peer.out())
            data = client.recv(1 << 16)
            assert data, f"the connection ended: {peer.goaways}"
            peer.receive(data)
    fields = [(name.decode(), value.decode("latin-1")) for name, value in answer.fields if name[:1] != b":"]
    interim = tuple(int(dict(section)[b":status"]) for section in answer.interim)
    return Answer(answer.status, fields, answer.body, interim)
