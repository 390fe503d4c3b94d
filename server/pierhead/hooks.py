"""Hooks: what an application does before its first request and after its last, in order and undone in order.

Start hooks, stop hooks and lifespans are kept in the order of their definition. Starting walks that order:
it calls start hooks, enters lifespans, and arms stop hooks. Stopping, and a start that fails half-way,
undo it in reverse: a stop hook runs where everything defined before it was started.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from pierhead.routing.handlers import Handler, needs_argument

__all__ = ["Hooks", "Per", "start_all", "start_all_in_master", "undo", "undo_in_master"]

logger = logging.getLogger("pierhead.app")

Per = Literal["worker", "master"]
Undo = tuple[str, Callable[[], Any]]
"""How messages call a step of stopping, and the step."""


class Hooks:
    """The hooks of one application, `owner`, which those that need an argument are called with."""

    def __init__(self, owner: Any) -> None:
        self._owner = owner
        self._steps: dict[Per, list[tuple[Literal["start", "stop", "lifespan"], str, Callable[..., Any]]]]
        self._steps = {"worker": [], "master": []}

    def add(self, kind: Literal["start", "stop"], per: Per, hook: Callable[..., Any]) -> None:
        """Add a start or stop hook; raises TypeError for a function that cannot be one."""
        if per not in self._steps:
            raise ValueError(f"a hook runs per 'worker' or per 'master', not {per!r}")
        handler = Handler(hook)
        if per == "master" and handler.is_async:
            raise TypeError(
                f"{handler.name}: the master has no event loop, its hooks are `def` functions "
                f"({handler.where})"
            )
        self._steps[per].append((kind, handler.name, self._bound(handler)))

    def add_lifespan(self, function: Callable[..., Any]) -> None:
        """Add a lifespan: an async generator function, or one that returns an async context manager."""
        if inspect.isasyncgenfunction(function):
            function = contextlib.asynccontextmanager(function)
        elif inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            raise TypeError(
                f"{function.__qualname__}: a lifespan is an `async def` function with one `yield` "
                "between starting and stopping"
            )
        name = Handler(function).name
        self._steps["worker"].append(("lifespan", name, self._bound(function)))

    def start_in_master(self, undone: list[Undo]) -> None:
        """Run the master's start hooks; each step's undoing is appended to `undone`."""
        for kind, name, call in self._steps["master"]:
            if kind == "start":
                call()
            else:
                undone.append((name, call))

    async def start(self, undone: list[Undo]) -> None:
        """Run the worker's start hooks and enter its lifespans; their undoing is appended to `undone`."""
        for kind, name, call in self._steps["worker"]:
            if kind == "start":
                await _finish(call())
            elif kind == "stop":
                undone.append((name, call))
            else:
                undone.append((name, await _enter(name, call())))

    def _bound(self, hook: Handler | Callable[..., Any]) -> Callable[[], Any]:
        """Return the hook as a function without arguments."""
        call = hook.call if isinstance(hook, Handler) else hook
        if needs_argument(call):
            return lambda: call(self._owner)
        Handler(call).check("a hook takes the application or nothing")
        return call


async def _finish(result: Any) -> None:
    if inspect.isawaitable(result):
        await result


async def _enter(name: str, manager: Any) -> Callable[[], Awaitable[Any]]:
    if not isinstance(manager, contextlib.AbstractAsyncContextManager):
        raise TypeError(
            f"lifespan {name} returned {type(manager).__name__}, which is no asynchronous context manager"
        )
    await manager.__aenter__()
    return lambda: manager.__aexit__(None, None, None)


async def start_all(hooks: list[Hooks]) -> list[Undo]:
    """Start applications in order, in a worker; returns what `undo` needs to stop them.

    What one raises is raised, after what was started was stopped in reverse order.
    """
    undone: list[Undo] = []
    try:
        for each in hooks:
            await each.start(undone)
    except BaseException:
        await undo(undone, quiet=True)
        raise
    return undone


async def undo(undone: list[Undo], *, quiet: bool = False) -> None:
    """Stop in reverse order; a step that fails does not keep the others from running.

    Afterwards what failed is raised (several as an ExceptionGroup), or only logged where `quiet`.
    """
    errors = []
    while undone:
        name, call = undone.pop()
        try:
            await _finish(call())
        except Exception as error:  # noqa: BLE001 - the other steps have to run
            errors.append(_failed(name, error, quiet=quiet))
    _raise(errors, quiet=quiet)


def start_all_in_master(hooks: list[Hooks]) -> list[Undo]:
    """Start applications in order, in the master; see `start_all`."""
    undone: list[Undo] = []
    try:
        for each in hooks:
            each.start_in_master(undone)
    except BaseException:
        undo_in_master(undone, quiet=True)
        raise
    return undone


def undo_in_master(undone: list[Undo], *, quiet: bool = False) -> None:
    """Stop in reverse order; see `undo`."""
    errors = []
    while undone:
        name, call = undone.pop()
        try:
            call()
        except Exception as error:  # noqa: BLE001 - the other steps have to run
            errors.append(_failed(name, error, quiet=quiet))
    _raise(errors, quiet=quiet)


def _failed(name: str, error: Exception, *, quiet: bool) -> Exception:
    error.add_note(f"(in the stop hook {name})")
    if quiet:
        logger.error("stop hook %s failed while a failed start was undone", name, exc_info=error)
    return error


def _raise(errors: list[Exception], *, quiet: bool) -> None:
    if quiet or not errors:
        return
    if len(errors) == 1:
        raise errors[0]
    raise ExceptionGroup("several stop hooks failed", errors)
