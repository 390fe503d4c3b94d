"""up, down, status, logs: with real processes, each stack on ports and data of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.parse
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from stack.process import identity, program
from tests.kit import Kit, eventually
from tests.stack.requests import request, round_trip

SMALL = ("up", "--detach", "--ports", "auto", "--only", "db")


def pids(status: dict[str, Any]) -> dict[str, int]:
    """Return process -> pid."""
    found = {role: facts["pid"] for role, facts in status.items() if role != "app"}
    return (
        found | {one["name"]: one["pid"] for one in status["app"]["replicas"]} if "app" in status else found
    )


def uses_both(proxy: dict[str, Any], ports: list[int | None]) -> bool:
    """Send a request through a proxy; tell whether its log names all the upstream ports by now."""
    assert request(proxy["url"], "GET", "/simple/")[0] == 200
    text = Path(proxy["log"]).read_text()
    return all(f"127.0.0.1:{port}" in text for port in ports)


# --- the whole stack


def test_everything_is_up_and_well(stack: dict[str, Any]) -> None:
    apache = {"apache"} if shutil.which("apache2") or shutil.which("httpd") else set()
    assert set(stack) == {"db", "app", "caddy", "nginx"} | apache
    assert all(facts["healthy"] for facts in stack.values())
    assert stack["db"]["version"].startswith("PostgreSQL 18.")
    assert stack["nginx"]["version"].startswith("nginx 1.")
    assert stack["caddy"]["version"].startswith("Caddy 2.")
    assert [one["name"] for one in stack["app"]["replicas"]] == ["app-1", "app-2"]
    assert stack["app"]["url"] == stack["app"]["replicas"][0]["url"]


@pytest.mark.parametrize("role", ["app", "caddy", "nginx", pytest.param("apache", marks=pytest.mark.apache)])
def test_a_record_is_created_read_changed_and_deleted_through(role: str, stack: dict[str, Any]) -> None:
    if role not in stack:
        pytest.skip("no Apache on this machine")
    round_trip(stack[role]["url"])


def test_both_replicas_answer_behind_each_proxy(stack: dict[str, Any]) -> None:
    for role in set(stack) & {"caddy", "nginx", "apache"}:
        ports = [urllib.parse.urlsplit(one["url"]).port for one in stack["app"]["replicas"]]
        eventually(partial(uses_both, stack[role], ports), f"{role} uses both replicas")


def test_it_listens_on_loopback_only(stack_kit: Kit, stack: dict[str, Any]) -> None:
    for facts in stack.values():
        port = urllib.parse.urlsplit(facts["url"]).port
        assert port is not None
        with socket.create_server(("127.0.0.2", port)):  # free on any other address
            pass


def test_up_again_says_so_and_changes_nothing(stack_kit: Kit, stack: dict[str, Any]) -> None:
    result = stack_kit("up", "--detach")
    assert "The stack is already up since" in result.stdout
    assert pids(stack_kit.status()) == pids(stack)
    assert "already up" in stack_kit("up").stdout


def test_the_table_names_each_process(stack_kit: Kit, stack: dict[str, Any]) -> None:
    lines = stack_kit("status").stdout.splitlines()
    assert lines[0].split() == ["ROLE", "URL", "PID", "VERSION"]
    assert {line.split()[0]: int(line.split()[2]) for line in lines[1:]} == pids(stack)


def test_the_shipped_proxy_files_are_what_runs(stack: dict[str, Any]) -> None:
    root = Path(__file__).parents[2]
    assert (Path(stack["nginx"]["prefix"]) / "nginx.conf").readlink() == root / "proxy/nginx/nginx.conf"
    command = Path(f"/proc/{stack['caddy']['pid']}/cmdline").read_bytes().split(b"\0")
    assert os.fsencode(root / "proxy" / "caddy" / "Caddyfile") in command


def test_logs_of_one_role(stack_kit: Kit, stack: dict[str, Any]) -> None:
    lines = stack_kit("logs", "db", "-n", "3").stdout.splitlines()
    assert lines
    assert all(line.startswith("db | ") for line in lines)
    prefixes = {line.split(" ", 1)[0] for line in stack_kit("logs", "app").stdout.splitlines()}
    assert prefixes <= {"app-1", "app-2"}
    result = stack_kit("logs", "mysql", check=False)
    assert result.returncode == 1
    assert "no log of mysql; there are: " in result.stderr


def test_the_database_does_not_run_as_root(stack: dict[str, Any]) -> None:
    assert Path(f"/proc/{stack['db']['pid']}").stat().st_uid != 0


# --- one stack for each test


def test_down_leaves_nothing_behind(kit: Kit) -> None:
    kit("up", "--detach", "--ports", "auto")
    assert kit.left_over()
    before = kit.status()
    assert "Stopped." in kit("down").stdout
    assert kit.left_over() == []
    assert [pid for pid in pids(before).values() if identity(pid)] == []
    result = kit("status", "--json", check=False)
    assert (result.returncode, json.loads(result.stdout)) == (1, {})
    assert "not running" in kit("down").stdout


def test_data_outlives_a_stop_until_it_is_deleted(kit: Kit) -> None:
    kit(*SMALL)
    kit("psql", "--role", "postgres", "-c", "CREATE TABLE kept (id int)")
    kit("down")
    kit(*SMALL)
    kit("psql", "--role", "postgres", "-c", "TABLE kept")
    kit("down", "--delete-data")
    kit(*SMALL)
    result = kit("psql", "--role", "postgres", "-c", "TABLE kept", check=False)
    assert 'relation "kept" does not exist' in result.stderr


def test_a_role_brings_what_it_needs(kit: Kit) -> None:
    kit("up", "--detach", "--ports", "auto", "--only", "nginx")
    assert set(kit.status()) == {"db", "app", "nginx"}
    result = kit("up", "--detach", check=False)
    assert result.returncode == 1
    assert "kit: the stack is up without caddy; stop it first: ./kit down, then this again" in result.stderr


def test_ctrl_c_stops_all_in_order(kit: Kit) -> None:
    kit.up_in_foreground("--only", "nginx")
    assert set(pids(kit.status())) == {"db", "app-1", "app-2", "nginx"}
    kit.interrupt()
    assert kit.exit_code() == 0
    output = kit.output()
    assert output.rstrip().endswith("Stopped.")
    end = output.partition("Stopping")[2]
    places = [end.index(f"{name:7} is stopping") for name in ("nginx", "app-1", "app-2", "db")]
    assert places == sorted(places)
    assert "database system is shut down" in end
    assert kit.left_over() == []
    assert kit.status() == {}


def test_the_logs_are_followed_with_their_names(kit: Kit) -> None:
    kit.up_in_foreground("--only", "db")
    kit("psql", "-c", "SELECT pg_sleep(0.6)")  # slow enough for the log
    eventually(lambda: "db | " in kit.output() and "pg_sleep" in kit.output(), "the slow query is shown")


def test_a_second_ctrl_c_kills(kit: Kit) -> None:
    kit.up_in_foreground("--only", "app")
    replica = pids(kit.status())["app-1"]
    os.kill(replica, signal.SIGSTOP)  # will never stop by itself
    kit.interrupt()
    eventually(lambda: "Stopping" in kit.output(), "it is stopping")
    assert not kit.ended()
    kit.interrupt()
    assert kit.exit_code() == 130
    assert kit.left_over() == []


def test_ctrl_c_while_starting_stops_what_was_started(kit: Kit) -> None:
    kit.start_in_foreground("up", "--ports", "auto")
    eventually(lambda: "PostgreSQL" in kit.output(), "the database is up")
    kit.interrupt()
    assert kit.exit_code() == 130
    assert "Stopping what was started" in kit.output()
    assert kit.left_over() == []


@pytest.mark.parametrize("role", ["nginx", "app-2", "db"])
def test_when_a_process_dies_it_is_named_and_the_rest_stopped(kit: Kit, role: str) -> None:
    kit.up_in_foreground("--only", "nginx")
    pid = pids(kit.status())[role]
    os.kill(pid, signal.SIGKILL)
    assert kit.exit_code() == 1
    output = kit.output()
    assert f"kit: {role} (" in output
    assert f"pid {pid}) has ended: killed by SIGKILL." in output
    assert f"{kit.state / 'log' / role}.log" in output
    assert kit.left_over() == []
    assert kit.status() == {}


def test_a_detached_process_that_died_shows_in_the_status_and_up_repairs_it(kit: Kit) -> None:
    kit("up", "--detach", "--ports", "auto", "--only", "app")
    os.kill(pids(kit.status())["app-2"], signal.SIGKILL)
    eventually(lambda: not kit.status()["app"]["healthy"], "it is seen")
    status = kit.status()
    assert status["app"]["problem"] == "app-2: not running any more"
    assert status["db"]["healthy"]
    result = kit("status", check=False)
    assert result.returncode == 1
    assert "app-2: not running any more (log: " in result.stdout
    result = kit("up", "--detach", "--ports", "auto", "--only", "app")
    assert "Not all of the stack runs any more (app-2 ended): starting it anew" in result.stdout
    assert kit.status()["app"]["healthy"]


def test_it_stops_when_nobody_reads_its_output(kit: Kit) -> None:
    command = [*kit.command, "up", "--ports", "auto", "--only", "db"]
    with subprocess.Popen(command, cwd=kit.cwd, env=kit.env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any("Following the logs" in line for line in process.stdout)
        process.stdout.close()
        while process.poll() is None:
            kit("psql", "-c", "SELECT pg_sleep(0.6)", check=False)  # makes it write a line
    # 0 where the log's line found the reader gone, 141 where one of its own words did: both are a clean stop.
    assert process.returncode in {0, 141}
    eventually(lambda: kit.left_over() == [], "all leave, also a child that the database forked at the end")


def test_nothing_is_left_where_the_reader_leaves_while_it_starts(kit: Kit) -> None:
    command = [*kit.command, "up", "--ports", "auto", "--only", "app"]
    with subprocess.Popen(command, cwd=kit.cwd, env=kit.env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any(line.startswith("  app-1") for line in process.stdout)  # app-2 is still to come
        process.stdout.close()
    assert process.returncode in {0, 141}  # 0 where the other one was ready before that was noticed
    eventually(lambda: kit.left_over() == [], "all leave")


def test_a_full_disk_while_starting_is_named(kit: Kit) -> None:
    (kit.state / "run.part").symlink_to("/dev/full")
    result = kit(*SMALL, check=False)
    assert result.returncode == 1
    assert f"cannot write {kit.state}/run.json: No space left on device" in result.stderr
    assert kit.left_over() == []


def test_down_works_after_the_kit_was_killed(kit: Kit) -> None:
    kit.up_in_foreground("--only", "app")
    kit.interrupt(signal.SIGKILL)
    assert kit.exit_code() == -signal.SIGKILL
    assert kit.left_over()
    assert "Stopped." in kit("down").stdout
    assert kit.left_over() == []


def test_down_from_another_terminal_stops_the_one_in_the_foreground(kit: Kit) -> None:
    kit.up_in_foreground("--only", "db")
    assert "Asking the kit that runs it" in kit("down").stdout
    assert kit.exit_code() == 0
    assert kit.left_over() == []


def test_a_stranger_with_an_old_number_survives_down(kit: Kit) -> None:
    kit(*SMALL)
    kit("down")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        stale = {"pid": stranger.pid, "identity": "last boot/1", "program": program(stranger.pid)}
        record = {"name": "db", "role": "db", "url": "", "version": "", "log": "", "process": stale,
                  "probe": ["GET", ""], "stop_signal": "SIGINT", "more": {}}  # fmt: skip
        run = {"kit": stale, "started": "before", "records": [record], "notes": []}
        (kit.state / "run.json").write_text(json.dumps(run))
        assert "not running" in kit("down").stdout
        assert stranger.poll() is None
        stranger.communicate(b"\n")


def test_two_ups_at_once_make_one_stack(kit: Kit) -> None:
    results: list[subprocess.CompletedProcess[str]] = []
    threads = [threading.Thread(target=lambda: results.append(kit(*SMALL))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted("already up" in result.stdout for result in results) == [False, True]


def test_a_taken_port_that_was_asked_for_names_the_holder(kit: Kit) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        result = kit("up", "--detach", "--ports", f"auto,nginx={port}", check=False)
    assert result.returncode == 1
    assert f"kit: port {port} for nginx is taken by " in result.stderr
    assert f"(pid {os.getpid()})" in result.stderr
    assert kit.left_over() == []


def test_a_port_for_a_role_that_is_not_started_is_an_error(kit: Kit) -> None:
    result = kit("up", "--detach", "--only", "db", "--ports", "caddy=8181", check=False)
    assert result.returncode == 1
    assert "--ports caddy: that role is not started" in result.stderr


def test_a_process_that_does_not_start_is_shown_with_its_words(kit: Kit) -> None:
    kit(*SMALL)
    data = Path(kit.status()["db"]["data"])
    kit("down")
    with (data / "pg_hba.conf").open("a") as file:
        file.write("nonsense\n")
    result = kit(*SMALL, check=False)
    assert result.returncode == 1
    assert "kit: db (PostgreSQL" in result.stderr
    assert "has ended: exit code 1. The end of " in result.stderr
    assert "pg_hba.conf" in result.stderr
    assert kit.left_over() == []


def test_data_of_another_version_is_not_touched(kit: Kit) -> None:
    kit(*SMALL)
    data = Path(kit.status()["db"]["data"])
    kit("down")
    (data / "PG_VERSION").write_text("17\n")
    result = kit(*SMALL, check=False)
    assert "was made by PostgreSQL 17, and this is 18" in result.stderr
    (data / "PG_VERSION").write_text("18\n")


def test_lost_secrets_are_explained(kit: Kit) -> None:
    kit(*SMALL)
    kit("down")
    shutil.rmtree(kit.state / "secrets")
    result = kit(*SMALL, check=False)
    assert result.returncode == 1
    assert "the database was made with another password" in result.stderr
    assert kit.left_over() == []


def test_settings_of_the_users_own_database_do_not_leak_in(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PGHOST": "db.example.org", "PGPORT": "1", "PGSSLMODE": "require"}.items():
        monkeypatch.setenv(name, value)
    kit(*SMALL)
    assert kit.status()["db"]["healthy"]


def test_the_application_role_can_log_in_with_what_the_status_says(stack: dict[str, Any]) -> None:
    password = Path(stack["db"]["password_file"]).read_text()
    with psycopg.connect(stack["db"]["url"], password=password) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("pierhead_app",)


# --- usage


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ((), "    up        start the stack"),
        (("upp",), "invalid choice: 'upp'"),
        (("up", "--detatch"), "usage: ./kit up [-h] [--detach]"),
        (("down", "now"), "./kit down: error: unrecognized arguments: now"),
        (("up", "--only", "mysql"), "there is no role 'mysql'; there are: db, app, caddy"),
    ],
)
def test_wrong_usage_is_told(kit: Kit, argv: tuple[str, ...], message: str) -> None:
    result = kit(*argv, check=False)
    assert result.returncode == 2
    assert message in result.stderr


def test_help_lists_the_commands(kit: Kit) -> None:
    text = kit("--help").stdout
    for command in ("up", "down", "status", "logs", "test", "bench", "psql", "backup", "restore", "lock"):
        assert f"    {command} " in text
    assert "usage: ./kit restore FILE" in kit("restore", "--help").stdout


def test_psql_needs_a_database_that_runs(kit: Kit) -> None:
    result = kit("psql", check=False)
    assert result.returncode == 1
    assert "the database is not running; start it first: ./kit up" in result.stderr
