"""What the kit writes for the proxies, and the reasons for going without Apache."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stack import commands, proxies
from stack.state import ROOT, State
from tests.kit import Kit

UPSTREAMS = ("127.0.0.1:1001", "127.0.0.1:1002")


def site(folder: Path) -> dict[str, str]:
    """Return the pieces in a proxy's site/."""
    return {path.name: path.read_text() for path in (folder / "site").iterdir()}


def test_nginx_gets_each_piece_of_its_site(tmp_path: Path) -> None:
    service = proxies.nginx(tmp_path, 1000, UPSTREAMS)
    pieces = site(tmp_path / "nginx")
    assert set(pieces) == {path.name for path in (ROOT / "proxy" / "nginx" / "site").iterdir()}
    assert "listen 127.0.0.1:1000 default_server;" in pieces["server.conf"]
    assert (
        "server 127.0.0.1:1001 max_fails=2 fail_timeout=3s;\nserver 127.0.0.1:1002" in pieces["upstream.conf"]
    )
    assert ("user nobody" in pieces["main.conf"]) == (os.geteuid() == 0)
    assert service.version.startswith("nginx 1.")


@pytest.mark.apache
def test_apache_gets_each_piece_of_its_site(tmp_path: Path) -> None:
    if isinstance(reason := proxies.find_apache(), str):
        pytest.skip(reason)
    service = proxies.apache(tmp_path, 1000, UPSTREAMS)
    assert not isinstance(service, str)
    pieces = site(tmp_path / "apache")
    assert set(pieces) == {path.name for path in (ROOT / "proxy" / "apache" / "site").iterdir()}
    assert "Listen 127.0.0.1:1000\n" in pieces["site.conf"]
    assert pieces["members.conf"].count("BalancerMember") == 2


def test_caddy_gets_everything_by_its_environment(tmp_path: Path) -> None:
    service = proxies.caddy(tmp_path, 1000, UPSTREAMS)
    assert service.env["CADDY_PORT"] == "1000"
    assert service.env["CADDY_UPSTREAMS"] == "127.0.0.1:1001 127.0.0.1:1002"
    assert str(ROOT / "proxy" / "caddy" / "Caddyfile") in service.argv


def test_caddys_admin_socket_is_left_out_where_its_path_is_too_long(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    assert proxies.caddy(deep, 1000, UPSTREAMS).env["CADDY_ADMIN"] == "off"


def test_links_follow_the_shipped_files(tmp_path: Path) -> None:
    proxies.nginx(tmp_path, 1000, UPSTREAMS)
    (tmp_path / "nginx" / "gone.conf").symlink_to("/nowhere")
    proxies.nginx(tmp_path, 1000, UPSTREAMS)
    links = {path.name: path.readlink() for path in (tmp_path / "nginx").iterdir() if path.is_symlink()}
    shipped = ROOT / "proxy" / "nginx"
    assert links == {path.name: path for path in shipped.iterdir() if path.name != "site"}


def test_without_apache_there_is_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path: None)
    assert proxies.find_apache() == "neither apache2 nor httpd is installed"
    assert proxies.apache(tmp_path, 1000, UPSTREAMS) == "neither apache2 nor httpd is installed"


def test_an_apache_that_refuses_the_files_is_a_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "httpd"
    program.write_text(
        "#!/bin/sh\necho 'Server version: Apache/2.4.1 (Old)'; echo 'Invalid command ProxySet'\n"
    )
    program.chmod(0o755)
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "mod_proxy.so").touch()
    monkeypatch.setattr(proxies, "MODULES", (str(modules),))
    monkeypatch.setattr("shutil.which", lambda name, path: str(program))
    reason = proxies.apache(tmp_path, 1000, UPSTREAMS)
    assert isinstance(reason, str)
    assert "2.4.1 does not take proxy/apache (it needs 2.4.66 or newer)" in reason
    assert "Invalid command ProxySet" in reason


def test_the_stack_goes_on_without_apache_and_says_so(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(proxies, "find_apache", lambda: "neither apache2 nor httpd is installed")
    state = State(kit.state)
    assert commands.up(state, commands.with_needs(["apache"]), True, {}, detach=True) == 0
    try:
        output = capsys.readouterr().out
        assert "Without Apache: neither apache2 nor httpd is installed" in output
        assert set(kit.status()) == {"db", "app"}
    finally:
        commands.down(state, delete_data=True)
