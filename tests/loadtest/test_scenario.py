"""Scenario files are read strictly, and a target has to answer as they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.scenario import FOLDER, ROOT, Check, Scenario, ScenarioError, has, load, load_all
from loadtest.targets import Target, TargetError, probe_record
from tests.loadtest.fake import FakeStack

RIGHT = """\
title = "One row"
tool = "wrk"
path = "/simple/users/{id}"
[[verify]]
path = "/simple/users/{id}"
status = 200
has = { id = "{id}", name = "Bench" }
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "mine.toml"
    file.write_text(text)
    return file


def test_a_file_is_a_scenario(tmp_path: Path) -> None:
    scenario = load(written(tmp_path, RIGHT))
    assert scenario == Scenario(
        "mine", "One row", "", "wrk", "/simple/users/{id}",
        [Check("/simple/users/{id}", 200, {"id": "{id}", "name": "Bench"})],
    )  # fmt: skip


def test_the_shipped_ones_are_right_and_use_the_examples_load_tests() -> None:
    scenarios = load_all()
    named = {"plaintext", "crud", "etag", "sse", "websocket", "database", "upload", "mixed"}
    assert named <= {name for name, scenario in scenarios.items() if scenario.default}
    used = {file for scenario in scenarios.values() for file in scenario.files}
    assert used == set((ROOT / "examples").glob("*/load.py"))
    assert all(path.suffix == ".toml" for path in FOLDER.iterdir() if path.name != "README.md")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('title = "One row"', "", "title is missing"),
        ('tool = "wrk"', 'tool = "ab"', "tool is 'ab'; it must be wrk or locust"),
        ('tool = "wrk"', 'tool = "locust"', "a scenario for locust needs files"),
        ('tool = "wrk"', 'tool = "wrk"\nfast = true', "unknown key fast; there are: title, about"),
        ('path = "/simple/users/{id}"\n[[', 'path = "simple"\n[[', "path 'simple' must begin with /"),
        ("status = 200", 'status = "200"', "verify.status is '200', which is no int"),
        ("status = 200", "", "verify.status is missing"),
        (RIGHT[RIGHT.index("[[") :], "verify = []", "it needs at least one"),
        ('tool = "wrk"', 'tool = "wrk"\nscript = "no.lua"', "there is no no.lua in the repository"),
        ('tool = "wrk"', 'tool = "locust"\nfiles = ["no.py"]', "there is no no.py in the repository"),
        ('tool = "wrk"', "tool = ", "Invalid value"),
        ('tool = "wrk"', 'tool = "wrk"\nbody_bytes = -1', "body_bytes must be from 0 to 16777216"),
        ("status = 200", 'status = 200\nmethod = "PUT"', "verify.method is 'PUT'; it must be GET or POST"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in RIGHT
    with pytest.raises(ScenarioError, match=r"mine\.toml: ") as caught:
        load(written(tmp_path, RIGHT.replace(old, new, 1)))
    assert message in str(caught.value)


def test_right_answers_pass(stack: FakeStack, tmp_path: Path) -> None:
    target = Target("direct", stack.url)
    with probe_record(target) as record:
        load(written(tmp_path, RIGHT)).prove(target, record)


def test_a_wrong_answer_is_shown_with_the_right_one(stack: FakeStack, tmp_path: Path) -> None:
    target = Target("caddy", stack.url)
    with probe_record(target) as record:
        stack.stale = True
        with pytest.raises(TargetError) as caught:
            load(written(tmp_path, RIGHT)).prove(target, record)
    assert 'GET /simple/users/1 gave 200 {"name": "Old"' in str(caught.value)
    assert 'not 200 with {"id": 1, "name": "Bench"}' in str(caught.value)


def test_where_nothing_is_said_about_the_answer_its_status_is_enough(
    stack: FakeStack, tmp_path: Path
) -> None:
    text = 'title = "A page"\ntool = "wrk"\npath = "/"\n[[verify]]\npath = "/sse/"\nstatus = 200\n'
    load(written(tmp_path, text)).prove(Target("direct", stack.url), {})
    with pytest.raises(TargetError, match="not 201"):
        load(written(tmp_path, text.replace("200", "201"))).prove(Target("direct", stack.url), {})


def test_an_upload_is_verified_by_what_arrived(stack: FakeStack) -> None:
    target, upload = Target("direct", stack.url), load_all()["upload"]
    assert len(upload.body) == upload.body_bytes == 262144
    upload.prove(target, {})
    stack.stale = True
    with pytest.raises(TargetError, match=r'gave 200 {"size": 1, .* not 200 with {"size": 262144,'):
        upload.prove(target, {})


def test_json_has_what_is_wanted_and_may_have_more() -> None:
    assert has({"a": 1, "b": {"c": [1, 2]}}, {"b": {"c": []}})
    assert has({"a": [1]}, {"a": [1]})
    assert not has({"a": [1]}, {"a": [2]})
    assert not has({"a": True}, {"a": 1})
    assert not has({}, {"a": 1})
    assert not has([], {})
    assert not has(None, {"a": 1})
