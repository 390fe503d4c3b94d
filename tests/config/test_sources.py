"""Where settings come from, which source wins, and what is said about values that cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pierhead.config import Configuration, Settings, load_configuration
from pierhead.config.listen import ListenURL
from pierhead.errors import ConfigError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(text: str = "", environ: dict[str, str] | None = None, **arguments: Any) -> Configuration:
    if text:
        Path("pierhead.toml").write_text(text)
    return load_configuration(arguments, environ)


def complaint(text: str = "", environ: dict[str, str] | None = None, **arguments: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load(text, environ, **arguments)
    return str(caught.value)


def test_without_any_source_everything_is_as_documented() -> None:
    found = load()
    assert found.settings == Settings()
    assert set(found.sources.values()) == {"default"}


def test_the_command_line_wins_over_variables_and_these_over_the_file() -> None:
    text = 'workers = 2\nthreads = 2\nmax_headers = 2\nlisten = ["http://127.0.0.1:1"]\n'
    found = load(text, {"PIERHEAD_WORKERS": "3", "PIERHEAD_THREADS": "3"}, workers="4")
    settings = found.settings
    assert (settings.workers, settings.threads, settings.max_headers) == (4, 3, 2)
    assert settings.listen == ("http://127.0.0.1:1",)
    assert found.sources["workers"] == "--workers"
    assert found.sources["threads"] == "PIERHEAD_THREADS"
    assert found.sources["max_headers"] == "pierhead.toml"
    assert found.sources["backlog"] == "default"


def test_a_file_can_be_named(folder: Path) -> None:
    (folder / "other.toml").write_text('max_body_bytes = "1MiB"')
    (folder / "pierhead.toml").write_text("nonsense")
    assert load_configuration({}, {}, "other.toml").settings.max_body_bytes == 1 << 20
    assert load_configuration({}, {"PIERHEAD_CONFIG": "other.toml"}).settings.max_body_bytes == 1 << 20


def test_an_empty_variable_is_unset_unless_empty_means_something() -> None:
    settings = load(environ={"PIERHEAD_WORKERS": "", "PIERHEAD_SERVER_HEADER": ""}).settings
    assert settings.workers == 0
    assert settings.server_header == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("worker = 2", "pierhead.toml: there is no setting 'worker'; did you mean workers?"),
        ("zebra = 2", "pierhead.toml: there is no setting 'zebra'"),
        ('workers = "many"', "pierhead.toml: workers = 'many': use a whole number"),
        ("reload = 3", "pierhead.toml: reload = 3: use true or false"),
        ("threads = true", "pierhead.toml: threads = true: use a whole number"),
        (
            '[[listen]]\nurl = "http://a:1"\nmax_bdy_bytes = 1',
            "pierhead.toml: listen, table 1: max_bdy_bytes = 1: a listener has no such option; did you mean "
            'max_body_bytes?: use url, proxy = true, mode = "660" and limits such as max_body_bytes = "1MiB"',
        ),
        (
            'listen = ["http://a:1", { url = "http://b:1", head_timeout_s = 0 }]',
            "pierhead.toml: listen, table 2: head_timeout_s = 0: use at least 0.1s",
        ),
        (
            "[[listen]]\nmax_headers = 5",
            'pierhead.toml: listen, table 1: the address is missing: url = "http://host:port"',
        ),
        (
            '[[listen]]\nurl = "http://a:1"\nmax_line_bytes = "64KiB"',
            "http://a:1?max_line_bytes=64KiB (pierhead.toml): max_line_bytes (65536) is more than "
            "max_head_bytes (32768): a request line is part of its head",
        ),
        ("workers = = 2", "pierhead.toml is no valid TOML: Invalid value (at line 1, column 11)"),
    ],
)
def test_a_bad_file_is_named_with_key_value_and_fix(text: str, message: str) -> None:
    assert complaint(text) == message


def test_listeners_are_urls_or_tables(folder: Path) -> None:
    (folder / "pierhead.toml").write_text(
        """
[[listen]]
url = "https://[::]:443"
proxy = true
max_body_bytes = "10 MiB"
websocket_compression = false

[[listen]]
url = "http://unix:/run/app.sock?mode=600"
max_connections = 5
"""
    )
    public, private = map(ListenURL.parse, load(tls_certificate="a").settings.listen)
    assert (public.port, public.proxy_protocol) == (443, True)
    assert dict(public.limits) == {"max_body_bytes": 10 << 20, "websocket_compression": False}
    assert (private.mode, private.limits) == (0o600, (("max_connections", 5),))


def test_a_file_that_is_not_there_or_no_text_is_named(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no configuration file none\.toml"):
        load_configuration({}, {}, "none.toml")
    (folder / "pierhead.toml").write_bytes(b"\xff")
    assert complaint().startswith("pierhead.toml is no valid TOML")
    (folder / "folder.toml").mkdir()
    with pytest.raises(ConfigError, match=r"folder\.toml cannot be read: Is a directory"):
        load_configuration({}, {}, "folder.toml")


def test_a_bad_variable_and_a_bad_option_are_named() -> None:
    assert complaint(environ={"PIERHEAD_WORKERS": "many"}) == "PIERHEAD_WORKERS = 'many': use a whole number"
    assert complaint(drain_timeout_s="soon").startswith("--drain-timeout-s = 'soon': use a time")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"listen": "8080"}, "use http://host:port"),
        ({"listen": "http://127.0.0.1:1 ftp://b:2"}, "ftp://b:2: there is no ftp:// listener"),
        ({"listen": "https://b:2"}, "--listen: https://b:2 needs a certificate: set tls_certificate"),
        ({"listen": "stdio: http://b:2"}, "stdio:: it is for one connection"),
        ({"tls_certificate": "a,b", "tls_key": "c"}, "tls_key (--tls-key) names 1 files and tls_certificate"),
        ({"trusted_proxies": "10.0.0.1/8"}, "'10.0.0.1/8' is no network"),
        ({"health_path": "healthz"}, "a path begins with /"),
        ({"request_id_header": "X Request"}, "use a header name such as X-Request-Id"),
        ({"server_header": "pier\u0085head"}, "use printable characters"),
        ({"app_dir": "none"}, "there is no such directory"),
        ({"spool_dir": "none"}, "there is no such directory"),
        ({"reload_dirs": ". none"}, "there is no directory none"),
        ({"max_line_bytes": "64KiB"}, "a request line is part of its head"),
        ({"ready_path": "/healthz"}, "give them two paths"),
    ],
)
def test_what_can_only_be_seen_here_is_checked_here(arguments: dict[str, Any], part: str) -> None:
    assert part in complaint(**arguments)


def test_http2_is_demanded_where_its_library_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(http2="on").settings.http2 == "on"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert load(http2="auto").settings.http2 == "auto"
    assert complaint(http2="on").endswith(
        "the library h2 is not installed: pip install 'pierhead[http2]', or set http2 to auto"
    )


def test_a_variable_that_is_nearly_ours_is_warned_of_and_others_are_not() -> None:
    environ = {"PIERHEAD_WORKER": "2", "PIERHEAD_SERVICE_HOST": "10.0.0.1", "PATH": "/bin"}
    (warning,) = load(environ=environ).warnings
    assert warning == (
        "the variable PIERHEAD_WORKER is not a setting and has no effect; did you mean PIERHEAD_WORKERS?"
    )


def test_settings_in_a_file_of_applications_are_not_overlooked(folder: Path) -> None:
    (folder / "sites.toml").write_text('workers = 2\n[apps.shop]\napp = "shop:app"\n')
    with pytest.raises(ConfigError, match=r"^sites\.toml: workers: .* --config sites\.toml$"):
        load_configuration({"app": "sites.toml"}, {})
    assert load_configuration({}, {}, "sites.toml").settings.workers == 2
    assert load_configuration({"app": "sites.toml"}, {}, "sites.toml").settings.workers == 2
    (folder / "sites.toml").write_text('[apps.shop]\napp = "shop:app"\n')
    assert load_configuration({"app": "sites.toml"}, {}).settings.app == "sites.toml"
