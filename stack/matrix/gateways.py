"""The shipped files for FastCGI and SCGI, copied and changed where they say so, as who uses them does."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from stack import proxies
from stack.matrix.programs import PROXY, Apache, Caddy, Nginx, Program
from stack.service import Service

__all__ = ["GATEWAYS", "Gateway", "Shipped", "changes", "copied", "edited"]


class Shipped(NamedTuple):
    """A shipped file, and how its program reaches the application."""

    program: type[Program]
    file: str
    protocol: str


GATEWAYS = {
    "nginx-fastcgi": Shipped(Nginx, "fastcgi.conf", "fastcgi"),
    "nginx-scgi": Shipped(Nginx, "scgi.conf", "scgi"),
    "apache-fastcgi": Shipped(Apache, "fastcgi.conf", "fastcgi"),
    "apache-scgi": Shipped(Apache, "scgi.conf", "scgi"),
    "caddy-fastcgi": Shipped(Caddy, "fastcgi.Caddyfile", "fastcgi"),
}
"""Columns of the matrix, by name."""


@dataclass
class Gateway(Program):
    """The program of a shipped file, in front of one server that speaks its protocol."""

    shipped: Shipped = GATEWAYS["nginx-fastcgi"]

    def service(self) -> Service:
        """Return it as a service. Raises KitError."""
        program = self.shipped.program(self.folder, self.upstreams, port=self.port)
        service = program.service()
        text = (PROXY / program.name / self.shipped.file).read_text(encoding="utf-8")
        lines = changes(program.name, text, self.port, self.addresses[0])
        file = copied(program.name, self.shipped.file, self.folder, lines)
        words = {
            "caddy": ["run", "--config", str(file), "--adapter", "caddyfile"],
            "nginx": ["-p", f"{file.parent}/", "-c", file.name, "-e", "stderr", "-g", "daemon off;"],
            "apache": ["-d", str(file.parent), "-f", file.name, "-DFOREGROUND"],
        }
        return replace(service, argv=[service.argv[0], *words[program.name]], cwd=file.parent)


def copied(program: str, file: str, folder: Path, changes: Mapping[str, str]) -> Path:
    """Copy the shipped folder of a program and change one file in it; return that file's path."""
    path = folder / "copied" / program
    shutil.copytree(PROXY / program, path, dirs_exist_ok=True)
    copy = path / file
    copy.write_text(edited(copy.read_text(encoding="utf-8"), changes), encoding="utf-8")
    return copy


def changes(program: str, text: str, port: int, upstream: str) -> dict[str, str]:
    """Return the marked lines of a file for this place, by how they begin: where to listen, whom to ask."""
    if program == "nginx":
        return {"listen": f"listen 127.0.0.1:{port};", "server 127": f"server {upstream};"}
    if program == "caddy":
        return {
            "http://": f"http://:{port} {{\n\tbind 127.0.0.1",
            "reverse_proxy": f"reverse_proxy {upstream} {{",
        }
    found = proxies.find_apache()
    modules = found[2] if isinstance(found, tuple) else ""
    user = "\nUser nobody\nGroup #65534" if os.geteuid() == 0 else ""
    lines = {"Listen": f"Listen 127.0.0.1:{port}{user}", "Define MODULES": f"Define MODULES {modules}"}
    for line in text.splitlines():
        if line.startswith("ProxyPass"):
            lines["ProxyPass"] = re.sub(r"127\.0\.0\.1:[0-9]+", upstream, line)
    return lines


def edited(text: str, changes: Mapping[str, str]) -> str:
    """Change the lines that begin so and are marked <--, or stand after a mark of their own.

    Raises ValueError for a line that is not there once, or not marked.
    """
    lines = text.splitlines()
    for start, new in changes.items():
        (number,) = (index for index, line in enumerate(lines) if line.strip().startswith(start))
        if not any("<--" in line for line in lines[max(0, number - 2) : number + 1]):
            raise ValueError(f"the line {lines[number]!r} is not marked <--")
        lines[number] = new
    return "\n".join(lines) + "\n"
