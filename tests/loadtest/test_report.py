"""The report has numbers for valid rows only, and the same facts as a table and as JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from loadtest.report import Row, as_json, table, write
from loadtest.tools import Sample

DIRECT = Row(
    "read", "direct", "wrk", [Sample(1000, 1, 3, 5000), Sample(3000, 2, 4, 9000), Sample(2000, 3, 5, 7000)]
)
NGINX = Row("read", "nginx", "wrk", [Sample(1500, 4, 8.5, 5000)])
BROKEN = Row("read", "caddy", "wrk", [Sample(900, 1, 1, 100), Sample(900, 1, 1, 99, {"status": 3}, "why")])


def test_a_row_has_the_median_the_range_and_the_ratio_to_direct() -> None:
    lines = table([DIRECT, NGINX]).splitlines()
    assert lines[0].split("  ")[0] == "scenario"
    assert lines[2].split() == [
        "read",
        "direct",
        "wrk",
        "2,000",
        "(1,000-3,000)",
        "2.00",
        "4.00",
        "0",
        "1.00",
    ]
    assert lines[3].split() == ["read", "nginx", "wrk", "1,500", "(1,500-1,500)", "4.00", "8.50", "0", "0.75"]


def test_a_row_with_an_error_in_any_round_has_no_numbers() -> None:
    text = table([DIRECT, BROKEN])
    assert text.splitlines()[3].split() == ["read", "caddy", "wrk", "not", "valid", "-", "-", "3", "-"]
    assert "900" not in text
    assert "read caddy: status 3: why" in text


def test_there_is_no_ratio_to_a_direct_run_with_errors() -> None:
    assert (
        table([Row("read", "direct", "wrk", BROKEN.samples), NGINX]).splitlines()[3].endswith(" 0          -")
    )


def test_a_time_below_the_tools_precision_is_not_shown_as_zero() -> None:
    line = table([Row("simple", "direct", "locust", [Sample(1000, 0.0, 0.0, 5000)])]).splitlines()[2]
    assert line.split()[5:7] == ["<1", "<1"]


def test_a_row_that_was_interrupted_says_so() -> None:
    assert "not run" in table([Row("read", "direct", "wrk")])


def test_json_has_every_round_and_no_summary_of_invalid_rows() -> None:
    document = json.loads(json.dumps(as_json([DIRECT, BROKEN], {"complete": True})))
    good, bad = document["results"]
    assert document["complete"] is True
    assert good["requests_per_s"] == {"median": 2000, "min": 1000, "max": 3000}
    assert [one["requests"] for one in good["rounds"]] == [5000, 9000, 7000]
    assert bad["valid"] is False
    assert bad["errors"] == {"status": 3}
    assert "requests_per_s" not in bad


def test_the_report_is_a_new_file_named_after_its_time(tmp_path: Path) -> None:
    path = write(tmp_path / "new", {"a": 1}, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert path.name == "bench-20260102T030405Z.json"
    assert json.loads(path.read_text()) == {"a": 1}


def test_a_report_that_cannot_be_written_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write(tmp_path, {}, datetime.now(UTC))
    assert list(tmp_path.iterdir()) == []
