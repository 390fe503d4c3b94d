"""Holds answers to the reference: the native application's by HTTP/1.1 on TCP."""

from __future__ import annotations

import dataclasses
import logging
from concurrent.futures import ThreadPoolExecutor

from tests.contract.applications import host_of
from tests.contract.cases import CASES, Case
from tests.contract.ways import Serving, Way
from tests.contract.webservers import SAME, Difference
from tests.contract.wire import Answer

__all__ = ["Contract", "asked"]

# About the connection, or the server that answers: not the application's.
NOT_THE_APPLICATIONS = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "date", "server", "via", "x-request-id"}
)


class _Complaints(logging.Handler):
    """Keeps what the server logs as wrong: an answer that is right is not enough."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


class Contract:
    """The references, and what to compare with them."""

    def __init__(self, serving: Serving) -> None:
        self.serving = serving
        by_http = serving.ways()["HTTP/1.1"]
        self._references = {case.name: by_http.ask(addressed(case, "native").ask) for case in CASES}
        failed = [name for name, answer in self._references.items() if answer.status == 500]
        assert failed == ["500"], f"the references themselves fail: {failed}"

    def check(self, name: str, way: Way, interface: str, difference: Difference = SAME) -> None:
        """Fail with all cases that are answered otherwise, but for what is known to be different."""
        cases = asked(name, interface)
        if not difference.status:
            cases = [case for case in cases if case.name not in difference.cases]
        with ThreadPoolExecutor(4 if interface == "CGI program" else way.at_once) as pool:
            logging.getLogger("pierhead").addHandler(complaints := _Complaints())
            try:
                found = pool.map(lambda case: self._differences(case, way, interface, difference), cases)
                differences = [line for lines in found for line in lines]
            finally:
                logging.getLogger("pierhead").removeHandler(complaints)
        differences += [f"logged: {text}" for text in complaints.texts]
        assert not differences, f"{name}, {interface}:\n" + "\n".join(differences)

    def _differences(self, case: Case, way: Way, interface: str, difference: Difference) -> list[str]:
        expected = self._references[case.name]
        if case.name in way.says:
            body = way.says[case.name]
            fields = [(key, value) for key, value in expected.fields if key != "Content-Length"]
            expected = Answer(expected.status, [*fields, ("Content-Length", str(len(body)))], body)
        try:
            answer = way.ask(addressed(case, interface).ask)
        except Exception as error:  # noqa: BLE001 - to be shown with the others
            return [f"{case.name}: {error!r}"]
        if case.name in difference.cases:
            return [] if answer.status == difference.status else [f"{case.name}: status {answer.status}"]
        if case.ask.expects and way.by_http and answer.interim != (100,):
            return [f"{case.name}: before the response came {answer.interim}, not 100"]
        return [f"{case.name}: {line}" for line in compared(expected, answer)]


def asked(name: str, interface: str) -> list[Case]:
    """Return the cases for a way: all, or fewer where each starts a server of its own."""
    if name == "Apache `mod_cgid`":
        if interface == "isolated":  # each has a process of its own anyhow
            return CASES[::15]
        return [case for number, case in enumerate(CASES) if number % 3]
    return CASES


def addressed(case: Case, interface: str) -> Case:
    """Return the case for the application behind an interface."""
    return dataclasses.replace(case, ask=dataclasses.replace(case.ask, host=host_of(interface)))


def compared(expected: Answer, answer: Answer) -> list[str]:
    """Return how two answers differ."""
    differences = []
    if answer.status != expected.status:
        differences.append(f"status {answer.status} instead of {expected.status}")
    if answer.body != expected.body:
        differences.append(f"body {answer.body[:60]!r} instead of {expected.body[:60]!r}")
    ours, theirs = relevant(answer), relevant(expected)
    if "content-length" not in theirs:  # in pieces; who has them all may say how many bytes there are
        assert ours.pop("content-length", [str(len(answer.body))]) == [str(len(answer.body))]
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            differences.append(f"{name} {ours.get(name)} instead of {theirs.get(name)}")
    return differences


def relevant(answer: Answer) -> dict[str, list[str]]:
    """Return the application's fields by name; two lines or one list make no difference (RFC 9110, 5.3)."""
    fields: dict[str, list[str]] = {}
    for name, value in answer.fields:
        if name.lower() not in NOT_THE_APPLICATIONS:
            fields.setdefault(name.lower(), []).append(value)
    return {name: values if name == "set-cookie" else [", ".join(values)] for name, values in fields.items()}
