"""What is known of the TLS connection a request came over."""

from __future__ import annotations

import dataclasses
from typing import Any

__all__ = ["TLSInfo"]


@dataclasses.dataclass(frozen=True, slots=True)
class TLSInfo:
    """The facts of one TLS connection, as the TLS extension of ASGI names them; None is not known."""

    tls_version: int | None = None
    """The version's number in the protocol (RFC 8446, 4.1.2): 0x0304 for TLS 1.3."""
    cipher_suite: int | None = None
    """The number of the cipher suite in IANA's registry."""
    server_cert: str | None = None
    """The server's certificate in PEM."""
    client_cert_chain: tuple[str, ...] = ()
    """The client's certificate and those it was signed with, in PEM; empty where it sent none."""
    client_cert_name: str | None = None
    """The subject of the client's certificate as a distinguished name (RFC 4514)."""
    client_cert_error: str | None = None
    """Why the client's certificate is not valid; None where it is, or there is none."""

    def as_extension(self) -> dict[str, Any]:
        """Return what the extension `tls` of an ASGI scope says."""
        return dataclasses.asdict(self) | {"client_cert_chain": list(self.client_cert_chain)}
