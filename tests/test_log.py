"""The server's own log: records as text or JSON, of which none can be forged."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pierhead import log
from pierhead.config import Settings


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """Return what was logged since the last call; the tests' own logging is as before afterwards."""
    root = logging.getLogger()
    handlers, level, raising = root.handlers[:], root.level, logging.raiseExceptions
    yield lambda: capsys.readouterr().err
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.raiseExceptions = raising
    logging.captureWarnings(capture=False)


def test_text_says_when_how_bad_who_and_what(stderr: Callable[[], str]) -> None:
    log.configure(Settings(), "worker 2")
    logging.getLogger("shop").info("%d sold", 3)
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    pattern = rf"{stamp} info     worker 2 \[{os.getpid()}\] shop: 3 sold\n"
    assert re.fullmatch(pattern, stderr())


def test_json_is_an_object_a_line(stderr: Callable[[], str]) -> None:
    log.configure(Settings(log_format="json"), "worker 2")
    try:
        raise LookupError("no such\nthing")
    except LookupError:
        logging.getLogger("shop").exception("cannot sell")
    (line,) = stderr().splitlines()
    record = json.loads(line)
    assert record["level"] == "error"
    assert record["process"] == "worker 2"
    assert record["pid"] == os.getpid()
    assert record["logger"] == "shop"
    assert record["message"].startswith("cannot sell\nTraceback")
    assert record["message"].endswith("LookupError: no such\nthing")


def test_what_happened_has_fields_of_its_own_in_json(stderr: Callable[[], str]) -> None:
    log.configure(Settings(log_format="json"), "worker 2")
    logger = logging.getLogger("shop")
    extra = log.facts("worker_died", worker=7, exit_code=0, signal=None, request="", in_progress=["GET /"])
    logger.error("worker 7 exited", extra=extra)
    record = json.loads(stderr())
    assert record["message"] == "worker 7 exited"
    assert {name: record[name] for name in extra} == extra
    assert extra == {"event": "worker_died", "worker": 7, "exit_code": 0, "in_progress": ["GET /"]}


def test_what_an_application_adds_is_a_field_but_in_nobodys_place(stderr: Callable[[], str]) -> None:
    log.configure(Settings(log_format="json"), "worker 2")
    logging.getLogger("shop").info("sold", extra={"price": 3, "pid": -1, "who": Path("/ada")})
    record = json.loads(stderr())
    assert (record["price"], record["pid"], record["who"]) == (3, os.getpid(), "/ada")
    circle: list[object] = []
    circle.append(circle)
    logging.getLogger("shop").info("sold", extra={"circle": circle})
    assert json.loads(stderr())["circle"] == "[[...]]"


def test_lines_of_one_record_are_indented_and_controls_escaped(stderr: Callable[[], str]) -> None:
    log.configure(Settings())
    logging.getLogger("shop").info("GET /\n2026-11-21T08:41:21.123Z info forged\r\x1b[2J\x85\u2028")
    first, second = stderr().splitlines()
    assert first.endswith("shop: GET /")
    assert second == "    2026-11-21T08:41:21.123Z info forged\\x0d\\x1b[2J\\x85\\x2028"


def test_a_stack_that_is_asked_for_is_part_of_the_record(stderr: Callable[[], str]) -> None:
    log.configure(Settings())
    logging.getLogger("shop").info("who calls?", stack_info=True)
    first, second, *_ = stderr().splitlines()
    assert first.endswith("shop: who calls?")
    assert second == "    Stack (most recent call last):"


def test_less_than_the_level_is_not_logged(stderr: Callable[[], str]) -> None:
    log.configure(Settings(log_level="warning"))
    logging.getLogger("shop").info("a detail")
    logging.getLogger("shop").warning("a problem")
    assert stderr().count("\n") == 1


def test_configured_again_it_logs_once(stderr: Callable[[], str]) -> None:
    log.configure(Settings(), "generation 1")
    log.configure(Settings(), "worker 1")
    logging.getLogger("shop").info("hello")
    (line,) = stderr().splitlines()
    assert " worker 1 [" in line


def test_an_applications_own_handlers_stay(stderr: Callable[[], str]) -> None:
    own = logging.StreamHandler(io.StringIO())
    logging.getLogger().addHandler(own)
    log.configure(Settings())
    log.configure(Settings())
    assert own in logging.getLogger().handlers


def test_warnings_are_logged(stderr: Callable[[], str]) -> None:
    log.configure(Settings())
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert "py.warnings: " in stderr()


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_record_whose_arguments_do_not_fit_is_not_lost(stderr: Callable[[], str], form: str) -> None:
    log.configure(Settings(log_format=form))
    logging.getLogger("shop").error("%d sold", "three")
    (line,) = stderr().splitlines()
    assert "'%d sold' was logged with arguments that do not fit: TypeError" in line


def test_a_full_disk_under_the_log_is_survived() -> None:
    script = (
        "import logging; from pierhead import log; from pierhead.config import Settings;"
        "log.configure(Settings()); logging.error('lost'); print('alive')"
    )
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=full, check=False, timeout=60
        )
    assert done.stdout == b"alive\n"


def test_what_a_full_disk_has_torn_stays_a_line_of_its_own(tmp_path: Path) -> None:
    """The next record is not appended to it, and lost with it."""
    script = (
        "import logging, resource; from pierhead import log; from pierhead.config import Settings\n"
        "log.configure(Settings(log_format='json'))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300, resource.RLIM_INFINITY))\n"
        "for number in range(5): logging.error('%d', number)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)\n"
        "for number in range(5, 8): logging.error('%d', number)\n"
    )
    path = tmp_path / "log"
    with path.open("ab") as file:
        subprocess.run([sys.executable, "-c", script], stderr=file, check=True, timeout=60)
    messages = []
    for line in path.read_text().splitlines():
        try:
            messages.append(json.loads(line)["message"])
        except ValueError:
            messages.append("torn")
    assert messages == ["0", "1", "torn", "5", "6", "7"]
