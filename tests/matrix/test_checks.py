"""What checks promise, and how outcomes are judged, written down and shown."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from stack.matrix import check as registry
from stack.matrix.check import Cell, Check, Differs, Verdict, check, judge
from stack.matrix.checks import CHECKS
from stack.matrix.gateways import GATEWAYS, Shipped, changes, edited
from stack.matrix.options import TARGETS
from stack.matrix.place import MORE
from stack.matrix.programs import PROXY
from stack.matrix.report import as_json, page, summary, table
from stack.matrix.runner import run_check, run_checks
from stack.matrix.target import Target


async def nothing(target: Target) -> str:
    return "200"


def made(run: Callable[[Target], Awaitable[str]] = nothing, **options: object) -> Check:
    facts: dict[str, object] = {"name": "one", "group": "Group", "about": "a | b", "expect": "200"}
    return Check(**{**facts, **options}, run=run)  # type: ignore[arg-type]


DIFFERENT = made(differs={"nginx": Differs("404", "it is nginx")})


def test_there_are_many_checks_and_each_is_complete() -> None:
    assert len(CHECKS) >= 60
    assert CHECKS == registry.CHECKS, "each belongs to a group that is shown"
    for one in CHECKS.values():
        assert one.about
        assert one.expect
        assert set(one.differs) <= set(TARGETS)
        assert all(
            difference.reason and difference.outcome != one.expect for difference in one.differs.values()
        )
        assert not (one.disrupts and not one.local), f"{one.name} acts on processes"


def test_a_name_can_be_taken_once() -> None:
    with pytest.raises(ValueError, match="two checks crud"):
        check("Group", "about", "200", name="crud")(nothing)


def test_proxies_are_checked_as_they_are_shipped_but_for_their_patience() -> None:
    assert [len(lines) for lines in MORE.values()] == [1, 1, 1]
    assert all("8" in str(lines) for lines in MORE.values())


@pytest.mark.parametrize(
    ("target", "outcome", "verdict", "reason"),
    [
        ("caddy", "200", "pass", ""),
        ("caddy", "404", "fail", "expected: 200"),
        ("nginx", "404", "differs", "it is nginx"),
        ("nginx", "200", "fail", "it does not differ any more"),
        ("nginx", "500", "fail", "expected: 404"),
    ],
)
def test_an_outcome_is_right_or_documented_or_wrong(
    target: str, outcome: str, verdict: str, reason: str
) -> None:
    found, why = judge(DIFFERENT, target, outcome)
    assert found == verdict
    assert why.startswith(reason)


async def test_a_check_that_breaks_fails() -> None:
    async def broken(target: Target) -> str:
        raise ConnectionResetError("by peer")

    cell = await run_check(made(broken), Target("caddy", 1, 1))
    assert (cell.verdict, cell.outcome, cell.reason) == ("fail", "ConnectionResetError", "by peer")


async def test_disruptive_checks_run_alone_and_after_the_others() -> None:
    order: list[str] = []

    def noting(name: str) -> Callable[[Target], Awaitable[str]]:
        async def run(target: Target) -> str:
            order.append(name)
            return "200"

        return run

    checks = [
        made(noting("first disruption"), name="a", disrupts=True),
        made(noting("peaceful"), name="b"),
        made(noting("second disruption"), name="c", disrupts=True),
        made(noting("for two replicas"), name="d", replicas=(2,)),
        made(noting("local"), name="e", local="it needs processes"),
    ]
    told: list[Cell] = []
    cells = await run_checks(Target("caddy", 1, 1), checks, told.append)
    assert order == ["peaceful", "first disruption", "second disruption"], "without processes, nothing local"
    assert cells == told


def cells(*facts: tuple[str, int, Verdict, str, str]) -> list[Cell]:
    return [
        Cell("one", target, number, verdict, outcome, why) for target, number, verdict, outcome, why in facts
    ]


FOUND = cells(
    ("direct", 1, "pass", "200", ""),
    ("direct", 2, "pass", "200", ""),
    ("nginx", 1, "differs", "404", "it is nginx"),
    ("nginx", 2, "differs", "404", "it is nginx"),
    ("caddy", 1, "pass", "200", ""),
    ("caddy", 2, "fail", "5|5", "expected: 200"),
)


def test_the_page_has_outcomes_with_their_reasons() -> None:
    text = page(as_json_of(FOUND))
    assert "\n## Group\n" in text
    assert "| a \\| b | 200 | ok | ok / **fails**: 5\\|5 | 404 (1) |  |\n" in text
    assert text.endswith("\n1. It is nginx.\n")


def test_the_page_has_a_table_of_its_own_for_what_was_found_by_fastcgi_and_scgi() -> None:
    by_gateway = cells(("nginx-scgi", 1, "pass", "200", ""), ("caddy-fastcgi", 1, "differs", "404", "why"))
    text = page(as_json_of([*FOUND, *by_gateway]))
    assert "| a \\| b | 200 |  | ok |  |  | 404 (2) |\n" in text.partition("## By FastCGI and SCGI")[2]
    assert "By FastCGI" not in page(as_json_of(FOUND))


def as_json_of(found: list[Cell]) -> dict[str, object]:
    return as_json(found, {"one": DIFFERENT}, [Target("nginx", 1, 2, "nginx 1.31")], {})


def test_a_copied_file_is_changed_where_it_says_so_and_nowhere_else() -> None:
    text = "# <-- where\nlisten 80;\nserver 1;  # <-- whom\nroot /srv;\n"
    found = edited(text, {"listen": "listen 81;", "server": "server 2;"})
    assert found == "# <-- where\nlisten 81;\nserver 2;\nroot /srv;\n"
    with pytest.raises(ValueError, match="'root /srv;' is not marked"):
        edited(f"a\nb\n{text.splitlines()[3]}", {"root": "root /"})


@pytest.mark.parametrize("shipped", GATEWAYS.values(), ids=list(GATEWAYS))
def test_each_shipped_file_can_be_changed_for_this_place(shipped: Shipped) -> None:
    text = (PROXY / shipped.program.name / shipped.file).read_text(encoding="utf-8")
    changed = edited(text, changes(shipped.program.name, text, 4711, "127.0.0.1:4712"))
    assert "4711" in changed
    assert "127.0.0.1:4712" in changed


def test_the_table_and_the_summary_show_what_fails() -> None:
    checks = {"one": DIFFERENT}
    lines = table(FOUND, checks).splitlines()
    assert lines[-1].split() == ["one", "ok", "ok", "differs", "differs", "ok", "FAIL"]
    text = summary(FOUND, checks, [Target("nginx", 1, 2, "nginx 1.31", latencies_ms={"sse": 1.5})])
    assert "6 cells: 3 pass, 2 differ as documented (docs/matrix.md), 1 fail" in text
    assert "nginx/2 nginx 1.31: events took sse 1.5 ms" in text
    assert "FAIL one caddy/2: 5|5" in text
