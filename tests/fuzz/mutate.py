"""Makes new inputs of old ones, the same ones for the same seed."""

from __future__ import annotations

import random
from collections.abc import Sequence

__all__ = ["FRAMES", "HTTP", "Mutator"]

HTTP = [
    *(bytes([byte]) for byte in b'\r\n\t :;,="\\/?%#*@[]0159afxX+-_.\0\x01\x0b\x1f\x7f\x80\x85\xa0\xff'),
    b"\r\n",
    b"\r\n\r\n",
    b"\n\n",
    b" HTTP/1.1",
    b" HTTP/1.0",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b"ffffffffffffffff",
    b"Host: a\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n",
    b"Expect: 100-continue\r\n",
    b"X-Forwarded-For: 192.0.2.1\r\n",
    b"X-Request-Id: 7\r\n",
    b"X: y\r\n z\r\n",
    b"http://",
    b"[::1]:80",
    b"%00",
    b"%41",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
]
FRAMES = [
    *(
        bytes([byte])
        for byte in (0, 1, 2, 8, 9, 10, 0x7E, 0x7F, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8A, 0xC1, 0xFE, 0xFF)
    ),
    bytes(4),
    b"\x80" + bytes(4),
    b"\x81\x85" + bytes(4) + b"hello",
    b"\x01\x82" + bytes(4) + b"gr",
    b"\x80\x82" + bytes(4) + b"\xc3\xbc",
    b"\x89\x80" + bytes(4),
    b"\x88\x82" + bytes(4) + b"\x03\xe8",
    b"\xc1\x87" + bytes(4) + b"\xf2\x48\xcd\xc9\xc9\x07\x00",
    b"\x03\xed",
    b"\xed\xa0\x80",
]


class Mutator:
    """Draws inputs from `seeds` and changes them: bytes, words of the `dictionary`, parts of other inputs."""

    def __init__(self, seeds: Sequence[bytes], dictionary: Sequence[bytes], seed: int) -> None:
        self._inputs = list(seeds)
        self._dictionary = dictionary
        self.chance = random.Random(seed)

    def keep(self, data: bytes) -> None:
        """Draw from this input too: something new came of it."""
        self._inputs.append(data)

    def draw(self) -> bytes:
        """Return a new input."""
        chance = self.chance
        data = bytearray(chance.choice(self._inputs))
        for _ in range(chance.choice((1, 1, 1, 2, 3, 5))):
            at = chance.randint(0, len(data))
            end = min(len(data), at + chance.choice((0, 1, 1, 2, 8, 32)))
            kind = chance.randrange(6)
            if kind == 0 and data:
                place = min(at, len(data) - 1)
                data[place] ^= 1 << chance.randrange(8)
            elif kind == 1:
                del data[at:end]
            elif kind == 2:
                data[at:at] = data[at:end]
            elif kind == 3:
                other = chance.choice(self._inputs)
                cut = chance.randint(0, len(other))
                data[at:end] = other[cut : cut + chance.randint(0, 64)]
            else:
                data[at:end] = chance.choice(self._dictionary)
        return bytes(data)
