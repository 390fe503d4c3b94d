"""Pierhead: a small, strict, fast HTTP/1.1 and WebSocket application server."""
