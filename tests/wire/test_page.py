"""docs/wire.md says what the corpus says, and the corpus is what it claims to be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.wire import corpus as module
from tests.wire.corpus import corpus
from tests.wire.page import PAGE, page


def test_the_page_is_made_from_the_corpus() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m tests.wire.page"


def test_every_case_names_its_rule_and_is_there_once() -> None:
    cases = corpus()
    assert len(cases) >= 150
    assert len(cases) == sum(1 for path in module.FOLDER.rglob("*") if path.is_file())
    for case in cases:
        assert re.fullmatch(r"RFC [0-9]{4}, [0-9]+(\.[0-9]+)*", case.rule), case.name
        assert case.why.endswith("."), case.name
        assert case.status is None or 400 <= case.status < 600
        assert case.status or not case.end
    assert len({case.data for case in cases}) == len(cases)


def test_the_format(tmp_path: Path) -> None:
    (tmp_path / "group").mkdir()
    file = tmp_path / "group" / "name.http"
    file.write_text('rule = "RFC 9112, 3"\nwhy = "."\nstatus = 400\n---\na\\x00\\\\\\t\n@3 b\\r\n\\n\n')
    (case,) = (module._read(path) for path in tmp_path.glob("*/*.http"))
    assert (case.name, case.data) == ("group/name", b"a\0\\\tb\rb\rb\r\n")
    file.write_text('rule = "RFC 9112, 3"\nwhy = "."\nstats = 400\n---\n')
    with pytest.raises(ValueError, match=r"name\.http.*stats"):
        module._read(file)
