"""What the standard library does not say of a certificate: the names it is for (RFC 5280, 4.2.1.6)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["alternative_names", "distinguished_name"]

_SUBJECT_ALT_NAME = bytes.fromhex("0603551d11")  # the object identifier 2.5.29.17, encoded
_OCTET_STRING = 0x04
_DNS_NAME, _IP_ADDRESS = 0x82, 0x87

# RFC 4514, 3; others are written as they are called.
_SHORT = {
    "commonName": "CN",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "streetAddress": "STREET",
    "domainComponent": "DC",
    "userId": "UID",
}
_ESCAPED = {ord(character): f"\\{character}" for character in '",+;<>\\'}


def alternative_names(der: bytes) -> list[str]:
    """Return the DNS names and addresses a certificate is for; none where it does not say so."""
    at = der.find(_SUBJECT_ALT_NAME)
    if at < 0:
        return []
    names = []
    for tag, value in _elements(der[at + len(_SUBJECT_ALT_NAME) :]):
        if tag == _OCTET_STRING:  # after perhaps a BOOLEAN: whether it is critical
            for _, sequence in _elements(value):
                for kind, name in _elements(sequence):
                    if kind == _DNS_NAME:
                        names.append(name.decode("ascii", "replace"))
                    elif kind == _IP_ADDRESS and len(name) in {4, 16}:
                        names.append(str(ipaddress.ip_address(name)))
            break
    return names


def distinguished_name(certificate: Mapping[str, Any] | None) -> str | None:
    """Write the subject of a certificate, as `ssl.SSLSocket.getpeercert` has it, as text (RFC 4514)."""
    if not certificate:
        return None
    parts = []
    for relative in reversed(certificate.get("subject", ())):
        pairs = (f"{_SHORT.get(name, name)}={value.translate(_ESCAPED)}" for name, value in relative)
        parts.append("+".join(pairs))
    return ",".join(parts)


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of the elements that follow each other (X.690, 8.1); ends where they do."""
    at = 0
    while at + 2 <= len(der):
        tag, length, at = der[at], der[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(der[at : at + size], "big")
            at += size
        yield tag, der[at : at + length]
        at += length
