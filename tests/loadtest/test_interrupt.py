"""SIGTERM is taken for Ctrl-C while something is measured, and only then."""

from __future__ import annotations

import os
import signal
import time

import pytest

from loadtest.interrupt import interruptible


def test_a_signal_to_end_is_an_interruption() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), interruptible():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)  # where the signal arrives
    assert signal.getsignal(signal.SIGTERM) == before
