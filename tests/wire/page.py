"""Writes docs/wire.md from the corpus:  python -m tests.wire.page"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from tests.wire.corpus import Case, corpus

__all__ = ["PAGE", "page"]

PAGE = Path(__file__).parents[2] / "docs" / "wire.md"
_INTRODUCTION = """\
# What is taken for a request, and what is refused

An HTTP server that is generous with malformed requests lets them be smuggled past the proxy in front of it:
the two read the same bytes as different requests. So whatever is malformed, ambiguous or too large is
refused here, with the status that fits and `Connection: close`, and nothing after it on the connection is
carried out. What the RFCs allow is accepted, and so are a few things that browsers send all the same.

This page is made from the {count} raw requests in [tests/wire/corpus/](../tests/wire/corpus), which the tests
send whole, split at every place, and byte by byte: {refused} are refused, {accepted} are accepted. "Seen in"
names where the like was a vulnerability. To add a case, add a file (the format is in
[tests/wire/corpus.py](../tests/wire/corpus.py)) and run `python -m tests.wire.page`.

The limits are settings: see [operations.md](operations.md).
"""
_REST = """
## Responses

An application's response is held to the same rules. Before its head is sent, one that cannot be sent
becomes 500, and the log says which request and why: CR, LF or NUL in a field, a Transfer-Encoding, a
Content-Length that is no number, is there twice or is not the body's, a body with 204 or 304, a status
outside 200 to 599, no response at all. After the head the connection is cut, so that the client sees that
something is missing: a stream that fails, or is longer or shorter than its Content-Length. There is never a
second response to a request ([tests/wire/test_responses.py](../tests/wire/test_responses.py)).

## HTTP/2

A header section becomes a head of HTTP/1.1, with `:authority` as Host, and passes the same gate, with the
same statuses. What is malformed as RFC 9113, 8 means it gets 400 and has its stream reset with
PROTOCOL_ERROR: names that are not in lower case, white space around a value, pseudo-header fields that are
unknown, missing, twice or late, fields about the connection (`Connection`, `Transfer-Encoding`, `Upgrade`,
`TE` but for `trailers`, ...), a Host that is not the `:authority`, a body that is announced and not there.
Other streams go on. A stream whose client has no room for the response, or makes less than 16 KiB in
`write_timeout_s`, is reset with CANCEL.

The connection ends, and a GOAWAY says why, for what the protocol forbids: frames out of place, too long, or
of a wrong stream, a Content-Length that is no number, a body that is not as long (PROTOCOL_ERROR,
FRAME_SIZE_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED). It ends with ENHANCE_YOUR_CALM, and a warning in the
log, for

- a header section of more than twice what `max_head_bytes` and `max_headers` allow, compressed or not, or
  in more than 32 frames;
- more than 200 requests that come to nothing: reset by the client, malformed, or more at a time than
  `max_http2_streams`. Time gives 20 of them a second back, and each request that is answered one;
- more than 1000 frames that bring nothing: PING, SETTINGS, PRIORITY, WINDOW_UPDATE, unknown ones, DATA
  without data or for a stream that is over. Time gives 500 a second back, and each frame of a body that is
  sent four.

## WebSocket

The cases of the Autobahn test suite's fuzzing client (sections 1 to 7, 9, 10, 12 and 13) run against an echo
server on a real socket ([tests/wire/autobahn/](../tests/wire/autobahn)); `AUTOBAHN=full` runs them in their
full size.

| the peer sends | it is closed with |
| --- | --- |
| a frame that is not masked, has a reserved bit or opcode, or a length that is not the shortest | 1002 |
| a control frame in fragments or over 125 bytes | 1002 |
| a continuation of nothing, a message inside a message | 1002 |
| a close frame of one byte | 1002 |
| a close code that may not be sent: 0 to 999, 1004 to 1006, 1015 to 2999, 5000 and above | 1002 |
| text, or a reason, that is not UTF-8, as soon as it is seen | 1007 |
| data that is not compressed as it says | 1007 |
| a message over `max_websocket_message_bytes`, decompressed; a frame that announces so much | 1009 |
| a message in more than `max_websocket_fragments` frames | 1009 |

What was sent before a close, or before a fault, is given to the handler first. A peer that sends more than is
read, or reads less than it is sent, pongs included, is made to wait; waiting for either is not taken for a
peer's silence.

## Fuzzing

    python -m tests.fuzz.run http1 --seconds 60
    python -m tests.fuzz.run websocket --seconds 60

change the corpus at random and hold what the codecs make of it to what h11 and wsproto make of it, to the
same bytes split elsewhere, and to what is rendered and read again. The tests run a little of it, always the
same.
"""


def page() -> str:
    """Return the page's text."""
    cases = corpus()
    refused = sum(case.status is not None for case in cases)
    parts = [_INTRODUCTION.format(count=len(cases), refused=refused, accepted=len(cases) - refused)]
    for group, members in groupby(cases, key=lambda case: case.group):
        parts.append(f"\n## {group.capitalize().replace('-', ' ')}\n")
        in_order = sorted(members, key=lambda case: (case.status is None, case.name))
        for status, rows in groupby(in_order, key=lambda case: case.status is None):
            parts.append("\n| accepted | by | why |" if status else "\n| refused | with | by | why |")
            parts.append("| --- | --- | --- |" if status else "| --- | --- | --- | --- |")
            parts += [_row(case) for case in rows]
            parts.append("")
    return "\n".join(parts).replace("\n\n\n", "\n\n").rstrip() + "\n" + _REST


def _row(case: Case) -> str:
    name = case.name.partition("/")[2].replace("-", " ")
    why = case.why + (f" Seen in: {case.known}." if case.known else "")
    for character in "\\`*_<>|#[]":
        why = why.replace(character, f"\\{character}")
    cells = [f"[{name}](../tests/wire/corpus/{case.name}.http)"]
    cells += [str(case.status)] if case.status else []
    return "| " + " | ".join([*cells, case.rule, why]) + " |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
