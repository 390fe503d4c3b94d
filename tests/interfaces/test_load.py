"""Loading: applications by name, and errors that say where and what to do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from pierhead.errors import LoadError
from pierhead.interfaces.base import Application
from pierhead.interfaces.load import load

APP = "from pierhead import App\napp = App('loaded')\n"


NONE = "not a pierhead.App, ASGI's app(scope, receive, send), WSGI's app(environ, start_response)"


class Write(Protocol):
    def __call__(self, name: str, text: str = APP) -> Path: ...


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Write]:
    """Write a file to load from; imports leave nothing behind."""
    modules, path, no_bytecode = set(sys.modules), sys.path.copy(), sys.dont_write_bytecode
    sys.dont_write_bytecode = True

    def write(name: str, text: str = APP) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    yield write
    for name in set(sys.modules) - modules:
        del sys.modules[name]
    sys.path[:] = path
    sys.dont_write_bytecode = no_bytecode


def fails(reference: str, app_dir: Path | None, *, factory: bool = False) -> str:
    with pytest.raises(LoadError) as caught:
        load(reference, app_dir=app_dir, factory=factory)
    return str(caught.value)


def test_a_module_and_its_attribute(write: Write, tmp_path: Path) -> None:
    write("shop_a.py")
    assert load("shop_a:app", app_dir=tmp_path).name == "loaded"


def test_a_module_in_a_package_and_a_dotted_attribute(write: Write, tmp_path: Path) -> None:
    write("shop_b/__init__.py", "")
    write("shop_b/web.py", "from pierhead import App\nclass site:\n    app = App('site')\n")
    assert load("shop_b.web:site.app", app_dir=str(tmp_path)).name == "site"


def test_the_current_directory_is_the_default(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("shop_c.py")
    monkeypatch.chdir(tmp_path)
    assert load("shop_c:app").name == "loaded"


def test_a_file(write: Write, tmp_path: Path) -> None:
    file = write("deep/shop_d.py", "import helper_d\n" + APP)
    write("deep/helper_d.py", "")
    assert load("deep/shop_d.py:app", app_dir=tmp_path).name == "loaded"
    assert load(f"{file}:app").name == "loaded"


def test_a_file_in_a_package_is_a_module_of_it(write: Write, tmp_path: Path) -> None:
    write("lib/shop_e/__init__.py", "")
    write("lib/shop_e/names.py", "NAME = 'relative'")
    write("lib/shop_e/web.py", "from pierhead import App\nfrom .names import NAME\napp = App(NAME)\n")
    assert load("lib/shop_e/web.py:app", app_dir=tmp_path).name == "relative"
    assert "shop_e.web" in sys.modules
    write("lib/shop_e2/__init__.py")
    assert load("lib/shop_e2/__init__.py:app", app_dir=tmp_path).name == "loaded"


def test_a_factory(write: Write, tmp_path: Path) -> None:
    write("shop_f.py", "from pierhead import App\ndef make():\n    return App('made')\n")
    assert load("shop_f:make", factory=True, app_dir=tmp_path).name == "made"


def test_an_application_of_another_kind_is_taken_as_it_is(write: Write, tmp_path: Path) -> None:
    write(
        "shop_g.py",
        "from pierhead import App\nfrom pierhead.interfaces.native import NativeApplication\n"
        "app = NativeApplication(App('wrapped'))\n",
    )
    application: Application = load("shop_g:app", app_dir=tmp_path)
    assert application is sys.modules["shop_g"].app


@pytest.mark.parametrize(
    ("reference", "example"),
    [("shop", "shop:app"), ("shop.py", "shop.py:app"), (":app", "app:app"), ("shop:", "")],
)
def test_a_reference_that_is_none(reference: str, example: str, tmp_path: Path) -> None:
    message = fails(reference, tmp_path)
    assert message.startswith(f"{reference!r} does not name an application: write module:attribute")
    assert example in message


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    assert "there is no directory" in fails("shop:app", tmp_path / "nothing")
    assert "(app_dir)" in fails("shop:app", tmp_path / "nothing")


def test_a_module_that_is_not_there(write: Write, tmp_path: Path) -> None:
    message = fails("shop_h:app", tmp_path)
    assert message == (
        f"shop_h:app: there is no module 'shop_h' in {tmp_path}, nor among the installed packages; "
        f"is {tmp_path} the right directory (app_dir)?"
    )
    write("shop_hh.py")
    write("other/__init__.py")
    assert fails("shop_h:app", tmp_path).endswith("did you mean 'shop_hh'?")
    assert fails("web:app", tmp_path).endswith(f"in {tmp_path} there are: shop_hh, other")
    assert "there is no module 'other.web'" in fails("other.web:app", tmp_path)
    assert fails("shop_hh.web:app", tmp_path) == (
        "shop_hh.web:app: there is no module 'shop_hh.web'; 'shop_hh' is not a package"
    )


def test_a_file_that_is_not_there(write: Write, tmp_path: Path) -> None:
    write("web/main.py")
    assert fails("web/app.py:app", tmp_path) == (
        f"web/app.py:app: there is no file {tmp_path}/web/app.py; in {tmp_path}/web there are: main.py"
    )
    assert fails("web/app:app", tmp_path).endswith(
        "is neither a module nor a file; write a file's path with its .py"
    )


def test_a_file_whose_name_is_no_module(write: Write, tmp_path: Path) -> None:
    write("my-app.py")
    assert "'my-app' cannot be imported: rename it to letters, digits and _" in fails(
        "my-app.py:app", tmp_path
    )


def test_a_file_whose_name_is_taken(write: Write, tmp_path: Path) -> None:
    write("json.py")
    message = fails("json.py:app", tmp_path)
    assert "another module is called 'json' already (" in message
    assert message.endswith("rename the file")


def test_an_attribute_that_is_not_there(write: Write, tmp_path: Path) -> None:
    write("shop_i.py", "from pierhead import App\napplication = App()\nmake_site = print\n_app = App()\n")
    assert fails("shop_i:app", tmp_path) == "shop_i:app: 'shop_i' has no attribute 'app'; it has: application"
    write("shop_j.py", "make_site = print\n")
    assert fails("shop_j:makesite", tmp_path).endswith(
        "has no attribute 'makesite'; did you mean 'make_site'?"
    )
    write("shop_k.py", "")
    assert fails("shop_k:app", tmp_path).endswith(
        "'shop_k' has no attribute 'app'; define it there: app = App()"
    )
    assert "'shop_i.application' has no attribute 'web'" in fails("shop_i:application.web", tmp_path)


def test_a_syntax_error(write: Write, tmp_path: Path) -> None:
    file = write("shop_l.py", "import os\n\ndef show(:\n    pass\n")
    assert fails("shop_l:app", tmp_path) == (
        f"shop_l:app: SyntaxError in {file}, line 3: invalid syntax\n    def show(:"
    )
    write("shop_m.py", "import shop_l\n")
    assert f"{file}, line 3" in fails("shop_m:app", tmp_path)


def test_an_import_that_fails_inside_is_not_a_module_that_is_not_there(write: Write, tmp_path: Path) -> None:
    file = write("shop_n.py", "import os\nimport no_such_package.part\n")
    assert fails("shop_n:app", tmp_path) == (
        f"shop_n:app: its import failed in {file}, line 2 (import no_such_package.part): "
        "ModuleNotFoundError: No module named 'no_such_package'; "
        "install the package that has 'no_such_package', or correct the import"
    )
    write("shop_o/__init__.py", "import shop_o.missing\n")
    assert "shop_o/__init__.py, line 1" in fails("shop_o.web:app", tmp_path)


def test_an_exception_while_importing(write: Write, tmp_path: Path) -> None:
    helper = write("helper_p.py", "def connect():\n    raise OSError('no database')\n")
    write("shop_p.py", "import helper_p\nhelper_p.connect()\n")
    with pytest.raises(LoadError) as caught:
        load("shop_p:app", app_dir=tmp_path)
    assert str(caught.value) == (
        f"shop_p:app: its import failed in {helper}, line 2 (raise OSError('no database')): "
        "OSError: no database"
    )
    assert isinstance(caught.value.__cause__, OSError)


def test_a_script_that_exits(write: Write, tmp_path: Path) -> None:
    file = write("shop_q.py", "import sys\nsys.exit('usage')\n")
    message = fails("shop_q:app", tmp_path)
    assert message.startswith(
        f"shop_q:app: sys.exit('usage') was called while it was imported in {file}, line 2"
    )
    assert message.endswith("belongs under `if __name__ == '__main__':`")


def test_a_route_that_is_wrong_is_named_with_its_line(write: Write, tmp_path: Path) -> None:
    file = write("shop_r.py", APP + "@app.get('users')\nasync def users(request): ...\n")
    message = fails("shop_r:app", tmp_path)
    assert message.endswith("ValueError: a path begins with '/', 'users' does not")
    assert f"{file}, line 3 (@app.get('users'))" in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("app = 7", f"'app' is a int, {NONE}"),
        ("import json as app", f"'app' is the module json, {NONE}"),
        (
            "def app(): ...",
            f"'app' is a function, {NONE}; if it makes the application, add --factory",
        ),
        (
            "from pierhead import App as app",
            f"'app' is the class pierhead.app.App, {NONE}; make one of it: app = App()",
        ),
        (
            "import fractions\napp = fractions.Fraction(1)",
            f"'app' is a fractions.Fraction, {NONE}",
        ),
    ],
)
def test_what_is_no_application(write: Write, tmp_path: Path, text: str, message: str) -> None:
    write("shop_s.py", text)
    assert fails("shop_s:app", tmp_path) == f"shop_s:app: {message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (APP, "'app' is a pierhead.app.App, which is no factory; leave out --factory"),
        ("app = 7", "'app' is a int, which is no factory; leave out --factory"),
        ("async def app(): ...", "the factory 'app' is `async def`; a factory is a `def` function"),
        ("def app(): ...", f"the factory 'app' returned a NoneType, {NONE}"),
    ],
)
def test_what_is_no_factory(write: Write, tmp_path: Path, text: str, message: str) -> None:
    write("shop_t.py", text)
    assert fails("shop_t:app", tmp_path, factory=True) == f"shop_t:app: {message}"


def test_a_factory_that_fails(write: Write, tmp_path: Path) -> None:
    file = write("shop_u.py", "def make():\n    raise KeyError('DATABASE_URL')\n")
    assert fails("shop_u:make", tmp_path, factory=True) == (
        f"shop_u:make: the factory 'make' failed in {file}, line 2 (raise KeyError('DATABASE_URL')): "
        "KeyError: 'DATABASE_URL'"
    )


# Programs


def test_a_program(tmp_path: Path) -> None:
    program = tmp_path / "hello.cgi"
    assert "there is no program" in fails("program:hello.cgi", tmp_path)
    program.write_text("#!/bin/sh\n")
    assert f"is not executable: chmod +x {program}" in fails("program:hello.cgi", tmp_path)
    program.chmod(0o755)
    assert load("program:hello.cgi", app_dir=tmp_path).name == "hello.cgi"
    assert load(f"program:{program}").name == "hello.cgi"


@pytest.mark.parametrize("scheme", ["fastcgi", "scgi"])
def test_a_program_that_runs_already(scheme: str) -> None:
    assert load(f"{scheme}://127.0.0.1:9000").name == f"{scheme}://127.0.0.1:9000"
    assert "an upstream is like" in fails(f"{scheme}://nowhere", None)
