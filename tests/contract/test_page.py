"""docs/protocols.md has the pairs that the tests check, and each shipped file."""

from __future__ import annotations

from tests.contract.page import PAGE, replaced
from tests.contract.webservers import SERVERS


def test_the_table_is_what_the_tests_check() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert replaced(page) == page, "run: python -m tests.contract.page"


def test_every_shipped_file_is_named() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for server in SERVERS.values():
        assert f"proxy/{server.program}/{server.file}" in page
