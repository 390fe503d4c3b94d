"""The stack's folder: secrets, what runs, and what is removed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack import state as module
from stack.errors import KitError
from stack.process import Process
from stack.state import Record, Run, State, can_read, unprivileged

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs programs as other users")


@pytest.fixture
def state(tmp_path: Path) -> State:
    state = State(tmp_path / "my state")
    state.make()
    return state


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user can enter."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def a_run() -> Run:
    record = Record(
        name="app-1",
        role="app",
        url="http://127.0.0.1:8080",
        version="pierhead 0.1.0",
        log="/log",
        process=Process(4194304, "boot/1", "/python"),
        probe=["GET", "http://127.0.0.1:8080/readyz"],
        stop_signal="SIGTERM",
        more={"a": "b"},
    )
    return Run(kit=None, started="2026-01-01T00:00:00+00:00", records=[record], notes=["a note"])


def test_secrets_are_made_once_and_private(state: State) -> None:
    path = state.secret("app")
    secret = path.read_text()
    assert len(secret) >= 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    State(state.folder).make()
    assert path.read_text() == secret
    assert len({state.secret(name).read_text() for name in module.SECRETS}) == len(module.SECRETS)


def test_the_folder_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KIT_STATE", raising=False)
    assert State().folder == module.ROOT / ".kit"
    monkeypatch.setenv("KIT_STATE", "elsewhere")
    monkeypatch.chdir(tmp_path)
    assert State().folder == tmp_path / "elsewhere"


def test_a_folder_that_cannot_be_made_is_named_with_the_fix(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KitError, match=r"cannot write .*file/state: Not a directory[^$]*KIT_STATE=DIR"):
        State(tmp_path / "file" / "state").make()


def test_what_runs_is_remembered(state: State) -> None:
    assert state.load() is None
    state.save(a_run())
    assert state.load() == a_run()
    state.forget()
    assert state.load() is None


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"kit": {"pid": 1}, "records": [], "started": "", "notes": []}']
)
def test_a_damaged_record_is_named(state: State, content: str) -> None:
    state.run_file.write_text(content)
    with pytest.raises(KitError, match=r"cannot read .*run.json .*remove that file"):
        state.load()


def test_two_kits_wait_for_each_other(state: State) -> None:
    code = "from stack.state import State; import sys\nwith State().locked('busy'): print('mine')"
    env = os.environ | {"KIT_STATE": str(state.folder)}
    command = [sys.executable, "-c", code]
    with state.locked("never said"):
        other = subprocess.Popen(command, cwd=module.ROOT, env=env, stdout=subprocess.PIPE, text=True)
        assert other.stdout is not None
        assert other.stdout.readline() == "busy\n"
        assert other.poll() is None
    assert other.communicate()[0] == "mine\n"


def test_only_our_own_things_are_deleted(state: State) -> None:
    (state.folder / "thesis.txt").touch()
    assert state.delete_data() == [state.folder]
    assert [path.name for path in state.folder.iterdir()] == ["thesis.txt"]
    (state.folder / "thesis.txt").unlink()
    state.delete_data()
    assert not state.folder.exists()
    assert state.delete_data() == []


def test_we_work_in_the_same_folder_as_ourselves(state: State) -> None:
    assert state.work(None) == state.folder


@ROOT_ONLY
def test_what_a_user_can_read_is_asked_as_that_user(public: Path) -> None:
    nobody = unprivileged("no-such-user", "nobody")
    assert nobody is not None
    assert nobody.name == "nobody"
    file = public / 'it\'s a "file"'
    file.touch(0o644)
    assert can_read(nobody, public)
    assert can_read(nobody, file)
    file.chmod(0o600)
    assert not can_read(nobody, file)
    public.chmod(0o700)
    assert not can_read(nobody, public)
    assert can_read(None, file)


@ROOT_ONLY
def test_another_folder_is_used_where_that_user_cannot_go(
    public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = unprivileged("nobody")
    state = State(public / "state")
    state.make()
    assert state.work(nobody) == state.folder
    state.folder.chmod(0o700)
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        monkeypatch.setattr(module, "SYSTEM", Path(name))
        outside = state.work(nobody)
        assert outside.parent == Path(name)
        (outside / "db").mkdir()
        assert state.delete_data() == [outside, state.folder]
        assert not outside.exists()


@ROOT_ONLY
def test_no_user_to_run_as_is_an_error() -> None:
    with pytest.raises(KitError, match="none of the users no-such-user"):
        unprivileged("no-such-user")


def test_not_being_root_nothing_is_run_as_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert unprivileged("nobody") is None
