"""Waiting for signals, channels and time at once, for processes that have no event loop."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
from collections.abc import Iterable
from typing import Any

__all__ = ["Reactor"]


class Reactor:
    """Collects signals and readable channels; as a context manager it puts the old signal handlers back."""

    def __init__(self, signals: Iterable[signal.Signals]) -> None:
        self._selector = selectors.DefaultSelector()
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        os.set_blocking(self._write_end, False)
        self._selector.register(self._read_end, selectors.EVENT_READ)
        # The handlers do nothing: the number of the signal arrives through the pipe.
        self._old = {number: signal.signal(number, _ignore) for number in signals}
        self._old_fd = signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)

    def add(self, channel: Any) -> None:
        """Wait for a channel too."""
        self._selector.register(channel, selectors.EVENT_READ)

    def remove(self, channel: Any) -> None:
        """Wait for a channel no more."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(channel)

    def wait(self, seconds: float | None) -> tuple[list[signal.Signals], list[Any]]:
        """Return the signals that came, in order, and the channels to read; both may be empty."""
        ready = self._selector.select(seconds)
        signals: list[signal.Signals] = []
        channels = []
        for key, _ in ready:
            if key.fileobj == self._read_end:
                with contextlib.suppress(BlockingIOError):
                    signals = [signal.Signals(number) for number in os.read(self._read_end, 4096)]
            else:
                channels.append(key.fileobj)
        return signals, channels

    def close(self) -> None:
        """Put the signal handlers back and close the pipe; in a forked child the parent's stay."""
        signal.set_wakeup_fd(self._old_fd)
        for number, handler in self._old.items():
            signal.signal(number, handler)
        self._selector.close()
        os.close(self._read_end)
        os.close(self._write_end)


def _ignore(number: int, frame: object) -> None:
    """Do nothing, which is not the same as SIG_IGN: the wake-up pipe needs a handler."""
