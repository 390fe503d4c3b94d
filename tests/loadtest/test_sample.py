"""The sample report of the documentation is of today's code, and README.md shows a plot of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from loadtest import results
from loadtest.provenance import ROOT
from loadtest.report import command, files, sample
from loadtest.report.compact import coarser, compact
from loadtest.report.markdown import as_markdown
from loadtest.report.page import as_html
from loadtest.report.sections import all_plots
from tests.loadtest.test_results import document, three

MOST_BYTES = 2_000_000
DRAWING = re.compile(r"<svg.*?</svg>", re.DOTALL)


@pytest.fixture(scope="module")
def committed() -> dict[str, Any]:
    """The document of the sample."""
    return results.read(sample.FOLDER / "report.json")


def test_it_obeys_the_schema_and_is_complete(committed: dict[str, Any]) -> None:
    jsonschema.validate(committed, json.loads(results.SCHEMA.read_text()))
    assert committed["complete"]


def test_its_results_follow_from_its_runs(committed: dict[str, Any]) -> None:
    again = json.loads(json.dumps(committed))
    results.conclude(again)
    for one, other in zip(again["results"], committed["results"], strict=True):
        # Its histograms are coarser than those that the results were made from.
        assert {**one, "latency_us": {}} == {**other, "latency_us": {}}
    assert again["rankings"] == committed["rankings"]


def test_it_is_made_from_its_document_by_todays_code(
    committed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    fix = "./kit report docs/sample-report/report.json --sample"
    assert (sample.FOLDER / "report.md").read_text() == as_markdown(committed), fix
    monkeypatch.setattr("loadtest.report.page.as_svg", lambda plot: "<svg></svg>")  # which would take long
    page = (sample.FOLDER / "report.html").read_text()
    assert DRAWING.sub("<svg></svg>", page) == as_html(committed), fix
    pictures = {path.stem for path in (sample.FOLDER / "plots").glob("*.png")}
    assert pictures == {plot.name for plot in all_plots(committed)}, fix
    assert sample.caption(committed) in sample.README.read_text(), fix


def test_it_is_small_and_says_nothing_of_a_machines_folders() -> None:
    written = [path for path in sample.FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in written) < MOST_BYTES
    for path in written:
        if path.suffix != ".png":
            assert not re.search(r"/(?:root|home|tmp|work|Users)/", path.read_text()), path


def test_a_compact_document_keeps_its_figures() -> None:
    assert coarser([[999, 1], [1001, 2], [1099, 3], [12345, 4]]) == [[1000, 1], [1100, 5], [13000, 4]]
    made = document(*three("direct", 100, 200), *three("nginx", 50, 100))
    small = compact(made)
    assert small["results"] == made["results"]
    assert small["runs"][0]["hdr"] is None
    assert sum(count for _, count in small["runs"][0]["histogram"]) == 1000


def test_a_run_becomes_the_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- sample: begin -->\nold\n<!-- sample: end -->\nafter\n")
    monkeypatch.setattr(sample, "README", readme)
    monkeypatch.setattr(sample, "FOLDER", ROOT / "docs" / "nothing-is-written-here")
    shown: list[Path] = []

    def show(document: dict[str, Any], folder: Path) -> int:
        shown.append(folder)
        return 0

    monkeypatch.setattr(command, "show", show)
    file = results.write(tmp_path, document(*three("direct", 100, 200)))
    assert command.main([str(file), "--sample"]) == 0
    assert shown == [sample.FOLDER]
    assert "(docs/nothing-is-written-here/plots/read-cpu.png)" in readme.read_text()
    assert "a short run, 3 rounds of 1 s" in readme.read_text()
    readme.write_text("no marks")
    assert command.main([str(file), "--sample"]) == 1
    assert "has no lines <!-- sample: begin -->" in capsys.readouterr().err
    results.write(tmp_path, document())
    assert command.main([str(file), "--sample"]) == 1
    assert "no valid result of read" in capsys.readouterr().err


def test_a_compact_document_is_not_written_over_the_exact_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([str(tmp_path / "report.json"), "--compact"]) == 2
    assert "--compact needs --output" in capsys.readouterr().err
    assert command.main([]) == 2


def test_pictures_that_are_not_drawn_any_more_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadtest.report.drawing.as_png", lambda plot: b"a picture")
    monkeypatch.setattr("loadtest.report.page.as_svg", lambda plot: "<svg></svg>")
    old = tmp_path / "plots" / "old.png"
    old.parent.mkdir()
    old.write_bytes(b"a picture")
    files.render(tmp_path, document(*three("direct", 100, 200)))
    assert not old.exists()
    assert (old.parent / "read-cpu.png").exists()
