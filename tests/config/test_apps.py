"""The file of several applications: what is wrong is named with file, key and fix."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pierhead.config import load_configuration
from pierhead.config.apps import read_apps
from pierhead.errors import ConfigError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "sites.toml"


def test_all_of_it(file: Path) -> None:
    file.write_text("""
[apps.shop]
app = "shop:app"
path = "/shop/"
hosts = ["Shop.example", "*.shop.example"]
app_dir = "shop"
interface = "asgi"
max_body_bytes = "1MiB"
handler_timeout_s = "500ms"
threads = 4

[apps.php]
app = "fastcgi://unix:/run/php.sock"
root = "site"
index = "index.php"
suffix = ".php"
timeout_s = 5
concurrency = 4
idle_connections = 2
variables = { APP_ENV = "test" }
""")
    shop, php = read_apps(file)
    assert (shop.name, shop.path, shop.hosts) == ("shop", "/shop", ("shop.example", "*.shop.example"))
    assert (shop.max_body_bytes, shop.handler_timeout_s, shop.threads) == (1 << 20, 0.5, 4)
    assert (php.is_program, php.path, php.hosts, php.variables) == (True, "/", (), {"APP_ENV": "test"})
    assert (php.concurrency, php.idle_connections) == (4, 2)
    assert php.folder == file.parent


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there are no [apps.NAME] tables"),
        ("apps = 3", "apps: write a table for each application"),
        ("[apps]\nshop = 3", "apps.shop = 3: write a table, [apps.shop]"),
        ("[apps.shop]\npath = '/x'", "apps.shop: which application is it?"),
        ("[apps.shop]\napp = 'a:b'\npaht = '/'", "apps.shop: there is no setting 'paht'; did you mean path?"),
        (
            "[apps.shop]\napp = 'a:b'\nzzz = '/'",
            "apps.shop: there is no setting 'zzz'; there are: app, path,",
        ),
        ("[apps.shop]\napp = 3", "apps.shop.app = 3: use a text"),
        ("[apps.shop]\napp = 'a:b'\npath = 'x'", "apps.shop.path = 'x': use a path such as /shop"),
        ("[apps.shop]\napp = 'a:b'\npath = '/a/../b'", "use a path such as /shop"),
        ("[apps.shop]\napp = 'a:b'\nhosts = ['a:80']", "'a:80' is no host: use names without a port"),
        ("[apps.shop]\napp = 'a:b'\nmax_body_bytes = 'big'", "max_body_bytes = 'big': use a size"),
        ("[apps.shop]\napp = 'a:b'\ninterface = 'cgi'", "use one of auto, native, asgi, wsgi"),
        ("[apps.shop]\napp = 'a:b'\nroot = '/srv'", "apps.shop.root: it is for a program, and a:b is none"),
        ("[apps.shop]\napp = 'program:x'\nfactory = true", "it is for an application in Python"),
        (
            "[apps.shop]\napp = 'scgi://x:1'\nidle_connections = 1",
            "apps.shop.idle_connections: it is for fastcgi://, not for scgi://x:1",
        ),
        ("[apps.shop]\napp = 'program:x'\nvariables = 3", "write a table, variables = {"),
        (
            "[apps.shop]\napp = 'program:x'\nvariables = { a = 3 }",
            "apps.shop.variables.a = 3: use NAME = 'text'",
        ),
        ("[apps.a]\napp = 'a:b'\n[apps.b]\napp = 'a:c'", "apps.a and apps.b are both at /: give one of them"),
        ("[apps.a]\napp = 'a:b'\nhosts = ['x']\n[apps.b]\napp = 'a:c'\nhosts = ['X']", "are both at / of x"),
        ("[apps.a\n", "is no valid TOML"),
    ],
)
def test_what_is_wrong(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        read_apps(file)
    assert str(caught.value).startswith(str(file))


def test_a_file_that_is_missing(file: Path) -> None:
    with pytest.raises(ConfigError, match="there is no configuration file"):
        read_apps(file)


def test_the_configuration_file_may_have_them(file: Path) -> None:
    file.write_text('workers = 2\n[apps.shop]\napp = "shop:app"\n')
    found = load_configuration(file=str(file))
    assert (found.settings.app, found.sources["app"]) == (str(file), str(file))
    assert load_configuration({"app": "other:app"}, file=str(file)).settings.app == "other:app"


def test_one_application_or_several(file: Path) -> None:
    file.write_text('app = "a:b"\n[apps.shop]\napp = "shop:app"\n')
    with pytest.raises(ConfigError, match="exclude each other"):
        load_configuration(file=str(file))
    file.write_text('[apps.shop]\napp = "shop:app"\npath = 3\n')
    with pytest.raises(ConfigError, match=r"apps\.shop\.path"):
        load_configuration(file=str(file))
