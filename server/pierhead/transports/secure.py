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
    from pierhead.transports.limits import ListenerLimits
    from pierhead.transports.server import Server

__all__ = ["accept_securely"]


def accept_securely(
    server: Server,
    limits: ListenerLimits,
    socket: socket_module.socket,
    listener: ListenURL,
    share: Share | None,
) -> Acceptor:
    """Accept connections on a bound socket; raises OSError, and CertificateError as `load_certificates`."""
    budget = connection_budget()
    settings = limits.settings
    if listener.protocol != "https":
        connect = partial(ProxiedConnection, server, limits)
        return ProxyAcceptor(server, socket, connect, share, budget, settings.head_timeout_s)
    certificates = load_certificates(settings)
    if certificates.tick not in server.chores:
        server.chores.append(certificates.tick)
    options: dict[str, Any] = {
        "ssl": certificates.context,
        "ssl_handshake_timeout": settings.tls_handshake_timeout_s,
    }
    if listener.proxy_protocol:
        proxied = partial(ProxiedTlsConnection, server, limits, certificates)
        return ProxyAcceptor(server, socket, proxied, share, budget, settings.head_timeout_s, **options)
    make = partial(TlsConnection, server, limits, certificates)
    return Acceptor(server, socket, make, share, budget, **options)
