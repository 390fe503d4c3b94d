"""Loading: from the name of an application to the application, with errors that say where and what to do."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import inspect
import os
import sys
from pathlib import Path
from types import FrameType, ModuleType, TracebackType
from typing import Any

from pierhead.errors import LoadError
from pierhead.interfaces.adapt import adapt, describe, interface_of
from pierhead.interfaces.base import Application

__all__ = ["checked_program", "load"]


def load(
    reference: str,
    *,
    interface: str = "auto",
    factory: bool = False,
    app_dir: str | os.PathLike[str] | None = None,
    threads: int = 40,
) -> Application:
    """Import the application called `reference`: "module:attribute" or "path/file.py:attribute".

    "program:path" is a program, or a folder of them, run by CGI; "fastcgi://host:port" and "scgi://host:port",
    or "...://unix:/path", are programs that run already (`pierhead.interfaces.gateway`).

    The attribute may be dotted, and with `factory` it is called, without arguments, for the application.
    `app_dir`, by default the current directory, is where modules and relative paths are looked for first,
    and stays in `sys.path` for what the application imports later. A file in a package is imported as a
    module of that package. `interface` and `threads` are those of `pierhead.interfaces.adapt`.

    Raises LoadError that says what is wrong, in which file and line, and what to do; its cause, where there
    is one, is the exception of the application.
    """
    if reference.startswith(("program:", "fastcgi://", "scgi://")):
        return _program(reference, Path(app_dir or "."))
    module_name, _, attribute = reference.partition(":")
    if reference.lower().endswith(".py") or not module_name or not attribute:
        example = f"{module_name or 'app'}:app"
        raise LoadError(
            f"{reference!r} does not name an application: write module:attribute or file.py:attribute, "
            f"for example {example!r}"
        )
    directory = Path(app_dir or ".").resolve()
    if not directory.is_dir():
        raise LoadError(f"{reference}: there is no directory {directory} (app_dir) to load it from")
    if module_name.lower().endswith(".py"):
        module_name, directory = _locate(reference, directory / module_name)
        module = _import(reference, module_name, directory)
        _check_is_file(reference, module, directory)
    elif "/" in module_name or "\\" in module_name:
        raise LoadError(
            f"{reference}: {module_name!r} is neither a module nor a file; write a file's path with its .py"
        )
    else:
        module = _import(reference, module_name, directory)
    found = _attribute(reference, module, attribute)
    if factory:
        found = _made(reference, attribute, found)
    try:
        return adapt(found, interface=interface, name=reference, threads=threads)
    except TypeError as error:
        raise _no_application(reference, attribute, found, error, factory=factory) from None


def _program(reference: str, directory: Path) -> Application:
    from pierhead.interfaces.gateway import FastCGIApplication, ProgramApplication, ScgiApplication

    kind, _, rest = reference.partition(":")
    try:
        if kind == "fastcgi":
            return FastCGIApplication(reference)
        if kind == "scgi":
            return ScgiApplication(reference)
    except ValueError as error:
        raise LoadError(str(error)) from None
    return ProgramApplication(checked_program(reference, directory / rest))


def checked_program(reference: str, path: Path) -> Path:
    """Return `path` where a program, or a folder, is there; raises LoadError that begins with `reference`."""
    if not path.exists():
        raise LoadError(f"{reference}: there is no program {path}")
    if path.is_file() and not os.access(path, os.X_OK):
        raise LoadError(f"{reference}: {path} is not executable: chmod +x {path}")
    return path


def _locate(reference: str, file: Path) -> tuple[str, Path]:
    """Return the name of the module that `file` is, and the directory that name is looked for in."""
    if not file.is_file():
        nearby = sorted(path.name for path in file.parent.glob("*.py"))
        hint = f"; in {file.parent} there are: {', '.join(nearby)}" if nearby else ""
        raise LoadError(f"{reference}: there is no file {file}{hint}")
    file = file.resolve()
    names = [] if file.name == "__init__.py" else [file.stem]
    folder = file.parent
    while (folder / "__init__.py").is_file():
        names.insert(0, folder.name)
        folder = folder.parent
    for name in names:
        if not name.isidentifier():
            raise LoadError(
                f"{reference}: {name!r} cannot be imported: rename it to letters, digits and _ ({file})"
            )
    return ".".join(names), folder


def _import(reference: str, name: str, directory: Path) -> ModuleType:
    if sys.path[:1] != [str(directory)]:
        with contextlib.suppress(ValueError):
            sys.path.remove(str(directory))
        sys.path.insert(0, str(directory))
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except SystemExit as error:
        raise LoadError(
            f"{reference}: sys.exit({error.code!r}) was called while it was imported{_where(error)}; what "
            "only a script does belongs under `if __name__ == '__main__':`"
        ) from error
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and not _innermost(error):
            raise _no_module(reference, name, directory, error) from None
        raise _failed(reference, "its import failed", error) from error


def _no_module(reference: str, name: str, directory: Path, error: ModuleNotFoundError) -> LoadError:
    missing = error.name or name
    message = f"{reference}: there is no module {missing!r} in {directory}, nor among the installed packages"
    if "is not a package" in str(error):
        return LoadError(f"{reference}: {str(error).replace('No module named', 'there is no module')}")
    folder = directory.joinpath(*missing.split(".")[:-1])
    nearby = sorted({path.stem for path in folder.glob("*.py")} - {"__init__"})
    nearby += sorted(path.parent.name for path in folder.glob("*/__init__.py"))
    import difflib

    close = difflib.get_close_matches(missing.rpartition(".")[2], nearby, 1)
    if close:
        return LoadError(f"{message}; did you mean {close[0]!r}?")
    if nearby:
        return LoadError(f"{message}; in {folder} there are: {', '.join(nearby[:10])}")
    return LoadError(f"{message}; is {directory} the right directory (app_dir)?")


def _check_is_file(reference: str, module: ModuleType, directory: Path) -> None:
    """Raise LoadError where another module of that name was imported instead of the file."""
    actual = getattr(module, "__file__", None)
    if actual is None or not Path(actual).resolve().is_relative_to(directory):
        raise LoadError(
            f"{reference}: another module is called {module.__name__!r} already "
            f"({actual or 'a part of Python'}); rename the file"
        )


def _attribute(reference: str, module: ModuleType, attribute: str) -> Any:
    found: Any = module
    path = module.__name__
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise LoadError(
                f"{reference}: {path!r} has no attribute {name!r}{_candidates(found, name)}"
            ) from None
        path = f"{path}.{name}"
    return found


def _candidates(holder: object, name: str) -> str:
    members = (
        {key: value for key, value in vars(holder).items() if not key.startswith("_")}
        if (hasattr(holder, "__dict__"))
        else {}
    )
    import difflib

    apps = [key for key, value in members.items() if interface_of(value) and not inspect.isroutine(value)]
    close = difflib.get_close_matches(name, members, 1)
    if apps:
        return f"; it has: {', '.join(apps)}"
    if close:
        return f"; did you mean {close[0]!r}?"
    return "; define it there: app = App()"


def _made(reference: str, attribute: str, factory: Any) -> Any:
    """Call a factory."""
    if not callable(factory) or (interface_of(factory) and not inspect.isroutine(factory)):
        raise LoadError(
            f"{reference}: {attribute!r} is {describe(factory)}, which is no factory; leave out --factory"
        )
    if inspect.iscoroutinefunction(factory):
        raise LoadError(
            f"{reference}: the factory {attribute!r} is `async def`; a factory is a `def` function"
        )
    try:
        return factory()
    except Exception as error:
        raise _failed(reference, f"the factory {attribute!r} failed", error) from error


def _no_application(
    reference: str, attribute: str, found: Any, error: TypeError, *, factory: bool
) -> LoadError:
    if factory:
        return LoadError(f"{reference}: the factory {attribute!r} returned {error}")
    fix = ""
    if asyncio.iscoroutine(found):
        found.close()
    elif inspect.isroutine(found):
        fix = "; if it makes the application, add --factory"
    elif isinstance(found, type) and _is_app_class(found):
        fix = f"; make one of it: app = {found.__name__}()"
    return LoadError(f"{reference}: {attribute!r} is {error}{fix}")


def _is_app_class(found: type) -> bool:
    from pierhead.app import App

    return issubclass(found, App)


def _failed(reference: str, what: str, error: Exception) -> LoadError:
    if isinstance(error, SyntaxError) and error.filename:
        line = f"\n    {error.text.strip()}" if error.text else ""
        return LoadError(
            f"{reference}: {type(error).__name__} in {error.filename}, line {error.lineno}: {error.msg}{line}"
        )
    fix = ""
    if isinstance(error, ModuleNotFoundError) and error.name:
        fix = f"; install the package that has {error.name.partition('.')[0]!r}, or correct the import"
    reason = str(error) or "without a message"
    return LoadError(f"{reference}: {what}{_where(error)}: {type(error).__name__}: {reason}{fix}")


def _where(error: BaseException) -> str:
    place = _innermost(error)
    if place is None:
        return ""
    frame, line = place
    import linecache

    text = linecache.getline(frame.f_code.co_filename, line).strip()
    return f" in {frame.f_code.co_filename}, line {line}" + (f" ({text})" if text else "")


def _innermost(error: BaseException) -> tuple[FrameType, int] | None:
    """Return the frame and line that are to blame, None where all of the traceback is about importing.

    That is the last one in code that is neither Python's, nor installed, nor Pierhead's; else the last one.
    """
    import sysconfig

    not_to_blame = (str(Path(__file__).parent.parent), sysconfig.get_path("stdlib"), "<frozen")
    trace: TracebackType | None = error.__traceback__
    last = blamed = None
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file not in {__file__, importlib.__file__} and not file.startswith("<frozen importlib"):
            last = trace.tb_frame, trace.tb_lineno
            if not file.startswith(not_to_blame) and "site-packages" not in file:
                blamed = last
        trace = trace.tb_next
    return blamed or last
