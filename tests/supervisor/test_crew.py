"""The crew of a generation, where the system has nothing left for it."""

from __future__ import annotations

import errno
import logging
import os
import signal
from pathlib import Path
from typing import NoReturn, cast

import pytest

from pierhead.board import Board, Cell
from pierhead.config import Settings
from pierhead.interfaces.base import Application
from pierhead.supervisor.crew import Crew
from pierhead.supervisor.reactor import Reactor


def fail() -> NoReturn:
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def test_a_fork_that_fails_is_tried_again_later_and_keeps_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(os, "fork", fail)
    board = Board()
    descriptors = len(list(Path("/dev/fd").iterdir()))
    crew = Crew(cast("Application", None), Settings(workers=2), [], board, 1)
    reactor = Reactor([signal.SIGCHLD])
    try:
        with caplog.at_level(logging.ERROR):
            crew.step(reactor, lambda: None)
            crew.step(reactor, lambda: None)
        assert [record.getMessage() for record in caplog.records] == [
            "cannot fork a worker: [Errno 11] Resource temporarily unavailable; next try in 1 s"
        ], "one is enough to know: the other waits as well"
        assert crew.is_empty
        assert not crew.is_complete
        assert not board.row(1, 1).cells[Cell.STATE]
        assert 0.0 < crew.seconds_to_wait() <= 1.0
    finally:
        reactor.close()
    assert len(list(Path("/dev/fd").iterdir())) == descriptors
