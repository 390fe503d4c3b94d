"""A program that has locust loaded, and runs it again and again, each time in a process of its own (a fork).

Loading locust takes longer than many a measurement. `spawner.py` starts this, and writes a line of JSON for
each run: `words` for locust, `env`, `cores` to be bound to ([]: any), and `output`, the file for what it
says. Each is answered with a line: the exit code.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any

import locust.main  # first of all: it makes the standard library cooperative

import gevent  # isort: skip


def run(order: dict[str, Any]) -> int:
    """Become locust; return its exit code."""
    os.environ.update(order["env"])
    # Timers count from when the event loop last saw the time, which was before we waited for the order.
    gevent.get_hub().loop.update_now()
    if order["cores"]:
        os.sched_setaffinity(0, order["cores"])
    sys.argv = ["locust", *order["words"]]
    try:
        locust.main.main()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:  # noqa: BLE001 - whoever waits for the output wants to know
        traceback.print_exc()
        return 1
    return 0


def main() -> None:
    """Do what the lines of standard input say, until it ends."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            for place, handle in enumerate((nothing, output, output)):
                os.dup2(handle, place)
            code = run(order)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
