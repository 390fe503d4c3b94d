"""The PROXY protocol, versions 1 and 2 (HAProxy's): who the client of a forwarded connection is."""

from __future__ import annotations

from pierhead.protocols.proxy.header import ProxyError, ProxyHeader, ProxyReader

__all__ = ["ProxyError", "ProxyHeader", "ProxyReader"]
