"""A project's docker-compose.yml: the kit's own, with one proxy and without the load tools.

It is cut out of the kit's file and not written anew, so that a project has what the kit's tests have tried.
The file's shape is known: top-level sections, services of two spaces, comments above what they are about.
Whatever is looked for and not found is a KitError, which a test meets long before a user.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from stack.errors import KitError

__all__ = ["PROJECT_PORT", "cut"]

PROJECT_PORT = 8080
KEPT = ("app", "db", "migrate", "secrets")
HEADER = """\
# {name} in containers: {proxy} before two replicas of the application, and PostgreSQL behind them.
#
#   docker compose up --wait --build                http://127.0.0.1:{port}
#   docker compose up --wait --no-recreate --scale app=4
#   docker compose logs --follow app
#   docker compose down                             stop; the data stays (down -v: delete it and the secrets)
#
# What can be set, in the environment or in a file .env: each ${{NAME:-default}} below. Passwords are made at
# the first start, and are in no file of this folder.
"""
ARGS = 'args: {PIERHEAD_IMAGE: "${PIERHEAD_IMAGE:-pierhead}"}'


def cut(compose: str, *, name: str, proxy: str) -> str:
    """Return the file for project `name` behind `proxy`, from the kit's file. Raises KitError."""
    sections = dict(blocks(compose, indent=0))
    services = dict(blocks(sections["services"].partition("\n")[2], indent=2))
    if missing := {proxy, *KEPT} - services.keys():
        raise changed(f"it has no service {', '.join(sorted(missing))}")
    services["app"] = swap(services["app"], "target: examples}", f"target: app, {ARGS}}}")
    services["migrate"] = swap(services["migrate"], "target: migrate}", f"target: migrate, {ARGS}}}")
    one = re.sub(r"^(?: *#.*\n)+", "", services[proxy])
    one, ports = re.subn(r"\$\{[A-Z]+_PORT:-\d+\}:", f"${{PORT:-{PROJECT_PORT}}}:", one)
    if ports != 1:
        raise changed(f"{proxy} publishes {ports} ports, not one")
    services[proxy] = f"  # --- the proxy: the only one that is reachable from outside\n{one}"
    wanted = [text for service, text in services.items() if service in (proxy, *KEPT)]
    sections["services"] = "services:\n" + "".join(wanted)
    sections["name"] = f"name: {name}\n\n"
    head = HEADER.format(name=name, proxy=proxy, port=PROJECT_PORT)
    return head + "\n" + "".join(sections.values()).rstrip() + "\n"


def blocks(text: str, indent: int) -> Iterator[tuple[str, str]]:
    """Yield each key with its lines and the comments right above it; what is above all keys is left out."""
    starts = re.compile(rf"(?:^ {{{indent}}}#.*\n)*^ {{{indent}}}([\w-]+):.*\n", re.MULTILINE)
    found = list(starts.finditer(text))
    for number, match in enumerate(found):
        end = found[number + 1].start() if number + 1 < len(found) else len(text)
        yield match[1], text[match.start() : end]


def swap(text: str, old: str, new: str) -> str:
    """Return `text` with `old` replaced, which must be there once. Raises KitError."""
    if text.count(old) != 1:
        raise changed(f"{old!r} is there {text.count(old)} times, not once")
    return text.replace(old, new)


def changed(what: str) -> KitError:
    """Return the error for a file of another shape."""
    return KitError(
        f"docker-compose.yml is not as stack/project/compose.py knows it: {what}; adapt one of them"
    )
