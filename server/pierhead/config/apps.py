"""Several applications in one file: `[apps.NAME]` tables, each with its place and its limits."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pierhead.config.settings import Kind, knob, knobs
from pierhead.config.values import parse_value
from pierhead.errors import ConfigError

__all__ = ["PROGRAMS", "AppSettings", "parse_apps", "read_apps", "read_toml"]

_PATH = re.compile(r"(?:/[A-Za-z0-9\-._~!$&'()*+,;=:@]+)+")
_HOST = re.compile(
    r"(?:\*\.)?(?:[a-z0-9_](?:[a-z0-9\-_]*[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9\-_]*[a-z0-9_])?|\[[0-9a-f:.]+\]"
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PROGRAMS = ("program:", "fastcgi://", "scgi://")
_OF_PROGRAMS = (
    "root", "index", "suffix", "variables", "timeout_s", "concurrency", "idle_connections", "interpreter",
)  # fmt: skip
_ISOLATION = tuple(name for name in knobs() if name.startswith("isolation"))
_OF_PYTHON = ("interface", "factory", "threads", *_ISOLATION)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AppSettings:
    """One application of several."""

    name: str
    """The name of its table."""
    folder: Path = Path()
    """Where relative paths begin: the folder of the file."""
    app: str = knob(
        "", Kind.TEXT, "module:attribute, file.py:attribute, program:path, fastcgi://... or scgi://..."
    )
    path: str = knob("/", Kind.TEXT, "the prefix of the paths it answers")
    hosts: tuple[str, ...] = knob(
        (), Kind.LIST, "the hosts it answers for, also *.example.org; any if unset", optional=True
    )
    app_dir: str | None = knob(
        None, Kind.TEXT, "where its modules are looked for first; the file's folder if unset", optional=True
    )
    interface: str = knob("auto", Kind.TEXT, "how it is called", choices=("auto", "native", "asgi", "wsgi"))
    factory: bool = knob(False, Kind.FLAG, "call the attribute to get the application")
    threads: int = knob(40, Kind.COUNT, "calls that may block at the same time", minimum=1)
    max_body_bytes: int = knob(0, Kind.SIZE, "of a request body, else 413", zero="the server's")
    handler_timeout_s: float = knob(0.0, Kind.DURATION, "to begin a response, else 504", zero="the server's")
    isolation: str = knob(
        "", Kind.TEXT, "off or process: each request in one of its own; the server's if unset", optional=True
    )
    isolation_min_processes: int = knob(0, Kind.COUNT, "such processes ready at least", zero="the server's")
    isolation_max_processes: int = knob(0, Kind.COUNT, "of them at the most", zero="the server's")
    isolation_idle_timeout_s: float = knob(0.0, Kind.DURATION, "idle until it leaves", zero="the server's")
    isolation_timeout_s: float = knob(0.0, Kind.DURATION, "to go on with a response", zero="the server's")
    isolation_max_queued: int = knob(0, Kind.COUNT, "requests that wait for one", zero="the server's")
    isolation_queue_timeout_s: float = knob(0.0, Kind.DURATION, "they wait, else 503", zero="the server's")
    root: str | None = knob(None, Kind.TEXT, "a program's folder of scripts", optional=True)
    index: str | None = knob(None, Kind.TEXT, "the script that answers what no other does", optional=True)
    suffix: str = knob("", Kind.TEXT, "what the names of scripts end with", optional=True)
    interpreter: tuple[str, ...] = knob((), Kind.LIST, "what runs a program:path", optional=True)
    timeout_s: float = knob(60.0, Kind.DURATION, "a program may be silent, else 504", minimum=0.1)
    concurrency: int = knob(16, Kind.COUNT, "processes or connections at the same time", minimum=1)
    idle_connections: int = knob(
        0, Kind.COUNT, "FastCGI connections that stay open for next requests, at most `concurrency`"
    )
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Added to a program's variables."""

    @property
    def is_program(self) -> bool:
        """Whether it is not Python, or not in this process."""
        return self.app.startswith(PROGRAMS)


_KNOBS = knobs(AppSettings)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; raises FileNotFoundError, and ConfigError for one that cannot be read."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    import tomllib  # few processes read a file

    try:
        return tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no valid TOML: {error}") from None


def read_apps(path: Path) -> list[AppSettings]:
    """Return the applications of a file; raises ConfigError that names the file, the key and the fix."""
    try:
        table = read_toml(path)
    except FileNotFoundError:
        raise ConfigError(f"there is no configuration file {path}") from None
    if "apps" not in table:
        raise ConfigError(f'{path}: there are no [apps.NAME] tables; write [apps.shop] with app = "shop:app"')
    return parse_apps(table["apps"], path)


def parse_apps(tables: object, path: Path) -> list[AppSettings]:
    """Check what stands below `apps` in the file at `path`; raises ConfigError."""
    if not isinstance(tables, dict) or not tables:
        raise ConfigError(f"{path}: apps: write a table for each application, such as [apps.shop]")
    apps = [_parse(name, table, path) for name, table in tables.items()]
    taken: dict[tuple[str, str], str] = {}
    for app in apps:
        for host in app.hosts or ("",):
            other = taken.setdefault((host, app.path), app.name)
            if other != app.name:
                where = f"{app.path} of {host}" if host else app.path
                raise ConfigError(
                    f"{path}: apps.{other} and apps.{app.name} are both at {where}: give one of them another "
                    "path or host"
                )
    return apps


def _hint(key: str) -> str:
    import difflib

    close = difflib.get_close_matches(key, [*_KNOBS, "variables"], 1)
    return f"did you mean {close[0]}?" if close else f"there are: {', '.join(_KNOBS)}, variables"


def _parse(name: str, table: object, path: Path) -> AppSettings:
    where = f"{path}: apps.{name}"
    if not isinstance(table, dict):
        raise ConfigError(f"{where} = {table!r}: write a table, [apps.{name}]")
    values: dict[str, Any] = {}
    for key, raw in table.items():
        if key == "variables":
            values[key] = _variables(raw, where)
        elif key in _KNOBS:
            try:
                values[key] = _checked(key, parse_value(_KNOBS[key], raw))
            except ValueError as error:
                raise ConfigError(f"{where}.{key} = {raw!r}: {error}") from None
        else:
            raise ConfigError(f"{where}: there is no setting {key!r}; {_hint(key)}")
    if "app" not in values:
        raise ConfigError(f'{where}: which application is it? Write app = "module:attribute"')
    app = AppSettings(name=name, folder=path.absolute().parent, **values)
    for key in _OF_PYTHON if app.is_program else _OF_PROGRAMS:
        if key in values:
            kind = "an application in Python" if app.is_program else "a program"
            raise ConfigError(f"{where}.{key}: it is for {kind}, and {app.app} is none: leave it out")
    if app.idle_connections and not app.app.startswith("fastcgi://"):
        raise ConfigError(f"{where}.idle_connections: it is for fastcgi://, not for {app.app}: leave it out")
    return app


def _checked(key: str, value: Any) -> Any:
    """Check, and write in one way, what only the setting itself knows; raises ValueError."""
    if key == "path":
        path = value.rstrip("/")
        if path and (not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/"))):
            raise ValueError("use a path such as /shop")
        return path or "/"
    if key == "hosts":
        hosts = tuple(host.lower() for host in value)
        for host in hosts:
            if not _HOST.fullmatch(host):
                raise ValueError(f"{host!r} is no host: use names without a port, such as shop.example")
        return hosts
    if key == "isolation" and value not in {"", "off", "process"}:
        raise ValueError("use one of off, process")
    return value


def _variables(raw: object, where: str) -> dict[str, str]:
    if not isinstance(raw, dict):
        raise ConfigError(f"{where}.variables = {raw!r}: write a table, variables = {{ NAME = 'value' }}")
    for name, value in raw.items():
        if not _VARIABLE.fullmatch(name) or not isinstance(value, str) or "\0" in value:
            raise ConfigError(f"{where}.variables.{name} = {value!r}: use NAME = 'text'")
    return raw
