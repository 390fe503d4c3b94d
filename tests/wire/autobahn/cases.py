"""The case list of the Autobahn test suite's fuzzing client, sections 1 to 7, as data with its numbers.

Frames that are sent, messages that must come back, and how it must end. Where the suite waits a while to see
whether the server still lives, the case asks it by a ping (SYNC) instead.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterable

from tests.wire.autobahn.peer import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Frame

__all__ = ["CASES", "FRAMEWISE", "SYNC", "Case"]

SYNC = Frame(PING, b"still there?")
"""The runner waits for its pong before it goes on."""
FRAMEWISE = -1


@dataclasses.dataclass(frozen=True)
class Case:
    """What is sent, what must come back, and how it ends.

    `chop`: 0 all frames at once, FRAMEWISE each by itself, else in pieces of so many bytes. `withhold`: so
    many bytes are never sent. `fails`: the server must close with this code. `closes`: the case closes by
    itself, and the server must answer with this code (None: with none); otherwise the runner closes with 1000
    in the end.
    """

    number: str
    send: tuple[Frame, ...]
    expect: tuple[tuple[int, bytes], ...] = ()
    chop: int = 0
    withhold: int = 0
    fails: int = 0
    closes: int | None = 0


def text(payload: bytes) -> Frame:
    return Frame(TEXT, payload)


def close(code: int, reason: bytes = b"") -> Frame:
    return Frame(CLOSE, struct.pack("!H", code) + reason)


def fragments(opcode: int, *payloads: bytes) -> list[Frame]:
    """Split a message into frames."""
    last = len(payloads) - 1
    return [Frame(CONTINUATION if at else opcode, part, fin=at == last) for at, part in enumerate(payloads)]


def single(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


HELLO = b"Hello, world!"
HELLO_FRAME, HELLO_ECHO = text(HELLO), (TEXT, HELLO)
ODD = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
ONE, TWO = b"fragment1", b"fragment2"
GREEK = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"  # kosme
GERMAN = "Hello-µ@ßöäüàá-UTF-8!!".encode()


def section_1() -> Iterable[Case]:
    """Framing: messages of the lengths at which the frame's form changes."""
    for part, opcode, byte in ((1, TEXT, b"*"), (2, BINARY, b"\xfe")):
        for at, size in enumerate((0, 125, 126, 127, 128, 65535, 65536, 65536), 1):
            frame = Frame(opcode, byte * size)
            yield Case(f"1.{part}.{at}", (frame,), ((opcode, frame.payload),), chop=997 if at == 8 else 0)


def section_2() -> Iterable[Case]:
    """Pings and pongs."""
    for at, payload in enumerate((b"", HELLO, ODD, b"\xfe" * 125), 1):
        yield Case(f"2.{at}", (Frame(PING, payload),), ((PONG, payload),))
    yield Case("2.5", (Frame(PING, b"\xfe" * 126),), fails=1002)
    yield Case("2.6", (Frame(PING, b"\xfe" * 125),), ((PONG, b"\xfe" * 125),), chop=1)
    yield Case("2.7", (Frame(PONG),))
    yield Case("2.8", (Frame(PONG, b"unsolicited pong payload"),))
    yield Case("2.9", (Frame(PONG, b"unsolicited"), Frame(PING, b"ping payload")), ((PONG, b"ping payload"),))
    pings = [b"payload-%d" % at for at in range(10)]
    for number, chop in (("2.10", 0), ("2.11", 1)):
        yield Case(
            number,
            tuple(Frame(PING, payload) for payload in pings),
            tuple((PONG, payload) for payload in pings),
            chop=chop,
        )


def section_3() -> Iterable[Case]:
    """Reserved bits without an extension that uses them."""
    yield Case("3.1", (Frame(TEXT, HELLO, rsv=1),), fails=1002)
    for number, rsv, chop in (("3.2", 2, 0), ("3.3", 3, FRAMEWISE), ("3.4", 4, 1)):
        frames = (HELLO_FRAME, Frame(TEXT, HELLO, rsv=rsv), Frame(PING))
        yield Case(number, frames, (HELLO_ECHO,), chop=chop, fails=1002)
    yield Case("3.5", (Frame(BINARY, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", rsv=5),), fails=1002)
    yield Case("3.6", (Frame(PING, HELLO, rsv=6),), fails=1002)
    yield Case("3.7", (Frame(CLOSE, rsv=7),), fails=1002)


def section_4() -> Iterable[Case]:
    """Opcodes that mean nothing."""
    for part, opcodes in ((1, (3, 4, 5, 6, 7)), (2, (11, 12, 13, 14, 15))):
        yield Case(f"4.{part}.1", (Frame(opcodes[0]),), fails=1002)
        yield Case(f"4.{part}.2", (Frame(opcodes[1], b"reserved opcode payload"),), fails=1002)
        for at, opcode in enumerate(opcodes[2:], 3):
            frames = (HELLO_FRAME, Frame(opcode, b"" if at == 3 else HELLO), Frame(PING))
            chop = 1 if at == 5 else 0
            yield Case(f"4.{part}.{at}", frames, (HELLO_ECHO,), chop=chop, fails=1002)


def section_5() -> Iterable[Case]:
    """Fragmentation."""
    yield Case("5.1", tuple(fragments(PING, ONE, TWO)), fails=1002)
    yield Case("5.2", tuple(fragments(PONG, ONE, TWO)), fails=1002)
    two, echo = fragments(TEXT, ONE, TWO), (TEXT, ONE + TWO)
    for number, chop in (("5.3", 0), ("5.4", FRAMEWISE), ("5.5", 1)):
        yield Case(number, tuple(two), (echo,), chop=chop)
    for number, chop in (("5.6", 0), ("5.7", FRAMEWISE), ("5.8", 1)):
        yield Case(
            number, (two[0], Frame(PING, b"ping payload"), two[1]), ((PONG, b"ping payload"), echo), chop=chop
        )
    for first, fin in ((9, True), (12, False)):
        for at, chop in enumerate((0, FRAMEWISE, 1)):
            alone = (Frame(CONTINUATION, b"non-continuation payload", fin=fin), HELLO_FRAME)
            yield Case(f"5.{first + at}", alone, chop=chop, fails=1002)
    more = (Frame(CONTINUATION, b"fragment3", fin=False), text(b"fragment4"))
    yield Case("5.15", (*two, *more), (echo,), fails=1002)
    for number, fin in (("5.16", False), ("5.17", True)):
        frames = (Frame(CONTINUATION, ONE, fin=fin), *fragments(TEXT, TWO, b"fragment3"))
        yield Case(number, frames * 2, fails=1002)
    yield Case("5.18", (Frame(TEXT, ONE, fin=False), text(TWO)), fails=1002)
    five = fragments(TEXT, ONE, TWO, b"fragment3", b"fragment4", b"fragment5")
    pings = [Frame(PING, b"pongme %d!" % at) for at in (1, 2)]
    for number, chop in (("5.19", 0), ("5.20", FRAMEWISE)):
        yield Case(
            number,
            (*five[:2], pings[0], *five[2:4], pings[1], SYNC, five[4]),
            (*((PONG, ping.payload) for ping in pings), (TEXT, b"".join(part.payload for part in five))),
            chop=chop,
        )


def section_6() -> Iterable[Case]:
    """UTF-8."""
    yield Case("6.1.1", (text(b""),), ((TEXT, b""),))
    yield Case("6.1.2", tuple(fragments(TEXT, b"", b"", b"")), ((TEXT, b""),))
    yield Case(
        "6.1.3", tuple(fragments(TEXT, b"", b"middle frame payload", b"")), ((TEXT, b"middle frame payload"),)
    )
    yield Case("6.2.1", (text(GERMAN),), ((TEXT, GERMAN),))
    yield Case("6.2.2", tuple(fragments(TEXT, GERMAN[:12], GERMAN[12:])), ((TEXT, GERMAN),))
    yield Case("6.2.3", tuple(fragments(TEXT, *single(GERMAN))), ((TEXT, GERMAN),))
    yield Case("6.2.4", tuple(fragments(TEXT, *single(GREEK))), ((TEXT, GREEK),))
    invalid = GREEK + b"\xed\xa0\x80" + b"edited"
    yield Case("6.3.1", (text(invalid),), fails=1007)
    yield Case("6.3.2", tuple(fragments(TEXT, *single(invalid))), fails=1007)
    for number, cut in (("6.4.1", GREEK), ("6.4.2", GREEK + b"\xf4")):
        rest = (GREEK + b"\xf4\x90\x80\x80")[len(cut) :]
        # The server must not wait for the end of the message, which never comes.
        yield Case(
            number,
            (Frame(TEXT, cut, fin=False), SYNC, Frame(CONTINUATION, rest, fin=False)),
            fails=1007,
        )
    late = GREEK + b"\xf4\x90\x80\x80" + b"edited"
    yield Case("6.4.3", (text(late),), withhold=6, fails=1007)
    yield Case("6.4.4", (text(late),), withhold=8, fails=1007)
    for at, (_, sequences) in enumerate(UTF8, 5):
        for which, sequence in enumerate(sequences, 1):
            try:
                sequence.decode()
                yield Case(f"6.{at}.{which}", (text(sequence),), ((TEXT, sequence),))
            except UnicodeDecodeError:
                yield Case(f"6.{at}.{which}", (text(sequence),), fails=1007)


INCOMPLETE = [
    b"\xc0",
    b"\xe0\x80",
    b"\xf0\x80\x80",
    b"\xf8\x80\x80\x80",
    b"\xfc\x80\x80\x80\x80",
    b"\xdf",
    b"\xef\xbf",
    b"\xf7\xbf\xbf",
    b"\xfb\xbf\xbf\xbf",
    b"\xfd\xbf\xbf\xbf\xbf",
]
HIGH, LOW = (
    (b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xaf\xbf"),
    (b"\xed\xb0\x80", b"\xed\xbf\xbf"),
)
UTF8: list[tuple[str, list[bytes]]] = [
    (
        "some valid sequences",
        [b"hello$world", "hello¢world".encode(), "hello€world".encode(), "hello𤭢world".encode(), GREEK],
    ),
    ("all prefixes of a valid text", [GREEK[:size] for size in range(1, len(GREEK) + 1)]),
    ("the first sequence of each length", [b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"]),
    ("the first sequences of 5 and 6 bytes", [b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"]),
    ("the last sequence of each length", [b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"]),
    (
        "the last sequences beyond Unicode",
        [b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"],
    ),
    (
        "other borders",
        [b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf", b"\xf4\x90\x80\x80"],
    ),
    (
        "unexpected continuation bytes",
        [b"\x80", b"\xbf", *((b"\x80\xbf" * 3)[:size] for size in range(2, 7)), bytes(range(0x80, 0xBF))],
    ),
    (
        "lonely start bytes",
        [
            b"".join(bytes([byte, 0x20]) for byte in range(first, last))
            for first, last in ((0xC0, 0xDF), (0xE0, 0xEF), (0xF0, 0xF7), (0xF8, 0xFB), (0xFC, 0xFD))
        ],
    ),
    ("the last continuation byte is missing", INCOMPLETE),
    ("incomplete sequences one behind the other", [b"".join(INCOMPLETE)]),
    ("impossible bytes", [b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"]),
    (
        "an ASCII character, too long",
        [
            b"\xc0\xaf",
            b"\xe0\x80\xaf",
            b"\xf0\x80\x80\xaf",
            b"\xf8\x80\x80\x80\xaf",
            b"\xfc\x80\x80\x80\x80\xaf",
        ],
    ),
    (
        "the last characters that are too long",
        [
            b"\xc1\xbf",
            b"\xe0\x9f\xbf",
            b"\xf0\x8f\xbf\xbf",
            b"\xf8\x87\xbf\xbf\xbf",
            b"\xfc\x83\xbf\xbf\xbf\xbf",
        ],
    ),
    (
        "NUL, too long",
        [
            b"\xc0\x80",
            b"\xe0\x80\x80",
            b"\xf0\x80\x80\x80",
            b"\xf8\x80\x80\x80\x80",
            b"\xfc\x80\x80\x80\x80\x80",
        ],
    ),
    ("single surrogates", [*HIGH, LOW[0], b"\xed\xbe\x80", LOW[1]]),
    ("pairs of surrogates", [high + low for high in HIGH for low in LOW]),
    (
        "code points that are no characters",
        [chr(plane << 16 | end).encode() for plane in range(17) for end in (0xFFFE, 0xFFFF)],
    ),
    ("specials", [chr(point).encode() for point in range(0xFFF9, 0x10000)]),
]


def section_7() -> Iterable[Case]:
    """Closing."""
    yield Case("7.1.1", (HELLO_FRAME, close(1000)), (HELLO_ECHO,), closes=1000)
    yield Case("7.1.2", (close(1000), close(1000)), closes=1000)
    yield Case("7.1.3", (close(1000), Frame(PING)), closes=1000)
    yield Case("7.1.4", (close(1000), HELLO_FRAME), closes=1000)
    first, last = fragments(TEXT, ONE, TWO)
    yield Case("7.1.5", (first, close(1000), last), closes=1000)
    large = b"BAsd7&jh23" * 26214
    yield Case(
        "7.1.6",
        (text(large), HELLO_FRAME, close(1000), Frame(PING)),
        ((TEXT, large), HELLO_ECHO),
        closes=1000,
    )
    yield Case("7.3.1", (Frame(CLOSE),), closes=None)
    yield Case("7.3.2", (Frame(CLOSE, b"a"),), fails=1002)
    yield Case("7.3.3", (close(1000),), closes=1000)
    yield Case("7.3.4", (close(1000, HELLO),), closes=1000)
    yield Case("7.3.5", (close(1000, b"*" * 123),), closes=1000)
    yield Case("7.3.6", (close(1000, b"*" * 124),), fails=1002)
    yield Case("7.5.1", (close(1000, GREEK + b"\xed\xa0\x80" + b"edited"),), fails=1007)
    valid = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
    for at, code in enumerate(valid, 1):
        yield Case(f"7.7.{at}", (close(code),), closes=code)
    for at, code in enumerate((0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999), 1):
        yield Case(f"7.9.{at}", (close(code),), fails=1002)
    yield Case("7.13.1", (close(5000),), fails=1002)
    yield Case("7.13.2", (Frame(CLOSE, struct.pack("!I", 65536)),), fails=1002)


CASES = tuple(
    case
    for section in (section_1, section_2, section_3, section_4, section_5, section_6, section_7)
    for case in section()
)
