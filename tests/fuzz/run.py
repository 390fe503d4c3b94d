"""Fuzzes the codecs:  python -m tests.fuzz.run http1|websocket [--seconds N] [--seed N] [--atheris]

By itself it changes inputs at random and keeps those that lead to an answer that was not seen before. With
--atheris, where that is installed (pip install atheris), coverage leads it.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Callable, Iterable

from tests.fuzz import http1, websocket
from tests.fuzz.mutate import FRAMES, HTTP, Mutator
from tests.wire.autobahn.cases import CASES
from tests.wire.corpus import corpus

__all__ = ["TARGETS", "fuzz", "main"]

SMALL_BYTES = 600


def _http1(data: bytes, cut: int) -> object:
    reading = http1.check(data, cut)
    kinds = tuple(
        (seen.method, bool(seen.body), bool(seen.trailers), seen.upgrade) for seen in reading.requests
    )
    return kinds[:3], reading.refused


def _websocket(data: bytes, cut: int) -> object:
    events = websocket.check(data, cut) + websocket.check(data, cut, compressed=True)
    return tuple(type(event).__name__ for event in events[:4]), str(
        getattr(events[-1], "code", "")
    ) if events else ""


def _requests() -> Iterable[bytes]:
    return (case.data for case in corpus() if len(case.data) <= SMALL_BYTES)


def _frames() -> Iterable[bytes]:
    streams = (b"".join(frame.render(b"mask") for frame in case.send) for case in CASES)
    return [*FRAMES, *(stream for stream in streams if len(stream) <= SMALL_BYTES)]


TARGETS: dict[str, tuple[Callable[[bytes, int], object], Callable[[], Iterable[bytes]], list[bytes]]] = {
    "http1": (_http1, _requests, HTTP),
    "websocket": (_websocket, _frames, FRAMES),
}


def fuzz(name: str, seed: int, *, rounds: int | None = None, seconds: float = 60.0) -> tuple[int, int]:
    """Run a target until `rounds` or `seconds` are over; returns the rounds, and how many answers were seen.

    An input for which something does not hold is shown with what was raised.
    """
    target, seeds, dictionary = TARGETS[name]
    mutator = Mutator(list(seeds()), dictionary, seed)
    answers: set[object] = set()
    done = 0
    end = time.monotonic() + seconds
    while done < rounds if rounds is not None else time.monotonic() < end:
        data = mutator.draw()
        cut = mutator.chance.randint(0, len(data))
        try:
            answer = target(data, cut)
        except Exception as error:
            error.add_note(f"input: {data!r}, cut at {cut}")
            raise
        if answer not in answers:
            answers.add(answer)
            mutator.keep(data)
        done += 1
    return done, len(answers)


def main(argv: list[str]) -> int:
    """Fuzz from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--atheris", action="store_true")
    options = parser.parse_args(argv)
    if options.atheris:
        atheris = importlib.import_module("atheris")
        target = TARGETS[options.target][0]
        atheris.instrument_all()
        atheris.Setup([sys.argv[0]], lambda data: target(data[1:], data[0] if data else 0))
        atheris.Fuzz()
    print(f"seed {options.seed}", flush=True)
    rounds, answers = fuzz(options.target, options.seed, seconds=options.seconds)
    print(f"{rounds} inputs, {answers} different answers, nothing found")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
