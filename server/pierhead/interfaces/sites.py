"""Several applications in one server, mounted by host and path prefix."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Sequence
from urllib.parse import unquote

from pierhead.config.apps import AppSettings
from pierhead.errors import HTTPError
from pierhead.failures import log_failure
from pierhead.interfaces.additions import with_additions
from pierhead.interfaces.base import Application
from pierhead.interfaces.limits import limit_body
from pierhead.messages.request import Request
from pierhead.messages.response import Response
from pierhead.messages.websocket import WebSocket

__all__ = ["Site", "Sites"]

logger = logging.getLogger("pierhead.app")


@dataclasses.dataclass(slots=True)
class Site:
    """One of the applications; `application` is None where it could not be loaded or started."""

    settings: AppSettings
    application: Application | None
    error: str = ""
    """Why it could not be loaded."""

    @property
    def name(self) -> str:
        """What logs call it."""
        return self.settings.name


class Sites:
    """Fulfils `pierhead.interfaces.base.Application` by several.

    Of those whose host and path fit a request, the one with the exact host, then with the longest wildcard,
    then for any host, and of these the one with the longest path answers it; it sees the path without its
    prefix. One that failed to load or to start answers 503, and the others go on; with `strict` all of them
    fail to start.
    """

    def __init__(self, sites: Sequence[Site], *, strict: bool = False) -> None:
        self.sites = list(sites)
        self._strict = strict
        self._hosts: dict[str, list[Site]] = {}
        for site in sorted(sites, key=lambda site: -len(site.settings.path)):
            for host in site.settings.hosts or ("",):
                self._hosts.setdefault(host, []).append(site)

    @property
    def name(self) -> str:
        """What logs call it."""
        return ", ".join(site.name for site in self.sites)

    def start_master(self) -> None:
        """Run the start hooks for the master of each; see Application."""
        for site in self.sites:
            if site.application is not None:
                try:
                    site.application.start_master()
                except Exception:  # noqa: BLE001 - logged there, or raised again
                    self._failed(site, "a start hook for the master failed")

    def stop_master(self) -> None:
        """Run the stop hooks for the master of each, also where another one's fail; see Application."""
        errors = []
        for site in reversed(self.sites):
            if site.application is not None:
                try:
                    site.application.stop_master()
                except Exception as error:  # noqa: BLE001 - the others have to stop
                    errors.append(error)
        _raise(errors)

    async def start(self) -> None:
        """Start each; see Application."""
        started = []
        try:
            for site in self.sites:
                if site.application is None:
                    continue
                try:
                    await site.application.start()
                except Exception:  # noqa: BLE001 - logged there, or raised again
                    self._failed(site, "did not start")
                else:
                    started.append(site.application)
        except BaseException:
            for application in reversed(started):
                try:
                    await application.stop()
                except Exception:
                    logger.exception("%s failed to stop after a failed start", application.name)
            raise

    async def stop(self) -> None:
        """Stop each, also where another one fails; see Application."""
        errors = []
        for site in reversed(self.sites):
            if site.application is not None:
                try:
                    await site.application.stop()
                except Exception as error:  # noqa: BLE001 - the others have to stop
                    errors.append(error)
        _raise(errors)

    async def respond(self, request: Request) -> Response | None:
        """Have the one that fits answer; see Application."""
        site = self._find(request)
        if site is None:
            return with_additions(request, Response.problem(404, "there is nothing at this path"))
        if site.application is None:
            return with_additions(request, _unavailable())
        limit = site.settings.max_body_bytes
        if limit:
            try:
                limit_body(request, limit)
            except HTTPError as error:
                return with_additions(request, Response.problem(error.status, error.detail))
        if not site.settings.handler_timeout_s:
            return await site.application.respond(request)
        return await _within(site.settings.handler_timeout_s, site.application, request)

    async def converse(self, socket: WebSocket) -> None:
        """Have the one that fits converse; see Application."""
        site = self._find(socket.request)
        if site is None:
            await socket.reject(Response.problem(404, "there is nothing at this path"))
        elif site.application is None:
            await socket.reject(_unavailable())
        else:
            await site.application.converse(socket)

    def _find(self, request: Request) -> Site | None:
        """Find the site of a request, and move its prefix from the path to the root path."""
        path = request.raw_path
        for sites in self._candidates(request):
            for site in sites:
                prefix = site.settings.path
                if prefix == "/":
                    return site
                used = _used(path, prefix)
                if used:
                    request.root_path += path[:used]
                    request.raw_path = path[used:] or "/"
                    return site
        return None

    def _candidates(self, request: Request) -> list[list[Site]]:
        """Return the sites whose host fits, the most specific first."""
        found = []
        if len(self._hosts) > 1 or "" not in self._hosts:
            host = request.host.lower()
            if not host.endswith("]"):
                host = host.rpartition(":")[0] or host if host.rpartition(":")[2].isdecimal() else host
            names = [host.rstrip(".")]
            while "." in names[-1].removeprefix("*."):
                names.append("*." + names[-1].removeprefix("*.").partition(".")[2])
            found = [self._hosts[name] for name in names if name in self._hosts]
        return [*found, self._hosts.get("", [])]

    def _failed(self, site: Site, what: str) -> None:
        """Take a site out; called where its exception is handled."""
        if self._strict:
            raise  # noqa: PLE0704 - the exception that is being handled
        logger.exception("%s %s: it answers 503, the others go on", site.name, what)
        site.application = None


def _used(path: str, prefix: str) -> int:
    """Return how much of a raw path is its prefix, 0 where it has another; %61 is an a, %2F no slash."""
    if path == prefix or path.startswith(f"{prefix}/"):
        return len(prefix)
    if "%" not in path:
        return 0
    segments = path.split("/", prefix.count("/") + 1)[: prefix.count("/") + 1]
    return len("/".join(segments)) if [unquote(each) for each in segments] == prefix.split("/") else 0


def _unavailable() -> Response:
    return Response.problem(503, "this application is not running", headers={"Retry-After": "10"})


async def _within(seconds: float, application: Application, request: Request) -> Response | None:
    """Have an application begin its response in time, or cancel it and answer 504."""
    task = asyncio.current_task()
    assert task is not None
    late = False

    def give_up() -> None:
        nonlocal late
        if request.channel is None or not request.channel.started:
            late = True
            task.cancel()

    timer = asyncio.get_running_loop().call_later(seconds, give_up)
    try:
        return await application.respond(request)
    except asyncio.CancelledError:
        if not late or task.uncancel():
            raise
        log_failure(request, "took longer than the handler_timeout_s=%g of %s", seconds, application.name)
        return with_additions(request, Response.problem(504, "the application did not answer in time"))
    finally:
        timer.cancel()


def _raise(errors: list[Exception]) -> None:
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ExceptionGroup("several applications failed to stop", errors)
