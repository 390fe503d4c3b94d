"""The cases of the Autobahn test suite's fuzzing client, sections 9, 10, 12 and 13: large and many messages.

In the place of the suite's data files there is made data of the same kinds: JSON, a bitmap, prose, HTML, and
bytes that do not compress.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import random
from collections.abc import Iterator

__all__ = ["Bulk", "cases"]

KI, MI = 1 << 10, 1 << 20
_CUT_SIZE = 32  # how many times smaller the sizes of section 9 are, unless all is run
_CUT_COUNT = 3  # how many messages are sent instead of 1000


@dataclasses.dataclass(frozen=True)
class Bulk:
    """`count` messages of `size` bytes, each echoed before the next one is sent."""

    number: str
    size: int
    text: bool
    count: int = 1
    fragment: int = 0
    chop: int = 0
    data: str = ""
    offer: str = ""

    def payloads(self) -> Iterator[bytes]:
        """Yield the messages: the data round and round, as it is cut."""
        if not self.data:
            yield from [(b"*" if self.text else b"\xfe") * self.size] * self.count
            return
        data = _data(self.data)
        at = 0
        for _ in range(self.count):
            piece = data[at : at + self.size]
            while len(piece) < self.size:
                piece += data[: self.size - len(piece)]
            yield piece
            at = (at + self.size) % len(data)


def cases(*, full: bool) -> list[Bulk]:
    """Return all cases; cut down unless `full`."""
    cut = 1 if full else _CUT_SIZE
    count = 1000 if full else _CUT_COUNT
    found: list[Bulk] = []
    for part, text in ((1, True), (2, False)):
        for at, size in enumerate((64 * KI, 256 * KI, MI, 4 * MI, 8 * MI, 16 * MI), 1):
            found.append(Bulk(f"9.{part}.{at}", size // cut, text))
    for part, text in ((3, True), (4, False)):
        for at, fragment in enumerate((64, 256, KI, 4 * KI, 16 * KI, 64 * KI, 256 * KI, MI, 4 * MI), 1):
            found.append(Bulk(f"9.{part}.{at}", 4 * MI // cut, text, fragment=fragment))
    for part, text in ((5, True), (6, False)):
        for at, chop in enumerate((64, 128, 256, 512, 1024, 2048), 1):
            found.append(Bulk(f"9.{part}.{at}", MI // cut, text, chop=chop))
    for part, text in ((7, True), (8, False)):
        for at, size in enumerate((0, 16, 64, 256, 1024, 4096), 1):
            found.append(Bulk(f"9.{part}.{at}", size, text, count=count))
    found.append(Bulk("10.1.1", 65536, text=True, fragment=1300))
    sizes = [(16 << at, 0) for at in (0, 2, 4, 6, 8, 9, 10, 11, 12, 13)]
    sizes += [(8192 << at, 256) for at in range(5)]
    sizes += [(131072, fragment) for fragment in (1024, 4096, 32768)]
    for part, data in enumerate(("json", "bitmap", "prose", "html", "noise"), 1):
        for at, (size, fragment) in enumerate(sizes, 1):
            number, text = f"12.{part}.{at}", data in {"json", "html"}
            offer = "permessage-deflate; client_max_window_bits"
            found.append(Bulk(number, size, text, count=count, fragment=fragment, data=data, offer=offer))
    plain, resets = "permessage-deflate", "permessage-deflate; server_no_context_takeover"
    offers = [
        plain,
        resets,
        f"{plain}; server_max_window_bits=8",
        f"{plain}; server_max_window_bits=15",
        f"{resets}; server_max_window_bits=8",
        f"{resets}; server_max_window_bits=15",
        f"{resets}; server_max_window_bits=8, {resets}, {plain}",
    ]
    for part, offer in enumerate(offers, 1):
        for at, (size, fragment) in enumerate(sizes, 1):
            number = f"13.{part}.{at}"
            found.append(
                Bulk(number, size, text=True, count=count, fragment=fragment, data="json", offer=offer)
            )
    return found


@functools.cache
def _data(kind: str) -> bytes:
    """Make about 200 KB of a kind, the same each time; text is ASCII, so that it can be cut anywhere."""
    chance = random.Random(kind)
    words = ["".join(chance.choices("etaoinshrdlucmfw", k=chance.randint(2, 9))) for _ in range(800)]
    prose = " ".join(chance.choices(words, k=36_000))
    if kind == "json":
        rows = [{"id": at, "name": word, "value": chance.random()} for at, word in enumerate(words * 5)]
        return json.dumps(rows).encode()
    if kind == "bitmap":
        return bytes(
            (row * column // 64 + chance.randint(0, 3)) & 0xFF for row in range(512) for column in range(512)
        )
    if kind == "html":
        return "".join(f"<li class='item'><a href='/{word}'>{word}</a></li>\n" for word in words * 5).encode()
    return chance.randbytes(200_000) if kind == "noise" else prose.encode()
