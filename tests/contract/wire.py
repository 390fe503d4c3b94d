"""Raw clients of every protocol: the bytes of a request as a client or web server sends it, and the answer's.

A web server's variables are what nginx sends by its shipped `fastcgi_params`, and no more.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import h11

from pierhead.protocols.fastcgi import (
    BeginRequest,
    EndRequest,
    RecordReader,
    RecordType,
    Role,
    encode_pairs,
    render,
    render_stream,
)

CHUNK_BYTES = 5000

Fields = Sequence[tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Ask:
    """A request."""

    method: str = "GET"
    target: str = "/"
    fields: Fields = ()
    body: bytes = b""
    chunked: bool = False
    """Whether the body is sent in chunks, without its length, where the protocol can."""
    expects: bool = False
    """Whether the body is only sent once it is asked for, where the protocol can."""
    host: str = "example.org"
    variables: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    """What a web server says otherwise than it usually does; None: nothing."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """A response: how it came is left out."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes
    interim: tuple[int, ...] = ()
    """The statuses of what came before it."""

    def one(self, name: str) -> str:
        """Return the value of the only field of that name."""
        (value,) = [value for key, value in self.fields if key.lower() == name.lower()]
        return value


def variables(ask: Ask) -> dict[str, str]:
    """Return the request as CGI variables.

    A client's Expect and Transfer-Encoding are among them, as web servers leave them there.
    """
    path, _, query = ask.target.partition("?")
    found: dict[str, str | None] = {
        "REQUEST_METHOD": ask.method,
        "REQUEST_URI": ask.target,
        "QUERY_STRING": query,
        "SCRIPT_NAME": path,
        "DOCUMENT_URI": path,
        "CONTENT_TYPE": "",
        "CONTENT_LENGTH": str(len(ask.body)) if ask.body else "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "GATEWAY_INTERFACE": "CGI/1.1",
        "REMOTE_ADDR": "192.0.2.7",
        "REMOTE_PORT": "50123",
        "SERVER_ADDR": "198.51.100.1",
        "SERVER_PORT": "80",
        "SERVER_NAME": "example.org",
        "HTTP_HOST": ask.host,
    }
    if ask.chunked:
        found["CONTENT_LENGTH"] = ""
    for name, value in [*ask.fields, *_framing(ask)]:
        variable = name.upper().replace("-", "_")
        if variable not in {"CONTENT_TYPE", "CONTENT_LENGTH"}:
            variable = f"HTTP_{variable}"
        before = found.get(variable)
        found[variable] = f"{before}, {value}" if before else value
    return {name: value for name, value in (found | dict(ask.variables)).items() if value is not None}


def _framing(ask: Ask) -> list[tuple[str, str]]:
    """Return the fields that are about how the body comes."""
    fields = [("Transfer-Encoding", "chunked")] if ask.chunked else []
    return [*fields, ("Expect", "100-continue")] if ask.expects else fields


def http_request(ask: Ask) -> bytes:
    """Render for HTTP/1.1."""
    head, body = http_parts(ask)
    return head + body


def http_parts(ask: Ask) -> tuple[bytes, bytes]:
    """Render for HTTP/1.1: the head, and the body."""
    connection = h11.Connection(h11.CLIENT)
    fields = [("Host", ask.host), *ask.fields, *_framing(ask)]
    if ask.body and not ask.chunked:
        fields.append(("Content-Length", str(len(ask.body))))
    head = connection.send(h11.Request(method=ask.method, target=ask.target, headers=fields)) or b""
    pieces = []
    for start in range(0, len(ask.body), CHUNK_BYTES):
        piece = ask.body[start : start + CHUNK_BYTES]
        pieces.append(connection.send(h11.Data(data=piece)) or b"")
    pieces.append(connection.send(h11.EndOfMessage()) or b"")
    return head, b"".join(pieces)


def scgi_request(ask: Ask) -> bytes:
    """Render for SCGI."""
    pairs = {"CONTENT_LENGTH": str(len(ask.body)), "SCGI": "1"}  # there is no body without its length
    pairs |= {name: value for name, value in variables(ask).items() if name != "CONTENT_LENGTH"}
    section = "".join(f"{name}\0{value}\0" for name, value in pairs.items()).encode("latin-1")
    return b"%d:%b," % (len(section), section) + ask.body


def fastcgi_request(ask: Ask, request_id: int = 1, *, keep: bool = False) -> bytes:
    """Render for FastCGI."""
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in variables(ask).items()]
    parts = [
        render(RecordType.BEGIN_REQUEST, request_id, BeginRequest(Role.RESPONDER, keep).encode()),
        render_stream(RecordType.PARAMS, request_id, encode_pairs(pairs)),
        render(RecordType.PARAMS, request_id),
        render_stream(RecordType.STDIN, request_id, ask.body),
        render(RecordType.STDIN, request_id),
    ]
    return b"".join(parts)


def http_answer(data: bytes, method: str = "GET") -> Answer:
    """Read what came by HTTP/1.1 up to the end of the connection."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    connection.receive_data(b"")
    status, fields, body, interim = 0, [], bytearray(), []
    while not isinstance(event := connection.next_event(), h11.EndOfMessage):
        if isinstance(event, h11.Response):
            status = event.status_code
            raw = event.headers.raw_items()
            fields = [(name.decode(), value.decode("latin-1")) for name, value in raw]
        elif isinstance(event, h11.InformationalResponse):
            interim.append(event.status_code)
        elif isinstance(event, h11.Data):
            body += event.data
    return Answer(status, fields, bytes(body), tuple(interim))


def cgi_answer(data: bytes, method: str = "GET") -> Answer:
    """Read what came as CGI's output, by itself or by SCGI, up to its end."""
    head, blank, body = data.partition(b"\r\n\r\n")
    assert blank, f"this is no response: {data[:200]!r}"
    lines = [line.partition(": ") for line in head.decode("latin-1").split("\r\n")]
    (name, _, status), *fields = lines
    assert name == "Status"
    answer = Answer(int(status.split()[0]), [(name, value) for name, _, value in fields], body)
    lengths = [int(value) for name, value in answer.fields if name == "Content-Length"]
    assert not lengths or lengths == [len(body)] or method == "HEAD", "the body is not as long as announced"
    return answer


def fastcgi_answer(data: bytes, method: str = "GET") -> Answer:
    """Read what came by FastCGI; it must be a whole response and no more."""
    records = RecordReader().feed(data)
    output = b"".join(record.content for record in records if record.type == RecordType.STDOUT)
    *stream, end = records
    assert {record.type for record in stream} == {RecordType.STDOUT}
    assert stream[-1].content == b"", "the end of the output is missing"
    assert all(record.content for record in stream[:-1]), "the output ends too early"
    assert end == (RecordType.END_REQUEST, stream[0].request_id, EndRequest().encode())
    return cgi_answer(output, method)
