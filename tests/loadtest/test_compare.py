"""`./kit compare` fails when something became worse, and claims nothing that the rounds do not show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from loadtest import compare, results
from tests.loadtest.test_results import document, run, three

BEFORE = three("direct", 200, 202, 198)


def compared(tmp_path: Path, before: dict[str, Any], after: dict[str, Any], *more: str) -> int:
    """Run the command on two documents."""
    files = [results.write(tmp_path / name, made) for name, made in (("before", before), ("after", after))]
    return compare.main([*map(str, files), *more])


@pytest.mark.parametrize(
    ("rates", "verdict", "code"),
    [
        ((201, 199, 203), "same", 0),
        ((150, 151, 149), "worse", 1),
        ((300, 301, 299), "better", 0),
        ((100, 200, 290), "same", 0),  # lower on average, but the rounds do not agree
        ((196.1, 196.0, 195.9), "same", 0),  # lower for certain, but by 2 %
    ],
)
def test_a_change_is_claimed_when_the_interval_shows_it(
    rates: tuple[float, ...], verdict: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compared(tmp_path, document(*BEFORE), document(*three("direct", *rates))) == code
    line = capsys.readouterr().out.splitlines()[1]
    assert line.split()[-1] == verdict


def test_of_latency_more_is_worse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fast, slow = (
        document(*(run("direct", turn, 200, p99_us=p99 + turn) for turn in (1, 2, 3)), measure="p99_ms")
        for p99 in (2000, 3000)
    )
    assert compared(tmp_path, fast, slow) == 1
    assert "1 of 1 became worse" in capsys.readouterr().out
    assert compared(tmp_path, slow, fast) == 0
    assert "Nothing became worse" in capsys.readouterr().out


def test_the_tolerance_can_be_chosen(tmp_path: Path) -> None:
    after = document(*three("direct", 150, 151, 149))
    assert compared(tmp_path, document(*BEFORE), after, "--tolerance", "30") == 0


def test_a_result_that_is_not_valid_any_more_is_worse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = document(*three("direct", 200, 202), run("direct", 3, 200, errors={"status": 1}))
    assert compared(tmp_path, document(*BEFORE), broken) == 1
    assert "read direct: not valid any more: errors: status 1" in capsys.readouterr().out


def test_one_round_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compared(tmp_path, document(run("direct", 1, 200)), document(run("direct", 1, 20))) == 1
    assert "nothing can be said" in capsys.readouterr().err


def test_another_machine_is_remarked_upon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = document(*BEFORE)
    other["machine"]["cpus"] = 64
    assert compared(tmp_path, document(*BEFORE), other) == 0
    assert "Not the same machine: cpus 2 / 64" in capsys.readouterr().out


def test_what_only_one_has_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = document(*BEFORE, *three("nginx", 100, 101, 99))
    other = document(*BEFORE, *three("caddy", 100, 101, 99))
    assert compared(tmp_path, both, other) == 0
    said = capsys.readouterr().out
    assert "Not measured before: read caddy" in said
    assert "Not measured after: read nginx" in said


def test_bad_arguments_and_files_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare.main([]) == 2
    assert compare.main([str(tmp_path / "a"), str(tmp_path / "b")]) == 1
    assert "compare: cannot read" in capsys.readouterr().err


def test_two_runs_of_the_same_agree_where_their_intervals_overlap(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = document(*BEFORE, *three("nginx", 100, 101, 99))
    assert compared(tmp_path, one, document(*three("direct", 203, 199, 201), *three("nginx", 99, 98, 101)),
                    "--agree") == 0  # fmt: skip
    assert "2 of 2 results agree" in capsys.readouterr().out
    faster = document(*three("direct", 300, 301, 299), *three("nginx", 99, 98, 101))
    assert compared(tmp_path, one, faster, "--agree") == 1
    output = capsys.readouterr().out
    assert [line.split()[-1] for line in output.splitlines()[1:3]] == ["differs", "agrees"]
    assert "1 of 2 results agree" in output


def test_what_is_valid_in_one_run_only_does_not_agree(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = document(*three("direct", 200, 202), run("direct", 3, 200, errors={"status": 1}))
    for pair, which in (((document(*BEFORE), broken), "second"), ((broken, document(*BEFORE)), "first")):
        assert compared(tmp_path, *pair, "--agree") == 1
        assert f"not valid in the {which} run: errors: status 1" in capsys.readouterr().out
    single = document(run("direct", 1, 200))
    assert compared(tmp_path, single, single, "--agree") == 1
    assert "nothing can be said" in capsys.readouterr().err


def fault(**more: Any) -> dict[str, Any]:
    """A fault that was stood."""
    return {"fault": "kill", "target": "nginx", "passed": True, "failed": {}, "problems": [], **more}


def test_a_fault_that_is_not_stood_any_more_is_worse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = (document(*three("direct", 100, 101, 99)) for _ in range(2))
    before["faults"], after["faults"] = [fault()], [fault(passed=False, failed={"GET": 2})]
    assert compared(tmp_path, before, after) == 1
    output = capsys.readouterr().out
    assert "fault kill nginx: not stood any more; failed requests: GET 2" in output
    assert "1 of 2 became worse" in output
    assert compared(tmp_path, after, before) == 0


def test_what_differs_is_said_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = (document(*three("direct", 100, 101, 99)) for _ in range(2))
    after["provenance"] |= {"commit": "cafe", "pinned": True, "versions": {"nginx": "9"}}
    after["scenarios"]["read"]["rate"] = 7
    after["complete"] = False
    compared(tmp_path, before, after)
    output = capsys.readouterr().out
    for said in ("/ cafe", "pinned False / True", "versions of nginx - / 9",
                 "Not the same scenario: read", "The run after was interrupted"):  # fmt: skip
        assert said in output, said


def test_a_report_that_lacks_a_part_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "half.json"
    file.write_text('{"format": "pierhead-bench/1"}')
    assert compare.main([str(file), str(file)]) == 1
    assert "half.json is not whole: it has no started, finished" in capsys.readouterr().err


@pytest.mark.parametrize("tolerance", ["-5", "nan", "much"])
def test_a_tolerance_is_a_number(tolerance: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare.main(["a", "b", f"--tolerance={tolerance}"]) == 2
    assert "invalid percent value" in capsys.readouterr().err
