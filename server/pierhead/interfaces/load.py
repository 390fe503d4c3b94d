"""Loading: from the name of an application to the application, with errors that say what to do."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from pierhead.app import App
from pierhead.errors import LoadError
from pierhead.interfaces.native import NativeApplication

if TYPE_CHECKING:
    from pierhead.interfaces.base import Application

__all__ = ["load"]


def load(name: str, *, factory: bool = False, app_dir: str | None = None, threads: int = 40) -> Application:
    """Import the application `module:attribute`, or `path/file.py:attribute`, and wrap it for the server.

    The attribute is `app` if left out; with `factory` it is called for the application. `app_dir` (default:
    the current directory) is where modules are looked for first. Raises LoadError: with file and line of a
    syntax error, with the traceback of an exception while importing, and with what there is in the place of
    what is missing.
    """
    module_name, _, attribute = name.partition(":")
    attribute = attribute or "app"
    directory = str(Path(app_dir or ".").resolve())
    if not Path(directory).is_dir():
        raise LoadError(f"{name}: there is no directory {directory} (app_dir)")
    if directory not in sys.path:
        sys.path.insert(0, directory)
    module = _import_file(name, module_name) if module_name.endswith(".py") else _import(name, module_name)
    found: object = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            apps = [key for key, value in vars(module).items() if isinstance(value, App)]
            hint = f"; it has: {', '.join(apps)}" if apps else "; no name in it is an App"
            raise LoadError(f"{name}: module {module_name!r} has no attribute {attribute!r}{hint}")
        found = getattr(found, part)
    if factory:
        if not callable(found):
            raise LoadError(
                f"{name}: {attribute!r} is not callable, so it is no factory: leave out --factory"
            )
        try:
            found = found()
        except Exception as error:
            raise LoadError(f"{name}: the factory failed\n{_own_traceback(error)}") from error
    if not isinstance(found, App):
        hint = "; if it makes the application, add --factory" if callable(found) else ""
        raise LoadError(f"{name}: {attribute!r} is {type(found).__name__}, not a pierhead.App{hint}")
    return NativeApplication(found, threads=threads)


def _import(name: str, module_name: str) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(error.name + ".")):
            raise LoadError(
                f"{name}: there is no module {error.name!r}; looked in {sys.path[0]} first (--app-dir), then where "
                "Python looks"
            ) from None
        raise LoadError(
            f"{name}: it imports {error.name!r}, which is missing\n{_own_traceback(error)}"
        ) from error
    except Exception as error:
        raise _failed(name, error) from error


def _import_file(name: str, file: str) -> ModuleType:
    path = Path(file)
    if not path.is_file():
        raise LoadError(f"{name}: there is no file {path}")
    if str(path.parent.resolve()) not in sys.path:
        sys.path.insert(0, str(path.parent.resolve()))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise _failed(name, error) from error
    return module


def _failed(name: str, error: Exception) -> LoadError:
    if isinstance(error, SyntaxError):
        return LoadError(f"{name}: {error.filename}, line {error.lineno}: {error.msg}")
    return LoadError(f"{name}: the import failed\n{_own_traceback(error)}")


def _own_traceback(error: Exception) -> str:
    """Return the traceback without the frames of the import system and of this module."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        frame
        for frame in frames
        if frame.filename != __file__
        and not frame.filename.startswith("<frozen importlib")
        and "importlib/__init__" not in frame.filename.replace("\\", "/")
    ]
    lines = traceback.format_list(own) + traceback.format_exception_only(error)
    return "Traceback (most recent call last):\n" + "".join(lines).rstrip()
