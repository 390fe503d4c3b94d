"""Metrics: what all workers counted, as Prometheus reads it."""

from __future__ import annotations

import os
import re
import signal
from http.client import HTTPConnection
from pathlib import Path

import pytest

from pierhead.board import Board, Cell, State
from pierhead.metrics import render
from tests.supervisor.harness import Load, Pierhead, eventually

SAMPLE = re.compile(r'(pierhead_[a-z_]+)((?:\{[a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*\})?) (\S+)')


def parse(text: str) -> dict[str, float]:
    """Return the samples, by name and labels; fails where a line is none."""
    samples = {}
    for line in text.splitlines():
        if not line.startswith("# "):
            match = SAMPLE.fullmatch(line)
            assert match is not None, line
            samples[match[1] + match[2]] = float(match[3])
    return samples


def test_rows_of_all_blocks_are_added_up() -> None:
    board = Board()
    for block, index in [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1)]:
        cells = board.row(block, index).cells
        board.row(block, 0).cells[Cell.HIGHEST] = 1
        cells[Cell.STATE] = State.SERVING
        cells[Cell.STATUS + 2] = 10
        cells[Cell.BUCKET] = 4
        cells[Cell.BUCKET + 13] = 6
        cells[Cell.DURATION_US] = 1_500_000
        cells[Cell.LONGEST_LAG_US] = index * 1000
        cells[Cell.PROCESSES], cells[Cell.PROCESSES_BUSY] = 3 * index, 2 * index
        cells[Cell.PROCESSES_AWAITED] = index
        cells[Cell.PROCESSES_CRASHED], cells[Cell.PROCESSES_KILLED] = 2, 1
    samples = parse(render(board))
    assert samples['pierhead_responses_total{status="2xx"}'] == 50
    assert samples['pierhead_response_duration_seconds_bucket{le="0.001"}'] == 20
    assert samples['pierhead_response_duration_seconds_bucket{le="+Inf"}'] == 50
    assert samples["pierhead_response_duration_seconds_count"] == 50
    assert samples["pierhead_response_duration_seconds_sum"] == 7.5
    assert samples['pierhead_isolated_processes{state="busy"}'] == 4
    assert samples['pierhead_isolated_processes{state="idle"}'] == 2
    assert samples["pierhead_isolated_waiting"] == 2
    assert samples["pierhead_isolated_crashed_total"] == 10
    assert samples["pierhead_isolated_killed_total"] == 5
    assert samples["pierhead_loop_lag_longest_seconds"] == 0.001
    assert samples['pierhead_workers{state="serving"}'] == 2


def test_a_worker_that_is_just_being_forked_has_no_samples_of_its_own() -> None:
    board = Board()
    board.row(1, 0).cells[Cell.HIGHEST] = 2
    for index, pid in [(1, 0), (2, 4711)]:
        cells = board.row(1, index).cells
        cells[Cell.STATE], cells[Cell.PID], cells[Cell.SLOT] = State.STARTING, pid, index
    samples = parse(render(board))
    assert [name for name in samples if "pid=" in name] == ['pierhead_loop_lag_seconds{pid="4711",slot="2"}']
    assert samples['pierhead_workers{state="starting"}'] == 2


def test_what_is_moved_from_row_to_row_meanwhile_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would count twice, and less the next time: no counter may go back."""
    board = Board()
    generation, worker = board.row(1, 0), board.row(1, 1)
    generation.cells[Cell.STATE] = worker.cells[Cell.STATE] = State.SERVING
    generation.cells[Cell.HIGHEST] = 1
    worker.cells[Cell.ACCEPTED] = 10
    generation.cells[Cell.VERSION] += 1
    generation.add_totals(worker)  # and now who moves it has to wait for a processor
    waited = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 10:
            worker.clear()
            generation.cells[Cell.VERSION] += 1

    monkeypatch.setattr("pierhead.metrics.time.sleep", sleep)
    assert parse(render(board))["pierhead_connections_total"] == 10
    assert len(waited) == 10


def scrape(port: int, target: str = "/metrics") -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.2", port, timeout=60)
    try:
        connection.request("GET", target)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def test_counts_are_kept_over_crashes_and_reloads_and_on_a_listener_of_their_own(tmp_path: Path) -> None:
    with Pierhead(tmp_path, "--metrics-listen", "http://127.0.0.2:0") as server:
        match = re.search(r"http://127\.0\.0\.2:([0-9]+)", server.log)
        assert match is not None, server.log
        port = int(match[1])

        def answered() -> float:
            return parse(scrape(port)[1])['pierhead_responses_total{status="2xx"}']

        assert server.get("/metrics")[0] == 404, "not on the application's"
        assert scrape(port, "/")[0] == 404, "and nothing else on theirs"
        with Load(server).running() as load:
            load.more()
        count = load.answered
        eventually(lambda: answered() == count, "all are counted")
        os.kill(server.workers().pop(), signal.SIGKILL)
        server.wait_for_log("replacing it")
        assert answered() == count
        server.signal(signal.SIGHUP)
        server.wait_for_log("generation 2 serves")
        eventually(lambda: len(server.note_processes()) == 3, "the old generation leaves")
        assert answered() == count
        assert parse(scrape(port)[1])["pierhead_restarts_total"] == 1
