"""Writes the table of pairs into docs/protocols.md, from a run of the contract:

python -m tests.contract.page
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from tests.contract.applications import INTERFACES
from tests.contract.check import Contract, asked
from tests.contract.ways import Serving, Way, http_way
from tests.contract.webservers import DIFFERENCES, SAME, SERVERS, open_folder, running

__all__ = ["DIRECT", "PAGE", "replaced", "table"]

PAGE = Path(__file__).parents[2] / "docs" / "protocols.md"
DIRECT = [
    "HTTP/1.1",
    "HTTP/1.1 on a unix socket",
    "HTTPS",
    "HTTP/1.1 on standard input and output",
    "HTTP/2",
    "HTTP/2 over TLS",
    "FastCGI",
    "SCGI",
    "CGI",
]
_TABLE = re.compile(r"(<!-- pairs -->\n).*?(<!-- end of pairs -->)", re.DOTALL)


def table() -> str:
    """Render the pairs, with how many requests were answered alike by each: what the tests check."""
    lines = [f"| | {' | '.join(INTERFACES)} |", "| --- |" + " --- |" * len(INTERFACES)]
    for way in [*DIRECT, *SERVERS]:
        different = DIFFERENCES.get(way, SAME)
        counts = [
            str(sum(case.name not in different.cases for case in asked(way, interface)))
            for interface in INTERFACES
        ]
        note = f" ({different.what})" if different.what else ""
        lines.append(f"| {way}{note} | {' | '.join(counts)} |")
    return "\n".join(lines) + "\n"


def replaced(page: str) -> str:
    """Return the page with the table as it should be."""
    return _TABLE.sub(lambda match: match[1] + table() + match[2], page)


def _check(contract: Contract, name: str, way: Way) -> None:
    for interface in INTERFACES:
        contract.check(name, way, interface, DIFFERENCES.get(name, SAME))
        print(f"{name}, {interface}: alike")


def main() -> None:
    """Run the contract; write the table once all is well. Raises AssertionError for what is not."""
    with tempfile.TemporaryDirectory() as folder:
        serving = Serving(Path(folder))
        try:
            contract = Contract(serving)
            for name, way in serving.ways().items():
                _check(contract, name, way)
            for name, server in SERVERS.items():
                with (
                    open_folder() as place,
                    running(server, place, serving.ports, serving.upstreams) as port,
                ):
                    _check(contract, name, http_way(port, at_once=4 if server.protocol == "cgi" else 1))
        finally:
            serving.close()
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
