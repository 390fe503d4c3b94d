"""`./kit bench`: the load tests of loadtest/, against the stack that runs, or one started for them."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from stack.commands import ROLES, down, up
from stack.state import State
from stack.status import status

__all__ = ["bench"]


def bench(state: State, argv: Sequence[str]) -> int:
    """Run loadtest.bench; returns its exit code. Raises KitError."""
    main = importlib.import_module("loadtest.bench").main
    if any(word in ("-h", "--help") for word in argv):
        return int(main(argv, {}))
    run = state.load()
    if run and any(record.process.alive() for record in run.records):
        return int(main(argv, status(run)))
    print("The stack is not up; starting it for the benchmark", flush=True)
    if code := up(state, ROLES, False, {}, detach=True):
        return code
    try:
        return int(main(argv, status(state.load())))
    finally:
        down(state, delete_data=False)
