"""Metrics in Prometheus' text format (0.0.4), added up over all workers, those that are gone included.

They are read from the board, so any process of the server can render them, and nothing is written to files.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from pierhead.board import BLOCKS, Board, Cell, Row, State
from pierhead.messages.response import Response
from pierhead.transports.meter import BOUNDS_S

if TYPE_CHECKING:
    from pierhead.messages.request import Request
    from pierhead.messages.websocket import WebSocket

__all__ = ["CONTENT_TYPE", "Metrics", "render"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_CLASSES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
_ATTEMPTS = 40
_AGAIN_S = 0.002  # whoever moves a row may have to wait for a processor
_MOMENTARY = (
    Cell.OPEN,
    Cell.IN_FLIGHT,
    Cell.QUEUED,
    Cell.PROCESSES,
    Cell.PROCESSES_BUSY,
    Cell.PROCESSES_AWAITED,
)


class Metrics:
    """Fulfils `pierhead.interfaces.base.Application`: answers GET /metrics."""

    name = "metrics"

    def __init__(self, board: Board) -> None:
        self._board = board

    def start_master(self) -> None:
        """Do nothing; see Application."""

    def stop_master(self) -> None:
        """Do nothing; see Application."""

    async def start(self) -> None:
        """Do nothing; see Application."""

    async def stop(self) -> None:
        """Do nothing; see Application."""

    def respond(self, request: Request) -> Coroutine[Any, Any, Response | None]:
        """Answer with the metrics, or 404 or 405."""
        return self._respond(request)

    async def converse(self, socket: WebSocket) -> None:
        """Refuse a WebSocket; see Application."""
        await socket.reject(Response.problem(404, "the metrics are at /metrics"))

    async def _respond(self, request: Request) -> Response:
        if request.raw_path != "/metrics":
            return Response.problem(404, "the metrics are at /metrics")
        if request.method not in {"GET", "HEAD"}:
            return Response.problem(405, "ask with GET or HEAD", headers={"Allow": "GET, HEAD"})
        return Response(
            render(self._board), headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"}
        )


def render(board: Board) -> str:
    """Return the metrics as text."""
    totals = _totals(board)
    workers = list(_workers(board))
    lines: list[str] = []

    def family(name: str, kind: str, what: str, samples: Iterable[tuple[str, float]]) -> None:
        lines.append(f"# HELP pierhead_{name} {what}")
        lines.append(f"# TYPE pierhead_{name} {kind}")
        lines.extend(f"pierhead_{name}{labels} {value:.10g}" for labels, value in samples)

    def each_worker(value: Callable[[list[int]], float]) -> Iterator[tuple[str, float]]:
        for cells in workers:
            if cells[Cell.PID]:  # else it is just being forked
                yield f'{{pid="{cells[Cell.PID]}",slot="{cells[Cell.SLOT]}"}}', value(cells)

    family(
        "responses_total",
        "counter",
        "Responses, by class of their status; none: the client had left.",
        ((f'{{status="{name}"}}', totals[Cell.STATUS + i]) for i, name in enumerate(_CLASSES)),
    )
    family("response_duration_seconds", "histogram", "From a request's head to its response's end.", ())
    lines += _histogram(totals)
    family("response_body_bytes_total", "counter", "Bytes of bodies sent.", [("", totals[Cell.BYTES])])
    family("connections_total", "counter", "Connections accepted.", [("", totals[Cell.ACCEPTED])])
    family("connections", "gauge", "Connections that are open.", [("", totals[Cell.OPEN])])
    family("in_flight", "gauge", "Requests and WebSockets in progress.", [("", totals[Cell.IN_FLIGHT])])
    family("queued", "gauge", "Requests that wait for their turn.", [("", totals[Cell.QUEUED])])
    family("refused_total", "counter", "Requests refused, as too many waited.", [("", totals[Cell.REFUSED])])
    states = [cells[Cell.STATE] for cells in workers]
    family(
        "workers",
        "gauge",
        "Workers, by state.",
        ((f'{{state="{state.name.lower()}"}}', states.count(state)) for state in State if state),
    )
    family("restarts_total", "counter", "Workers that died or were killed.", [("", totals[Cell.RESTARTS])])
    busy = totals[Cell.PROCESSES_BUSY]
    states_of_processes = [
        ('{state="busy"}', busy),
        ('{state="idle"}', totals[Cell.PROCESSES] - busy),
    ]
    family("isolated_processes", "gauge", "Processes of isolated requests, by state.", states_of_processes)
    awaited = [("", totals[Cell.PROCESSES_AWAITED])]
    family("isolated_waiting", "gauge", "Requests that wait for such a process.", awaited)
    crashed = [("", totals[Cell.PROCESSES_CRASHED])]
    family("isolated_crashed_total", "counter", "Such processes that ended by themselves.", crashed)
    killed = [("", totals[Cell.PROCESSES_KILLED])]
    family("isolated_killed_total", "counter", "Such processes killed as they took too long.", killed)
    family(
        "loop_lag_seconds",
        "gauge",
        "How late a worker's event loop was at its last beat.",
        each_worker(lambda cells: cells[Cell.LAG_US] / 1e6),
    )
    family(
        "loop_lag_longest_seconds",
        "gauge",
        "How late any event loop ever was.",
        [("", totals[Cell.LONGEST_LAG_US] / 1e6)],
    )
    return "\n".join(lines) + "\n"


def _workers(board: Board) -> Iterator[list[int]]:
    """Yield what the workers' rows say, read once: they are cleared when a worker is gone."""
    for block in range(1, BLOCKS):
        for index, row in board.rows(block):
            if index and (cells := list(row.cells[: Cell.ACCEPTED]))[Cell.STATE]:
                yield cells


def _histogram(totals: list[int]) -> Iterator[str]:
    count = 0
    for index, bound in enumerate((*BOUNDS_S, "+Inf")):
        count += totals[Cell.BUCKET + index]
        yield f'pierhead_response_duration_seconds_bucket{{le="{bound}"}} {count}'
    yield f"pierhead_response_duration_seconds_sum {totals[Cell.DURATION_US] / 1e6:.10g}"
    yield f"pierhead_response_duration_seconds_count {count}"


def _totals(board: Board) -> list[int]:
    """Add all rows up; again where a row was moved into another meanwhile, and would count twice."""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_AGAIN_S)
        before = _versions(board)
        totals = [0] * 64
        _add(totals, board.row(0, 0))
        for block in range(1, BLOCKS):
            for _, row in board.rows(block):
                _add(totals, row)
        if _versions(board) == before and not any(version % 2 for version in before):
            break
    return totals


def _add(totals: list[int], row: Row) -> None:
    cells = row.cells
    for cell in (*_MOMENTARY, *range(Cell.ACCEPTED, 64)):
        if cell == Cell.LONGEST_LAG_US:
            totals[cell] = max(totals[cell], cells[cell])
        else:
            totals[cell] += cells[cell]


def _versions(board: Board) -> list[int]:
    return [board.row(block, 0).cells[Cell.VERSION] for block in range(BLOCKS)]
