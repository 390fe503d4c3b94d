"""The wall clock jumps, by hours and years, back and forth: nothing but dates may notice.

The clock is libfaketime's: it takes the offset from a file, and leaves the monotonic clock alone.
"""

from __future__ import annotations

import contextlib
import datetime
import email.utils
import re
import signal
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.faults.test_balance import ask, connect
from tests.faults.test_limits import response
from tests.supervisor.harness import APP, Load, Pierhead, alive, eventually

LIBRARY = next(
    (path for path in Path("/usr/lib").glob("*/faketime/libfaketime.so.1") if sys.platform == "linux"), None
)
pytestmark = pytest.mark.skipif(LIBRARY is None, reason="needs libfaketime (Debian: libfaketime)")

DAY = datetime.timedelta(days=1)
JUMPS = {"a year ahead": 365 * DAY, "two years back": -365 * DAY, "an hour ahead": DAY / 24, "none": 0 * DAY}
CLOCK = (
    APP
    + """
@app.get("/clock")
async def clock(request: Request) -> Response:
    return Response.text(str(time.time()))
"""
)
OPTIONS = (
    *("--hang-timeout-s", "20", "--keep-alive-timeout-s", "60", "--head-timeout-s", "60"),
    *("--handler-timeout-s", "60", "--max-worker-age-s", "3600", "--websocket-ping-interval-s", "60"),
)


def set_clock(offset: Path, by: datetime.timedelta) -> None:
    """Move the clock; every process of the server reads the file anew whenever it asks for the time."""
    new = offset.with_suffix(".new")
    new.write_text(f"{by.total_seconds():+.0f}s\n")
    new.rename(offset)


def is_near(server: Pierhead, then: datetime.datetime) -> bool:
    """Tell whether the server has, and says, nearly this time."""
    with connect(server) as client:
        client.sendall(b"GET /clock HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        head, _, body = response(client).partition(b"\r\n\r\n")
    match = re.search(rb"\r\nDate: ([^\r]+)", head)
    assert match is not None
    said = email.utils.parsedate_to_datetime(match[1].decode())
    return max(abs((said - then).total_seconds()), abs(float(body) - then.timestamp())) < 60


def is_told(log: Path, then: datetime.datetime) -> bool:
    """Tell whether the log has a line of this hour, or of the next, which may just have begun."""
    lines = log.read_text()
    return any(f"{hour:%d/%b/%Y:%H}" in lines for hour in (then, then + DAY / 24))


def test_a_clock_that_jumps_ends_no_connection_and_no_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offset = tmp_path / "offset"
    set_clock(offset, 0 * DAY)
    monkeypatch.setenv("LD_PRELOAD", str(LIBRARY))
    monkeypatch.setenv("FAKETIME_TIMESTAMP_FILE", str(offset))
    monkeypatch.setenv("FAKETIME_NO_CACHE", "1")
    monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    log = tmp_path / "access.log"
    with Pierhead(tmp_path, *OPTIONS, "--access-log", str(log), source=CLOCK) as server:
        monkeypatch.delenv("LD_PRELOAD")
        workers = server.workers()
        with Load(server).running() as load, contextlib.ExitStack() as stack:
            idle = [stack.enter_context(connect(server)) for _ in range(8)]
            assert {ask(client) for client in idle} <= workers
            half = stack.enter_context(connect(server))
            half.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
            slow = stack.enter_context(connect(server))
            slow.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
            server.wait_until_begun()
            for jump in JUMPS.values():
                set_clock(offset, jump)
                then = datetime.datetime.now(datetime.UTC) + jump
                eventually(partial(is_near, server, then), "the clock has jumped, and Date with it")
                eventually(partial(is_told, log, then), "so has the log")
                load.more(100)
            assert {ask(client) for client in idle} <= workers, "no connection was closed"
            half.sendall(b"\r\n")
            assert half.recv(65536).startswith(b"HTTP/1.1 200 ")
            server.let_go()
            assert slow.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert load.failed == []
        assert max(load.seconds) < 30.0
        assert server.workers() == workers, "nobody was taken for one that hangs, or is old"
        assert "killing it" not in server.log
        assert "replacing it" not in server.log
        durations = [float(line.split()[-2]) for line in log.read_text().splitlines()]
        assert all(0.0 <= seconds < 60.0 for seconds in durations), "they are not measured by that clock"
        set_clock(offset, -3650 * DAY)
        server.signal(signal.SIGHUP)
        server.wait_for_log("generation 2 serves")
        eventually(lambda: not any(map(alive, workers)), "the old workers leave")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
