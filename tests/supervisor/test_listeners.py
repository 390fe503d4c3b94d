"""Listeners: what a URL becomes, and what is said where it cannot be had."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pierhead.supervisor.listeners import BindError, bind, holder_of, listener_url, unlink


def test_port_0_is_chosen_and_told() -> None:
    with bind("http://127.0.0.1:0", 5) as bound:
        port = bound.getsockname()[1]
        assert listener_url(bound) == f"http://127.0.0.1:{port}"
        assert holder_of(port).endswith(f"(pid {os.getpid()})")
        with socket.create_connection(("127.0.0.1", port), 60):
            pass
    assert holder_of(port) == ""


def test_ipv6_is_written_in_brackets() -> None:
    try:
        bound = bind("http://[::1]:0", 5)
    except BindError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with bound:
        assert listener_url(bound).startswith("http://[::1]:")


def test_a_port_in_use_is_refused_with_its_holder() -> None:
    with bind("http://127.0.0.1:0", 5) as bound, pytest.raises(BindError) as caught:
        bind(listener_url(bound), 5)
    assert "the port is in use by" in str(caught.value)
    assert f"(pid {os.getpid()})" in str(caught.value)


def test_a_host_that_is_not_ours_is_refused() -> None:
    with pytest.raises(BindError, match=r"cannot listen on http://192\.0\.2\.1:8080"):
        bind("http://192.0.2.1:8080", 5)


def test_a_unix_socket_has_the_mode_of_its_url_and_goes_with_the_server(tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    with bind(f"http://unix:{path}?mode=600", 5) as bound:
        assert listener_url(bound) == f"http://unix:{path}"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with pytest.raises(BindError, match="another process listens on it"):
            bind(f"http://unix:{path}", 5)
        unlink(bound)
    assert not path.exists()


def test_a_unix_socket_left_behind_is_replaced_but_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    bind(f"http://unix:{path}", 5).close()
    assert path.exists()
    bind(f"http://unix:{path}", 5).close()
    path.unlink()
    path.write_text("precious")
    with pytest.raises(BindError, match="which is no socket"):
        bind(f"http://unix:{path}", 5)
    assert path.read_text() == "precious"


def test_a_unix_socket_of_a_server_that_is_busy_is_not_taken_over_nor_waited_for(tmp_path: Path) -> None:
    url = f"http://unix:{tmp_path}/app.sock"
    with bind(url, 0), contextlib.ExitStack() as stack:
        for _ in range(2):  # as many as fit into the queue, and one more
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect(f"{tmp_path}/app.sock")
        with pytest.raises(BindError, match="another process listens on it"):
            bind(url, 5)


def test_two_that_start_at_once_do_not_both_get_a_unix_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is bound, but not listened at yet, looks like one that was left behind: so one waits."""
    path = tmp_path / "socket"
    other = socket.socket(socket.AF_UNIX)
    other.bind(str(path))
    folder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            other.listen()
            os.close(folder)

    monkeypatch.setattr("pierhead.supervisor.listeners.time.sleep", sleep)
    with pytest.raises(BindError, match="another process listens on it"):
        bind(f"http://unix:{path}", 8)
    assert len(waited) == 3
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    other.close()


def test_a_unix_socket_in_no_folder_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(BindError, match="nowhere must exist"):
        bind(f"http://unix:{tmp_path}/nowhere/app.sock", 5)


@pytest.mark.skipif(sys.platform != "linux", reason="unix sockets without a file are Linux's")
def test_an_abstract_unix_socket_has_no_file(tmp_path: Path) -> None:
    url = f"fastcgi://unix:@{tmp_path}/app"
    with bind(url, 5) as bound:
        assert listener_url(bound) == url
        assert not (tmp_path / "app").exists()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"\0{tmp_path}/app")
        with pytest.raises(BindError, match="in use"):
            bind(url, 5)
        unlink(bound)


def test_an_inherited_socket_is_taken_over_and_its_file_left_alone(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as theirs:
        theirs.bind(str(tmp_path / "app.sock"))
        inherited = os.dup(theirs.fileno())
    with bind(f"scgi://fd:{inherited}", 5) as bound:
        assert listener_url(bound) == f"scgi://unix:{tmp_path}/app.sock"
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "app.sock"))
        unlink(bound)
    assert (tmp_path / "app.sock").exists()


def test_an_inherited_tcp_socket_may_listen_already() -> None:
    with socket.create_server(("127.0.0.1", 0)) as theirs:
        port = theirs.getsockname()[1]
        inherited = os.dup(theirs.fileno())
    with bind(f"fd://{inherited}", 5) as bound:
        assert listener_url(bound) == f"http://127.0.0.1:{port}"
        assert bound.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_descriptor_that_is_no_listening_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BindError, match="no such file descriptor; it is for a program"):
        bind("fd://999999", 5)
    with (tmp_path / "file").open("w") as file, pytest.raises(BindError, match="is no socket"):
        bind(f"fd://{os.dup(file.fileno())}", 5)
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(BindError, match="use stdio:"):
        bind(f"fd://{os.dup(ours.fileno())}", 5)
    with contextlib.ExitStack() as stack:
        datagrams = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        with pytest.raises(BindError, match="no stream socket"):
            bind(f"fd://{os.dup(datagrams.fileno())}", 5)


def test_the_descriptor_of_a_standard_stream_is_moved_out_of_the_way(tmp_path: Path) -> None:
    program = (
        "import os, socket; from pierhead.supervisor.listeners import bind, listener_url;"
        "bound = bind('fastcgi://fd:0', 5); assert bound.fileno() > 2; assert os.read(0, 1) == b'';"
        "print(listener_url(bound))"
    )
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-c", program],
            stdin=listening.fileno(),
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout.strip() == f"fastcgi://127.0.0.1:{port}"
