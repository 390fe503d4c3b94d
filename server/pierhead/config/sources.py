"""Where settings come from: default < pierhead.toml < PIERHEAD_* < command line; each keeps its source."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pierhead.config.apps import parse_apps, read_toml
from pierhead.config.listen import ListenURL, listen_url_of_table
from pierhead.config.networks import parse_networks
from pierhead.config.settings import HTTP2_MISSING, MOST_LISTENERS, MOST_WORKERS, Settings, knobs
from pierhead.config.values import parse_value
from pierhead.errors import ConfigError

__all__ = ["DEFAULT_FILE", "VARIABLE_PREFIX", "Configuration", "load_configuration"]

DEFAULT_FILE = "pierhead.toml"
VARIABLE_PREFIX = "PIERHEAD_"
_FILE_VARIABLE = VARIABLE_PREFIX + "CONFIG"
_ARGUMENTS = {"app": "command line"}  # the one setting that is an argument instead of an option
_KNOBS = knobs()


@dataclasses.dataclass(frozen=True, slots=True)
class Configuration:
    """The settings, and where each comes from."""

    settings: Settings
    sources: Mapping[str, str]
    """Field → what set it: "default", the file's path, the variable or the option."""
    warnings: tuple[str, ...] = ()
    """What is probably a mistake, but may belong to somebody else."""


def load_configuration(
    arguments: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    file: str | None = None,
) -> Configuration:
    """Put the sources together; `arguments` are those given on the command line, by field.

    `file`, or the one PIERHEAD_CONFIG names, must exist; without both, pierhead.toml in the current directory
    is read if it is there. Raises ConfigError that names the source, the key, the value and what to use.
    """
    environ = environ or {}
    values: dict[str, Any] = {}
    sources = dict.fromkeys(_KNOBS, "default")
    found = [
        *_from_file(file or environ.get(_FILE_VARIABLE)),
        *_from_environment(environ),
        *((name, raw, _ARGUMENTS.get(name, option_name(name))) for name, raw in (arguments or {}).items()),
    ]
    for name, raw, source in found:
        try:
            values[name] = parse_value(_KNOBS[name], raw)
            _check(name, values[name])
        except ValueError as error:
            where = f"{source}: {name}" if source.endswith(".toml") or "/" in source else source
            raise ConfigError(f"{where} = {_shown(raw)}: {error}") from None
        sources[name] = source
    settings = Settings(**values)
    _check_together(settings, sources)
    _check_applications(settings, Path(file or environ.get(_FILE_VARIABLE) or DEFAULT_FILE))
    return Configuration(settings, sources, tuple(_unknown_variables(environ)))


def option_name(name: str) -> str:
    """Return the command line's option for a field."""
    return "--" + name.replace("_", "-")


def _from_file(named: str | None) -> Iterator[tuple[str, Any, str]]:
    path = Path(named or DEFAULT_FILE)
    try:
        table = read_toml(path)
    except FileNotFoundError:
        if named is None:
            return
        raise ConfigError(f"there is no configuration file {named}") from None
    if "apps" in table:
        parse_apps(table.pop("apps"), path)
        if "app" in table:
            raise ConfigError(f"{path}: app and [apps] exclude each other: make a table of it, [apps.NAME]")
        yield "app", str(path.absolute()), str(path)
    for name, raw in table.items():
        if name not in _KNOBS:
            raise ConfigError(f"{path}: there is no setting {name!r}{_hint(name, _KNOBS)}")
        yield name, _listeners(raw, path) if name == "listen" else raw, str(path)


def _listeners(raw: object, path: Path) -> object:
    """Turn [[listen]] tables into the URLs that they stand for."""
    if not isinstance(raw, list):
        return raw
    urls = []
    for number, item in enumerate(raw, 1):
        if isinstance(item, dict):
            try:
                urls.append(listen_url_of_table(item))
            except ValueError as error:
                raise ConfigError(f"{path}: listen, table {number}: {error}") from None
        else:
            urls.append(item)
    return urls


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for name, knob in _KNOBS.items():
        variable = VARIABLE_PREFIX + name.upper()
        # Empty is what `NAME: ${NAME:-}` leaves in a compose file: unset, unless empty means something.
        if (raw := environ.get(variable)) is not None and (raw.strip() or knob.optional):
            yield name, raw, variable


def _unknown_variables(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a warning for each variable that is nearly one of ours.

    Others pass: Kubernetes makes PIERHEAD_PORT and the like for every service called pierhead.
    """
    known = {VARIABLE_PREFIX + name.upper() for name in _KNOBS} | {_FILE_VARIABLE}
    for variable in environ:
        if variable.startswith(VARIABLE_PREFIX) and variable not in known:
            hint = _hint(variable, known)
            if hint:
                yield f"the variable {variable} is not a setting and has no effect{hint}"


def _hint(name: str, known: Iterable[str]) -> str:
    import difflib

    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.8)
    return f"; did you mean {close[0]}?" if close else ""


def _shown(raw: object) -> str:
    if isinstance(raw, bool):
        return str(raw).lower()
    if isinstance(raw, list | tuple):
        return ", ".join(map(repr, raw)) or "nothing"
    return repr(raw)


def _check(name: str, value: Any) -> None:
    """Check what only the setting itself knows; raises ValueError."""
    if name == "listen":
        for url in value:
            try:
                listener = ListenURL.parse(url)
                if listener.stdio and len(value) > 1:
                    raise ValueError("it is for one connection, and no other listener beside it")
            except ValueError as error:
                raise ValueError(str(error) if len(value) == 1 else f"{url}: {error}") from None
    elif name == "metrics_listen" and value:
        if ListenURL.parse(value).protocol != "http":
            raise ValueError("metrics are served by HTTP: use http://host:port or http://unix:/path")
    elif name == "http2" and value == "on" and importlib.util.find_spec("h2") is None:
        raise ValueError(HTTP2_MISSING)
    elif name == "workers" and value > MOST_WORKERS:
        raise ValueError(f"a server has at most {MOST_WORKERS} workers; for more of them start more servers")
    elif name == "trusted_proxies":
        parse_networks(value)
    elif name in {"health_path", "ready_path"} and value and not value.startswith("/"):
        raise ValueError("a path begins with /")
    elif name == "request_id_header" and value and not value.replace("-", "").isalnum():
        raise ValueError("use a header name such as X-Request-Id")
    elif name == "server_header" and not value.isprintable():
        raise ValueError("use printable characters")
    elif name in {"app_dir", "spool_dir"} and value is not None and not Path(value).is_dir():
        raise ValueError("there is no such directory")
    elif name == "reload_dirs":
        for folder in value:
            if not Path(folder).is_dir():
                raise ValueError(f"there is no directory {folder}")


def _check_applications(settings: Settings, read: Path) -> None:
    """Refuse settings in a file of applications that is not the one that was `read`: nobody looks at them."""
    path = Path(settings.app_dir or ".") / settings.app
    if not settings.app.endswith(".toml") or path.absolute() == read.absolute():
        return
    try:
        table = read_toml(path)
    except (FileNotFoundError, ConfigError):
        return  # said where it is loaded
    for key in table:
        if "apps" in table and key != "apps":
            raise ConfigError(
                f"{path}: {key}: of this file only [apps.NAME] is read; for its settings as well, name it "
                f"as the configuration: --config {path}"
            )


def _check_together(settings: Settings, sources: Mapping[str, str]) -> None:
    secure = [url for url in settings.listen if ListenURL.parse(url).protocol == "https"]
    if secure and not settings.tls_certificate:
        raise ConfigError(f"{sources['listen']}: {secure[0]} needs a certificate: set tls_certificate")
    if settings.tls_key and len(settings.tls_key) != len(settings.tls_certificate):
        raise ConfigError(
            f"tls_key ({sources['tls_key']}) names {len(settings.tls_key)} files and tls_certificate "
            f"({sources['tls_certificate']}) {len(settings.tls_certificate)}: each certificate has one key"
        )
    if settings.max_line_bytes > settings.max_head_bytes:
        raise ConfigError(
            f"max_line_bytes ({settings.max_line_bytes}, {sources['max_line_bytes']}) is more than "
            f"max_head_bytes ({settings.max_head_bytes}, {sources['max_head_bytes']}): a request line is "
            "part of its head"
        )
    if len(settings.listen) > MOST_LISTENERS:
        raise ConfigError(f"listen ({sources['listen']}): a server has at most {MOST_LISTENERS} listeners")
    for url in settings.listen:
        own = dataclasses.replace(settings, **dict(ListenURL.parse(url).limits))
        if own.max_line_bytes > own.max_head_bytes:
            raise ConfigError(
                f"{url} ({sources['listen']}): max_line_bytes ({own.max_line_bytes}) is more than "
                f"max_head_bytes ({own.max_head_bytes}): a request line is part of its head"
            )
    if settings.metrics_listen in settings.listen:
        raise ConfigError(
            f"metrics_listen ({sources['metrics_listen']}) and listen ({sources['listen']}) are both "
            f"{settings.metrics_listen}: give the metrics an address of their own"
        )
    if settings.health_path and settings.health_path == settings.ready_path:
        raise ConfigError(
            f"health_path ({sources['health_path']}) and ready_path ({sources['ready_path']}) are both "
            f"{settings.health_path!r}: give them two paths"
        )
