"""Counts the connections of each client that are open at the same time, in all workers of a server.

Each worker has a table on the board, of what it has from whom, which the others look into. It is a hash table
of words: 48 bits of a client's hash and 16 of its connections. A word is written at once, and nothing locked.
As a worker writes its own before it reads the others', two that take a connection at once both see one too
many, rather than neither. A client that has no place counts in its own worker only.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from typing import TYPE_CHECKING

from pierhead.board import CROWD

if TYPE_CHECKING:
    from pierhead.transports.acceptor import Share

__all__ = ["Crowd", "client_key"]

_PROBES = 16
_MOST = 0xFFFF


class Crowd:
    """The clients of all listeners (`place` 0), or of one that has a limit of its own (from 1 on)."""

    def __init__(self, share: Share | None = None, place: int = 0) -> None:
        self._share = share
        self._place = place
        self._counts: Counter[str] = Counter()

    def come(self, who: str) -> int:
        """Count a connection of `who`; returns how many there are now, in all workers."""
        self._counts[who] = count = self._counts[who] + 1
        share = self._share
        if share is None:
            return count
        key = self._key(who)
        _write(share.crowd, key, count)
        return count + sum(_read(crowd, key) for crowd in share.crowds)

    def go(self, who: str) -> None:
        """Count a connection of `who` no more."""
        self._counts[who] = count = self._counts[who] - 1
        if not count:
            del self._counts[who]
        if self._share is not None:
            _write(self._share.crowd, self._key(who), count)

    def _key(self, who: str) -> int:
        import hashlib  # only now: a program for one request is started often

        digest = hashlib.blake2b(who.encode(), digest_size=6, salt=bytes([self._place])).digest()
        return int.from_bytes(digest, "big") or 1


def client_key(host: str) -> str:
    """Return whom an address stands for: of IPv6 one client usually has all of a /64."""
    if ":" not in host or host.startswith("unix:"):
        return host
    try:
        return str(ipaddress.ip_network((host.partition("%")[0], 64), strict=False))
    except ValueError:
        return host


def _read(crowd: memoryview, key: int) -> int:
    for index in range(key, key + _PROBES):
        word = crowd[index % CROWD]
        if word >> 16 == key:
            return word & _MOST
        if not word:  # never used: nobody is behind it
            return 0
    return 0


def _write(crowd: memoryview, key: int, count: int) -> None:
    """Write a count where the key is, or else into the first place that is free."""
    free = -1
    for index in range(key, key + _PROBES):
        word = crowd[index % CROWD]
        if word >> 16 == key:
            crowd[index % CROWD] = key << 16 | min(count, _MOST)
            return
        if free < 0 and not word & _MOST:
            free = index % CROWD
        if not word:
            break
    if free >= 0 and count:
        crowd[free] = key << 16 | min(count, _MOST)
