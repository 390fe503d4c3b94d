"""SCGI (the protocol's specification of 2008): one request a connection, its variables in a netstring."""

from __future__ import annotations

from pierhead.protocols.scgi.codec import ScgiCodec

__all__ = ["ScgiCodec"]
