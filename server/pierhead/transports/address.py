"""The addresses of sockets, as requests have them."""

from __future__ import annotations

from pierhead.messages.request import Address

__all__ = ["peer_address"]


def peer_address(name: object) -> Address:
    """Turn a socket's name into an Address; a unix socket's is "unix:" and its path."""
    if isinstance(name, tuple):
        return Address(name[0], name[1])
    return Address(f"unix:{name}" if isinstance(name, str) else "unix:", None)
