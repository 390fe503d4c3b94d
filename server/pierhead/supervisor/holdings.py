"""What a server has once, while generations come and go: listeners, board, pid file, control socket."""

from __future__ import annotations

import dataclasses
import logging
import os

from pierhead.board import BOARD_BYTES, Board
from pierhead.config import Settings
from pierhead.log import facts
from pierhead.scratch import scratch_file
from pierhead.supervisor import systemd
from pierhead.supervisor.account import account_of
from pierhead.supervisor.control import Control, ControlError
from pierhead.supervisor.heritage import Heritage
from pierhead.supervisor.listeners import BindError, Listener, adopt, bind, listener_url, unlink
from pierhead.supervisor.pidfile import PidFile

__all__ = ["Holdings"]

logger = logging.getLogger("pierhead.master")


class Holdings:
    """Opens it all, or takes it over from the program that ran in this process before; `close` gives it up.

    Raises BindError, PidFileError, and ConfigError as `account_of`.
    """

    def __init__(self, settings: Settings, heritage: Heritage) -> None:
        self.control: Control | None = None
        self._listeners: dict[str, Listener] = {}
        self._pid_file: PidFile | None = None
        try:
            self._open(settings, heritage)
        except BaseException:
            self.close()
            raise
        self.urls = [listener_url(bound) for bound in self._listeners.values()]
        """The addresses that are listened on, with the ports the system chose; the metrics' is the last."""

    def _open(self, settings: Settings, heritage: Heritage) -> None:
        account = account_of(settings)
        metrics = settings.metrics_listen
        urls = dict.fromkeys(systemd.passed_urls(settings.listen, Settings().listen, os.environ))
        urls.update({metrics: None} if metrics else {})
        # Those that are inherited first: a new one could get a number that is only said to be a socket's.
        for url in sorted(urls, key=lambda url: "fd:" not in url):
            try:
                fd = heritage.listeners.pop(url, None)
                bound = bind(url, settings.backlog, account) if fd is None else adopt(url, fd)
                self._listeners[url] = bound
            except BindError as error:
                if not heritage.generations:
                    raise
                logger.error(  # noqa: TRY400 - it says all
                    "%s; going on without it",
                    error,
                    extra=facts("listener_lost", listener=url, reason=str(error)),
                )
        for url, fd in heritage.listeners.items():
            adopt(url, fd).close()  # it is not in the settings any more
        if metrics in self._listeners:  # the last one, as workers expect it
            self._listeners[metrics] = self._listeners.pop(metrics)
        self.served = tuple(url for url in self._listeners if url != metrics)
        """The URLs of the application's listeners, as they were set."""
        known = heritage.board >= 0 and heritage.board_bytes == BOARD_BYTES
        self.board_fd = heritage.board if known else scratch_file("pierhead-board", BOARD_BYTES)
        self.board = Board(self.board_fd)
        if settings.pid_file:
            self._pid_file = PidFile(settings.pid_file, heritage.pid_file)
        if settings.control_socket:
            try:
                self.control = Control(settings.control_socket)
            except ControlError as error:
                logger.warning(
                    "%s; `pierhead status` and `reload` will not find this server",
                    error,
                    extra=facts("control_lost", reason=str(error)),
                )

    @property
    def sockets(self) -> list[int]:
        """The descriptors of the listeners."""
        return [bound.fileno() for bound in self._listeners.values()]

    def pack(self, heritage: Heritage) -> Heritage:
        """Return a heritage with what is held, for the program that takes this one's place."""
        return dataclasses.replace(
            heritage,
            listeners={url: bound.fileno() for url, bound in self._listeners.items()},
            board=self.board_fd,
            pid_file=self._pid_file.fileno() if self._pid_file is not None else -1,
        )

    def close_listeners(self) -> None:
        """Listen no more."""
        while self._listeners:
            _, bound = self._listeners.popitem()
            unlink(bound)
            bound.close()

    def close(self) -> None:
        """Give everything up."""
        self.close_listeners()
        if self.control is not None:
            self.control.close()
        if self._pid_file is not None:
            self._pid_file.remove()
