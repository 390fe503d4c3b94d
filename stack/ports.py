"""Which TCP ports the stack listens on, and who has one that is taken."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import subprocess
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path

from stack.errors import KitError
from stack.process import HAS_PROC

__all__ = ["DEFAULTS", "HOST", "any_free", "choose", "free", "holder", "parse"]

HOST = "127.0.0.1"
DEFAULTS = {"app": 8080, "app2": 8090, "caddy": 8081, "nginx": 8082, "apache": 8083, "db": 5433}
# Below the range from which systems take the local ports of outgoing connections, which come and go.
AUTO_RANGE = range(20000, 32000)
RANGE = "KIT_PORT_RANGE"  # LOW-HIGH, for kits that choose at the same time and must not choose the same
given: deque[int] = deque(maxlen=200)  # by any_free: whoever asked may not listen there yet
LISTEN = "0A"  # a state in /proc/net/tcp


def parse(words: Iterable[str]) -> tuple[bool, dict[str, int]]:
    """Read the values of --ports: `auto`, or NAME=PORT, or several with commas between.

    Returns whether ports are to be chosen at random, and those that were set. Raises KitError.
    """
    auto = False
    chosen: dict[str, int] = {}
    for word in ",".join(words).split(","):
        name, equals, text = word.strip().partition("=")
        if not equals and name == "auto":
            auto = True
        elif equals and name not in DEFAULTS:
            raise KitError(f"--ports {word}: there is no {name!r}; there are: {', '.join(DEFAULTS)}")
        elif not equals:
            raise KitError(f"--ports {word!r} is neither auto nor NAME=PORT, such as caddy=8181")
        elif not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
            raise KitError(f"--ports {word}: {text!r} is not a port; it must be a number from 1 to 65535")
        elif int(text) in chosen.values():
            raise KitError(f"--ports {word}: {text} is given to another one already")
        else:
            chosen[name] = int(text)
    return auto, chosen


def choose(
    names: Iterable[str], *, auto: bool, chosen: Mapping[str, int]
) -> tuple[dict[str, int], list[str]]:
    """Find a free port for each name.

    Returns name -> port, and a remark for each one that is not where it is expected. Raises KitError when a
    port that was asked for by number is taken.
    """
    ports: dict[str, int] = {}
    remarks: list[str] = []
    names = list(names)
    for name in names:
        if name in chosen:
            if not free(chosen[name]):
                raise KitError(
                    f"port {chosen[name]} for {name} is taken by {holder(chosen[name])};\n"
                    f"     stop that, or choose another: --ports {name}=PORT, or --ports auto"
                )
            ports[name] = chosen[name]
    for name in names:
        if name in ports:
            continue
        others = {*ports.values(), *(DEFAULTS[other] for other in names if other != name)}
        if auto:
            candidates: Iterable[int] = shuffled()
        else:
            candidates = range(DEFAULTS[name], 65536)
        port = next((port for port in candidates if port not in others and free(port)), None)
        if port is None:
            raise KitError(f"no free port for {name}; set one: --ports {name}=PORT")
        if not auto and port != DEFAULTS[name]:
            remarks.append(
                f"{name}: port {DEFAULTS[name]} is taken by {holder(DEFAULTS[name])}; using {port}"
            )
        ports[name] = port
    return ports, remarks


def shuffled() -> list[int]:
    """Return the ports from which to choose, in random order. Raises KitError if the range set is none."""
    text = os.environ.get(RANGE)
    if not text:
        return random.sample(AUTO_RANGE, len(AUTO_RANGE))
    low, _, high = text.partition("-")
    if not (low.isdecimal() and high.isdecimal() and 1024 <= int(low) <= int(high) <= 65535):
        raise KitError(f"{RANGE}={text!r} is no range of ports; it must be LOW-HIGH, such as 20000-21999")
    return random.sample(range(int(low), int(high) + 1), int(high) + 1 - int(low))


def any_free() -> int:
    """Return a port that is free, that no outgoing connection will take, and that was not returned lately.

    Raises KitError if there is none.
    """
    port = next((port for port in shuffled() if port not in given and free(port)), None)
    if port is None:
        raise KitError("there is no free port to choose")
    given.append(port)
    return port


def free(port: int) -> bool:
    """Tell whether a server could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: connections that ended a moment ago don't count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def holder(port: int) -> str:
    """Say which program listens on the port, as well as this user may know."""
    if HAS_PROC:
        return holder_by_proc(port)
    return holder_by_lsof(port)


def holder_by_proc(port: int) -> str:
    """Find the sockets of the port in /proc/net, and the process that has one of them open."""
    sockets: dict[str, str] = {}  # inode -> user id
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    sockets[fields[9]] = fields[7]
    if not sockets:
        return "another program"
    names = {f"socket:[{inode}]" for inode in sockets}
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # not ours to see, or gone
            if any(str(link.readlink()) in names for link in (process / "fd").iterdir()):
                return named(int(process.name), (process / "cmdline").read_bytes().split(b"\0"))
    return f"a program of another user (user id {next(iter(sockets.values()))})"


def holder_by_lsof(port: int) -> str:
    """Ask lsof, where there is no /proc."""
    if lsof := shutil.which("lsof"):
        command = [lsof, "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"]
        lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
        found = {line[0]: line[1:] for line in reversed(lines) if line}
        if "p" in found:
            return f"{found.get('c', '?')} (pid {found['p']})"
    return "another program"


def named(pid: int, argv: list[bytes]) -> str:
    """Return how to call a process in a message."""
    words = b" ".join(argv).decode(errors="replace").strip()
    return f"{words[:60]}{'...' if len(words) > 60 else ''} (pid {pid})"
