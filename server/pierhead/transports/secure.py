"""Listeners that are more than a socket: with TLS, with a PROXY header before it, or with both."""

from __future__ import annotations

import socket as socket_module
from functools import partial
from typing import TYPE_CHECKING, Any

from pierhead.transports.acceptor import Acceptor, Share
from pierhead.transports.descriptors import connection_budget
from pierhead.transports.proxied import ProxiedConnection, ProxiedTlsConnection, ProxyAcceptor
from pierhead.transports.tls import TlsConnection, load_certificates

if TYPE_CHECKING:
    from pierhead.config.listen import ListenURL
    from pierhead.transports.server import Server

__all__ = ["accept_securely"]


def accept_securely(
    server: Server, socket: socket_module.socket, listener: ListenURL, share: Share | None
) -> Acceptor:
    """Accept connections on a bound socket; raises OSError, and CertificateError as `load_certificates`."""
    budget = connection_budget()
    if listener.protocol != "https":
        return ProxyAcceptor(server, socket, partial(ProxiedConnection, server), share, budget)
    certificates = load_certificates(server.settings)
    if certificates.tick not in server.chores:
        server.chores.append(certificates.tick)
    options: dict[str, Any] = {
        "ssl": certificates.context,
        "ssl_handshake_timeout": server.settings.tls_handshake_timeout_s,
    }
    if listener.proxy_protocol:
        make = partial(ProxiedTlsConnection, server, certificates)
        return ProxyAcceptor(server, socket, make, share, budget, **options)
    return Acceptor(server, socket, partial(TlsConnection, server, certificates), share, budget, **options)
