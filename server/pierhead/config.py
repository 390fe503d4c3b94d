"""Settings: every knob of the server, with its default, its unit in its name, and what it is for."""

from __future__ import annotations

import dataclasses

__all__ = ["Settings"]


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """The effective configuration of one server."""

    app: str = ""
    listen: tuple[str, ...] = ("http://127.0.0.1:8080",)
    threads: int = 40
    keep_alive_timeout_s: float = 75.0
    head_timeout_s: float = 10.0
    body_timeout_s: float = 60.0
    write_timeout_s: float = 60.0
    handler_timeout_s: float = 120.0
    websocket_ping_interval_s: float = 20.0
    websocket_ping_timeout_s: float = 20.0
    websocket_compression: bool = True
    drain_timeout_s: float = 30.0
    max_body_bytes: int = 128 << 20
    max_buffered_body_bytes: int = 8 << 20
    max_spool_memory_bytes: int = 64 << 10
    spool_dir: str | None = None
    max_form_fields: int = 1000
    max_form_memory_bytes: int = 1 << 20
    max_head_bytes: int = 32 << 10
    max_line_bytes: int = 8 << 10
    max_headers: int = 100
    max_connections: int = 10_000
    max_websocket_message_bytes: int = 16 << 20
    backlog: int = 2048
    server_header: str = "pierhead"
    date_header: bool = True
    request_id_header: str = "X-Request-Id"
