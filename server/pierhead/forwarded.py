"""Who really asked: what trusted proxies say about the client, and nothing of what others claim.

One code path reads Forwarded (RFC 7239) and X-Forwarded-For, -Proto, -Host, -Port, -Prefix and X-Real-IP.
A peer that is no trusted proxy has these fields removed from its requests, in any spelling. `Proxy` is always
removed: programs that get headers as variables would take it for HTTP_PROXY.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import TYPE_CHECKING, NamedTuple

from pierhead.config.networks import parse_networks
from pierhead.messages.request import Address
from pierhead.protocols.http1.grammar import AUTHORITY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pierhead.config import Settings
    from pierhead.messages.headers import Headers
    from pierhead.messages.request import Request

__all__ = ["WARY", "WATCHED", "Forwarding"]

_FORWARDING_NAME = re.compile(rb"(?:x[-_])?forwarded(?:[-_].*)?|x[-_]real[-_].*|proxy", re.IGNORECASE)
# Whether a lower-case header section has any of these at all: a literal start makes this search fast.
_HINT = re.compile(rb"\n(?:x[-_](?:forwarded|real)|forwarded|proxy:)")
_X_FIELDS = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port")
_X_FAMILY = frozenset({*_X_FIELDS, b"x-forwarded-prefix", b"x-real-ip"})
WATCHED = (*_X_FIELDS, b"x-forwarded-prefix")
"""The fields whose values `apply_watched` takes: all that most proxies send."""
WARY = (b"x-forwarded", b"x_forwarded", b"x-real", b"x_real", b"forwarded", b"proxy")
"""How the names of all fields begin that `apply` believes or removes."""
_READ = _X_FAMILY | {b"forwarded", b"proxy"}
_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_NODE = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::([0-9]{1,5}))?")
_PREFIX = re.compile(r"(?:/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})++)*+/?")
_MAX_PORT = 65535
# A value that should be quoted (RFC 7239, 4) but often is not, as in for=192.0.2.1:80, is taken as well.
_PAIR = re.compile(
    r"[ \t]*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=(?:\"((?:[^\"\\]|\\.)*)\"|([^\s;,\"]*))[ \t]*(;|,|$)"
)
_REMEMBERED = 4096


Claims = dict[bytes, str]


class _Facts(NamedTuple):
    """What a proxy says; None where it says nothing that can be used."""

    client: Address | None = None
    scheme: str | None = None
    host: str | None = None
    port: int | None = None
    prefix: str | None = None


class Forwarding:
    """Applies what `settings.trusted_proxies` say about the clients they forward for."""

    def __init__(self, settings: Settings) -> None:
        self._networks = parse_networks(settings.trusted_proxies)
        words = set(settings.trusted_proxies)
        # Who may connect to a unix socket is decided by the modes of its file; it never leaves the machine.
        self._trusts_unix = bool(words & {"loopback", "private", "all"})
        self._networks_v4 = [
            (int(network.network_address), int(network.netmask))
            for network in self._networks
            if network.version == 4
        ]
        self._known: dict[str, bool] = {}
        self._remembered: dict[Sequence[bytes | None], _Facts] = {}

    def trusts(self, peer: Address) -> bool:
        """Tell whether `peer` is a trusted proxy."""
        host = peer.host
        known = self._known.get(host)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = self._known[host] = self._looks_trusted(host)
        return known

    def apply(self, request: Request, section: bytes | None = None) -> None:
        """Correct `request` by what a trusted peer says, or remove what another one claims.

        It may change client, scheme, server port, root path, and the Host field. `section` is the header
        section as received: without any of the fields in it nothing is split and nothing done.
        """
        if section is not None and not _HINT.search(b"\n" + section.lower()):
            return
        headers = request.headers
        if request.client is None or not self.trusts(request.client):
            headers.raw[:] = [line for line in headers.raw if not _FORWARDING_NAME.fullmatch(line[0])]
            return
        claims = _collect(headers)
        if b"proxy" in claims:
            del headers["Proxy"]
        facts = self._facts(claims)
        if facts.host is not None:
            headers["Host"] = facts.host
        _correct(request, facts)

    def apply_watched(self, request: Request, host: bytes, values: Sequence[bytes | None]) -> None:
        """Correct `request` by the `values` of WATCHED, each from one line, that a trusted peer sent.

        `host` is its Host field. What the same client sends again and again is remembered: the facts, not the
        request.
        """
        facts = self._remembered.get(values)
        if facts is None:
            claims = {
                name: value.decode("latin-1")
                for name, value in zip(WATCHED, values, strict=True)
                if value is not None
            }
            facts = self._x_facts(claims)
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[values] = facts
        if facts.host is not None and facts.host.encode("latin-1") != host:
            request.headers["Host"] = facts.host
        _correct(request, facts)

    def _facts(self, claims: Claims) -> _Facts:
        """Read both families of fields.

        Where a request has both, most likely one is the proxy's and the other the client's own, which the
        proxy passed on. Which is which cannot be seen, so only that counts in which they agree.
        """
        if b"forwarded" not in claims:
            return self._x_facts(claims)
        standard = self._standard_facts(claims[b"forwarded"])
        if not claims.keys() & _X_FAMILY:
            return standard
        other = self._x_facts(claims)
        same_client = standard.client and other.client and standard.client.host == other.client.host
        return _Facts(
            client=standard.client if same_client else None,
            scheme=standard.scheme if standard.scheme == other.scheme else None,
            host=standard.host if standard.host == other.host else None,
        )

    def _x_facts(self, claims: Claims) -> _Facts:
        chain, scheme, host, port = [_split(claims.get(name)) for name in _X_FIELDS]
        client, hops = self._walk(chain or _split(claims.get(b"x-real-ip")))
        return _Facts(
            client=client,
            scheme=_SCHEMES.get(_pick(scheme, hops).lower()),
            host=_host(_pick(host, hops)),
            port=_port(_pick(port, hops)),
            prefix=_prefix(_pick(_split(claims.get(b"x-forwarded-prefix")), hops)),
        )

    def _standard_facts(self, value: str) -> _Facts:
        elements = _elements(value)
        if not elements:
            return _Facts()
        client, hops = self._walk([element.get("for", "unknown") for element in elements])
        element = elements[-1 - hops]
        return _Facts(
            client=client,
            scheme=_SCHEMES.get(element.get("proto", "").lower()),
            host=_host(element.get("host", "")),
        )

    def _walk(self, chain: Sequence[str]) -> tuple[Address | None, int]:
        """Go from the nearest hop to the client: past trusted proxies, up to the first that is none.

        Returns its address, and how many hops from the right it stands. What stands left of it was there
        already when it sent the request, so it may be invented. "unknown" and invented names end the way.
        """
        client, hops = None, 0
        for position, node in enumerate(reversed(chain)):
            address = _node(node)
            if address is None:
                break
            client, hops = address, position
            if not self.trusts(address):
                break
        return client, hops

    def _looks_trusted(self, host: str) -> bool:
        if host.startswith("unix:"):
            return self._trusts_unix
        packed = _ipv4(host)
        if packed is not None:
            number = int.from_bytes(packed)
            return any(number & mask == network for network, mask in self._networks_v4)
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)


def _correct(request: Request, facts: _Facts) -> None:
    """Put everything but the Host field right."""
    if facts.client is not None:
        request.client = facts.client
    if facts.scheme is not None:
        request.scheme = facts.scheme
    if facts.port is not None and request.server is not None:
        # Never added to a host: the one the client named has the port the client used, and behind
        # published ports and load balancers the proxy's own is another one.
        request.server = Address(request.server.host, facts.port)
    if facts.prefix is not None:
        request.root_path = facts.prefix


def _ipv4(text: str) -> bytes | None:
    """Read an IPv4 address in its one canonical form, several times as fast as `ipaddress` does."""
    try:
        packed = socket.inet_pton(socket.AF_INET, text)
    except (OSError, ValueError):
        return None
    return packed if socket.inet_ntop(socket.AF_INET, packed) == text else None


def _collect(headers: Headers) -> Claims:
    """Return the forwarding fields by lower-case name, the lines of one name joined (RFC 9110, 5.3)."""
    claims: Claims = {}
    for name, value in headers.raw:
        lower = name.lower()
        if lower in _READ:
            text = value.decode("latin-1")
            claims[lower] = f"{claims[lower]}, {text}" if lower in claims else text
    return claims


def _split(value: str | None) -> list[str]:
    return [part.strip() for part in value.split(",")] if value else []


def _pick(values: Sequence[str], hops: int) -> str:
    """Return the value of the hop that the client was found at: a list has one for each, from the right."""
    return values[-1 - min(hops, len(values) - 1)] if values else ""


def _node(text: str) -> Address | None:
    """Read an address, with or without a port (RFC 7239, 6); None for "unknown" and invented names.

    An IPv6 zone (RFC 4007, 11) is none of ours to know, and Python takes any text at all for one.
    """
    if _ipv4(text) is not None:
        return Address(text, None)
    port = None
    if match := _NODE.fullmatch(text):
        text = match[1] or match[2]
        if match[3]:
            port = _port(match[3])
            if port is None:
                return None
    if "%" in text:
        return None
    try:
        return Address(str(ipaddress.ip_address(text)), port)
    except ValueError:
        return None


def _port(text: str) -> int | None:
    port = int(text) if re.fullmatch("[0-9]{1,5}", text) else 0
    return port if 0 < port <= _MAX_PORT else None


def _host(text: str) -> str | None:
    return text if text and AUTHORITY.fullmatch(text.encode("latin-1", "replace")) else None


def _prefix(text: str) -> str | None:
    """Check a path prefix: none that would make links of it point to another host or elsewhere."""
    if not text or not _PREFIX.fullmatch(text):
        return None
    if {".", ".."} & set(text.lower().replace("%2e", ".").split("/")):  # to a browser %2e is a dot
        return None
    return text.rstrip("/")


def _elements(value: str) -> list[dict[str, str]]:
    """Read a Forwarded value: one dictionary for each hop; none at all where it is malformed."""
    elements: list[dict[str, str]] = [{}]
    position = 0
    while position < len(value):
        match = _PAIR.match(value, position)
        if match is None:
            return []
        name, quoted, plain, end = match.groups()
        name = name.lower()
        if name in elements[-1]:  # each at most once (RFC 7239, 4)
            return []
        elements[-1][name] = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        if end == ",":
            elements.append({})
        position = match.end()
    return elements
