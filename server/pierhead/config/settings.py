"""Settings: every knob of the server, with its default, its unit in its name, and what it is for."""

from __future__ import annotations

import dataclasses
import enum
import importlib.util
from functools import partial
from typing import Any, cast

from pierhead.errors import ConfigError

__all__ = [
    "HTTP2_MISSING",
    "MOST_LISTENERS",
    "MOST_WORKERS",
    "Kind",
    "Knob",
    "Settings",
    "knobs",
    "limits",
    "speaks_http2",
]

HTTP2_MISSING = "the library h2 is not installed: pip install 'pierhead[http2]', or set http2 to auto"

MOST_WORKERS = 250
"""In one server: with those that leave meanwhile, they fit on the board."""


MOST_LISTENERS = 60
"""In one server: the board has room for the connections of each."""


class Kind(enum.Enum):
    """How a value is written."""

    TEXT = "text"
    FLAG = "true or false"
    COUNT = "a whole number"
    SIZE = "a size such as 65536, 64KiB or 16MB"
    DURATION = "a time such as 30, 30s, 1.5m or 500ms"
    LIST = "a list"
    MODE = "an octal mode such as 022"


@dataclasses.dataclass(frozen=True, slots=True)
class Knob:
    """What is known of one setting beyond its value."""

    name: str
    default: Any
    kind: Kind
    help: str
    minimum: float
    choices: tuple[str, ...]
    zero: str
    """What 0 stands for; "" where it is a number like others."""
    optional: bool
    """Whether an empty value means something: that there is none."""
    per_listener: bool
    """Whether a listener may have another value (`http://host:port?name=value`)."""


def knob(
    default: Any,
    kind: Kind,
    help: str,  # noqa: A002 - as in argparse
    *,
    minimum: float = 0,
    choices: tuple[str, ...] = (),
    zero: str = "",
    optional: bool = False,
    per_listener: bool = False,
) -> Any:
    """Return a dataclass field for a setting; the arguments are those of `Knob`."""
    about = {
        "kind": kind,
        "help": help,
        "minimum": minimum,
        "choices": choices,
        "zero": zero,
        "optional": optional,
        "per_listener": per_listener,
    }
    return dataclasses.field(default=default, metadata=about)


limit = partial(knob, per_listener=True)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The effective configuration of one server."""

    # What is served
    app: str = knob(
        "",
        Kind.TEXT,
        "the application: module:attribute, path/file.py:attribute, or a file of several",
        optional=True,
    )
    app_dir: str | None = knob(
        None, Kind.TEXT, "where modules are looked for first; the current directory if unset", optional=True
    )
    strict: bool = knob(False, Kind.FLAG, "of several applications none may fail to load or to start")
    interface: str = knob(
        "auto",
        Kind.TEXT,
        "how the application is called; auto finds out",
        choices=("auto", "native", "asgi", "wsgi"),
    )
    factory: bool = knob(False, Kind.FLAG, "call the attribute to get the application")

    # Where
    listen: tuple[str, ...] = knob(
        ("http://127.0.0.1:8080",),
        Kind.LIST,
        "listeners: http://host:port (port 0: any that is free), http://unix:/path?mode=660, https://..., "
        "fastcgi://..., scgi://..., fd://3, stdio:; each may have limits of its own, ?max_body_bytes=1MiB",
    )
    backlog: int = knob(2048, Kind.COUNT, "connections the kernel holds until they are accepted", minimum=1)

    http2: str = knob(
        "auto",
        Kind.TEXT,
        "whether HTTP/2 is spoken on http:// and https://; auto: where pierhead[http2] is installed",
        choices=("auto", "on", "off"),
    )

    tls_certificate: tuple[str, ...] = knob(
        (),
        Kind.LIST,
        "PEM files for https://, each a certificate with its chain; the first is for names no other is for",
        optional=True,
    )
    tls_key: tuple[str, ...] = knob(
        (),
        Kind.LIST,
        "PEM files with their keys, in the same order; unset: they are in the certificates' files",
        optional=True,
    )
    tls_minimum_version: str = knob(
        "1.2", Kind.TEXT, "the least version of TLS that is spoken", choices=("1.2", "1.3")
    )
    tls_client_ca: str | None = knob(
        None, Kind.TEXT, "PEM file of who signs clients' certificates; then each must have one", optional=True
    )

    # Processes
    workers: int = knob(0, Kind.COUNT, "worker processes", zero="as many as there are cores available")
    loop: str = knob(
        "auto",
        Kind.TEXT,
        "the event loop; auto is uvloop where it is installed",
        choices=("auto", "uvloop", "asyncio"),
    )
    threads: int = knob(
        40, Kind.COUNT, "`def` handlers that run at the same time in a worker; more wait", minimum=1
    )
    isolation: str = knob(
        "off",
        Kind.TEXT,
        "process: each request of the application runs in a process of its own (docs/isolation.md)",
        choices=("off", "process"),
    )
    isolation_min_processes: int = knob(
        1, Kind.COUNT, "isolated processes a worker has ready at least", minimum=1
    )
    isolation_max_processes: int = knob(
        16, Kind.COUNT, "of them at the most, each for one request at a time; more wait", minimum=1
    )
    isolation_idle_timeout_s: float = knob(
        5.0, Kind.DURATION, "one beyond the least number may be idle, then it leaves", minimum=0.01
    )
    isolation_timeout_s: float = knob(
        60.0,
        Kind.DURATION,
        "for an isolated request to begin or go on with its response, else 504 and its process is killed",
        zero="no limit",
    )
    isolation_max_queued: int = knob(100, Kind.COUNT, "requests that wait for a process; one more gets 503")
    isolation_queue_timeout_s: float = knob(
        10.0, Kind.DURATION, "a request waits for a process, then it gets 503", zero="for ever"
    )
    reload: bool = knob(False, Kind.FLAG, "reload when a source file changes: for development")
    reload_dirs: tuple[str, ...] = knob(
        (), Kind.LIST, "folders watched by reload; app_dir if unset", optional=True
    )
    start_timeout_s: float = knob(60.0, Kind.DURATION, "for all workers to be ready", minimum=0.1)
    drain_timeout_s: float = knob(
        30.0, Kind.DURATION, "for requests in progress to finish when a worker is stopped or replaced"
    )
    hang_timeout_s: float = knob(
        30.0,
        Kind.DURATION,
        "a worker's event loop may be blocked, or the worker stopped, until it is replaced",
        zero="for ever",
    )
    max_requests: int = knob(0, Kind.COUNT, "a worker answers until it is replaced", zero="no limit")
    max_worker_age_s: float = knob(0, Kind.DURATION, "a worker lives until it is replaced", zero="no limit")
    max_worker_memory_bytes: int = knob(
        0, Kind.SIZE, "resident in a worker until it is replaced", zero="no limit"
    )
    limit_jitter_percent: int = knob(
        10, Kind.COUNT, "by which max_requests and max_worker_age_s differ at most between workers"
    )
    pid_file: str | None = knob(None, Kind.TEXT, "file to write the master's process id to", optional=True)
    control_socket: str = knob(
        "auto",
        Kind.TEXT,
        "unix socket for `pierhead status`, `top` and `reload`; auto: in XDG_RUNTIME_DIR, or the temporary "
        "folder; empty: none",
        optional=True,
    )
    user: str | None = knob(
        None, Kind.TEXT, "user to run the application as, when started as root", optional=True
    )
    group: str | None = knob(
        None, Kind.TEXT, "group to run the application as, when started as root", optional=True
    )
    umask: int | None = knob(None, Kind.MODE, "file mode creation mask of the application", optional=True)

    metrics_listen: str = knob(
        "",
        Kind.TEXT,
        "listener for Prometheus' GET /metrics, apart from the application's, as http://127.0.0.1:9100; "
        "empty: none",
        optional=True,
    )

    # Deadlines
    keep_alive_timeout_s: float = limit(
        75.0, Kind.DURATION, "a connection may be idle between requests", minimum=0.1
    )
    first_byte_timeout_s: float = limit(
        10.0, Kind.DURATION, "for a new connection to send anything, else it is closed", minimum=0.1
    )
    head_timeout_s: float = limit(10.0, Kind.DURATION, "for a request head to arrive, else 408", minimum=0.1)
    body_timeout_s: float = limit(
        60.0, Kind.DURATION, "between two pieces of a request body, else 408", minimum=0.1
    )
    tls_handshake_timeout_s: float = limit(10.0, Kind.DURATION, "for TLS to be established", minimum=0.1)
    min_body_rate_bytes: int = limit(
        256,
        Kind.SIZE,
        "a second of a request body, while the application waits for it for more than body_timeout_s in all; "
        "else 408",
        zero="no minimum",
    )
    write_timeout_s: float = limit(
        60.0, Kind.DURATION, "for a client to take what it is sent, else it is cut off", minimum=0.1
    )
    handler_timeout_s: float = limit(
        120.0, Kind.DURATION, "for the application to begin its response, else 504", zero="no limit"
    )
    websocket_ping_interval_s: float = limit(
        20.0, Kind.DURATION, "of silence before a WebSocket is pinged", zero="never"
    )
    websocket_ping_timeout_s: float = limit(
        20.0, Kind.DURATION, "for a WebSocket to answer a ping, else it is cut off", minimum=0.1
    )

    # Limits
    max_connections: int = limit(
        10_000, Kind.COUNT, "connections at a time in all workers; one more gets 503", minimum=1
    )
    max_connections_per_client: int = limit(
        1000,
        Kind.COUNT,
        "connections of one address (IPv6: /64) at a time in all workers, but for trusted_proxies; one more "
        "gets 429",
        zero="no limit",
    )
    max_in_flight: int = limit(
        8000,
        Kind.COUNT,
        "requests, event streams and WebSockets in progress in a worker; more wait",
        zero="no limit",
    )
    max_queued: int = limit(1000, Kind.COUNT, "of them that wait in a worker; one more gets 503")
    queue_timeout_s: float = limit(10.0, Kind.DURATION, "a request waits, then it gets 503", zero="for ever")
    max_line_bytes: int = limit(8 << 10, Kind.SIZE, "of a request line, else 414", minimum=64)
    max_head_bytes: int = limit(32 << 10, Kind.SIZE, "of a request head, else 431", minimum=128)
    max_headers: int = limit(100, Kind.COUNT, "of a request, else 431", minimum=1)
    max_http2_streams: int = limit(
        100,
        Kind.COUNT,
        "requests at a time on a connection by HTTP/2; more are refused, to be repeated",
        minimum=1,
    )
    max_body_bytes: int = limit(128 << 20, Kind.SIZE, "of a request body, else 413")
    max_buffered_body_bytes: int = limit(
        8 << 20, Kind.SIZE, "of a body that a handler asks for as a whole, else 413"
    )
    max_form_fields: int = limit(1000, Kind.COUNT, "fields and files in a form, else 413", minimum=1)
    max_form_files: int = limit(100, Kind.COUNT, "files in a form, else 413")
    max_form_memory_bytes: int = limit(1 << 20, Kind.SIZE, "of a form without its files, else 413")
    max_spool_memory_bytes: int = limit(
        64 << 10, Kind.SIZE, "an uploaded file may take in memory; larger ones go to spool_dir"
    )
    spool_dir: str | None = knob(
        None, Kind.TEXT, "folder for uploads; the system's temporary one if unset", optional=True
    )
    max_websocket_message_bytes: int = limit(
        16 << 20, Kind.SIZE, "of a WebSocket message, else the close code 1009", minimum=1
    )
    max_websocket_fragments: int = limit(
        100_000, Kind.COUNT, "frames of a WebSocket message, else the close code 1009", minimum=1
    )
    websocket_compression: bool = limit(True, Kind.FLAG, "permessage-deflate, for clients that offer it")

    # What is said and believed
    trusted_proxies: tuple[str, ...] = knob(
        ("loopback",),
        Kind.LIST,
        "who is believed about clients: networks, loopback, private, all, none",
        optional=True,
    )
    server_header: str = knob("pierhead", Kind.TEXT, "the Server field; empty: none", optional=True)
    date_header: bool = knob(True, Kind.FLAG, "send the Date field")
    request_id_header: str = knob(
        "X-Request-Id", Kind.TEXT, "field with a proxy's request id; empty: none", optional=True
    )
    health_path: str = knob(
        "/healthz", Kind.TEXT, "path that answers 200 while a worker lives; empty: none", optional=True
    )
    ready_path: str = knob(
        "/readyz",
        Kind.TEXT,
        "path that answers 200, but 503 once a worker is stopping; empty: none",
        optional=True,
    )

    # Logs
    access_log: str = knob("-", Kind.TEXT, "file for a line per request; -: standard output; off: none")
    access_log_format: str = knob(
        "text", Kind.TEXT, "how the access log is written", choices=("text", "json")
    )
    log_level: str = knob(
        "info",
        Kind.TEXT,
        "least level in the server's log, on standard error",
        choices=("debug", "info", "warning", "error", "critical"),
    )
    log_format: str = knob("text", Kind.TEXT, "how the server's log is written", choices=("text", "json"))


def speaks_http2(settings: Settings) -> bool:
    """Tell whether HTTP/2 is spoken: where it may be, and its library is installed; which is not loaded yet.

    Raises ConfigError where it has to be and cannot.
    """
    installed = importlib.util.find_spec("h2") is not None
    if settings.http2 == "on" and not installed:
        raise ConfigError(f"http2 = 'on': {HTTP2_MISSING}")
    return installed and settings.http2 != "off"


def unpacked(values: dict[str, Any]) -> Settings | None:
    """Return the settings that another process has sent as JSON; None for those of another version."""
    if values.keys() != {field.name for field in dataclasses.fields(Settings)}:
        return None
    found: dict[str, Any] = {
        name: tuple(one) if isinstance(one, list) else one for name, one in values.items()
    }
    return Settings(**found)


def knobs(of: type[Any] = Settings) -> dict[str, Knob]:
    """Return what is known of each setting of a class of them, by its name and in their order."""
    return {
        field.name: Knob(name=field.name, default=field.default, **cast("dict[str, Any]", field.metadata))
        for field in dataclasses.fields(of)
        if field.metadata
    }


def limits() -> dict[str, Knob]:
    """Return what is known of each setting that a listener may have another value of."""
    return {name: knob for name, knob in knobs().items() if knob.per_listener}
