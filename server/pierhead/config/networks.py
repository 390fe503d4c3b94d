"""Networks of trusted peers: CIDR, single addresses, and the words loopback, private, all and none."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

__all__ = ["Network", "parse_networks"]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_WORDS = {
    "loopback": ("127.0.0.0/8", "::1/128"),
    "private": (
        "127.0.0.0/8",
        "::1/128",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "fc00::/7",
        "fe80::/10",
    ),
    "all": ("0.0.0.0/0", "::/0"),
    "none": (),
}


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Return the networks that `texts` name; raises ValueError that says which is none and why."""
    networks: list[Network] = []
    for text in texts:
        for item in _WORDS.get(text, (text,)):
            try:
                networks.append(ipaddress.ip_network(item))
            except ValueError as error:
                raise ValueError(
                    f"{item!r} is no network ({error}): use 10.0.0.0/8, ::1, loopback, private, all or none"
                ) from None
    return tuple(networks)
