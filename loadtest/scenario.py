"""Scenarios: one file of loadtest/scenarios/ each, read and checked; README.md says what is in them."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtest.targets import Target, TargetError, fetch

__all__ = ["FOLDER", "Check", "Scenario", "ScenarioError", "load", "load_all"]

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "loadtest" / "scenarios"
TOOLS = ("wrk", "locust")
KEYS: dict[str, type] = {
    "title": str,
    "about": str,
    "tool": str,
    "path": str,
    "files": list,
    "script": str,
    "body_bytes": int,
    "prefixed": bool,
    "rate": int,
    "counted": list,
    "default": bool,
    "quick": bool,
    "verify": list,
}
NEEDED = ("title", "tool", "path", "verify")
CHECK_KEYS: dict[str, type] = {"path": str, "method": str, "status": int, "has": dict}
MAX_BODY_BYTES = 16 << 20
PATTERN = b"pierhead\n"  # what bodies consist of; the same in wrk/upload.lua


class ScenarioError(Exception):
    """A scenario file that is wrong; the message names the file, the key and the fix."""


@dataclass(frozen=True)
class Check:
    """One request and what its answer must be: the status, and JSON with at least this (nothing: any answer).

    A POST sends the scenario's body.
    """

    path: str
    status: int
    has: Mapping[str, Any]
    method: str = "GET"


@dataclass(frozen=True)
class Scenario:
    """One kind of load. In paths, `{id}` and the like stand for the fields of a user that exists.

    `path` is what wrk requests, or the prefix under which locust's `files` find their example; if `prefixed`,
    each file finds its own, by the name of its folder. `rate` is what locust offers, if not the usual one;
    `counted` are the kinds of requests that count, if not all. `default` and `quick`: whether it is run when
    nothing, or --quick, is said. With `body_bytes`, wrk's `script` sends a body of so many, and is told its
    size and SHA-256; `{size}`, `{sha256}` mean these.
    """

    name: str
    title: str
    about: str
    tool: str
    path: str
    verify: Sequence[Check]
    files: Sequence[Path] = ()
    script: Path | None = None
    body_bytes: int = 0
    prefixed: bool = False
    rate: int | None = None
    counted: Sequence[str] = ()
    default: bool = True
    quick: bool = False

    @property
    def body(self) -> bytes:
        """What is sent: always the same for one size."""
        return (PATTERN * (self.body_bytes // len(PATTERN) + 1))[: self.body_bytes]

    @property
    def body_facts(self) -> dict[str, Any]:
        """Size and SHA-256 of the body; nothing if there is none."""
        if not self.body_bytes:
            return {}
        return {"size": self.body_bytes, "sha256": hashlib.sha256(self.body).hexdigest()}

    def prove(self, target: Target, record: Mapping[str, Any]) -> None:
        """Raise TargetError unless the target answers rightly."""
        record = {**record, **self.body_facts}
        for check in self.verify:
            path = filled(check.path, record)
            status, data = fetch(target, check.method, path, self.body if check.method == "POST" else None)
            request = f"{check.method} {path}"
            if status != check.status or (check.has and not has(data, fill(check.has, record))):
                raise TargetError(
                    f"{target.name} ({target.url}): {request} gave {status} {json.dumps(data)[:200]},"
                    f" not {check.status} with {json.dumps(fill(check.has, record))};"
                    " numbers for wrong answers would mean nothing"
                )


def load_all(folder: Path = FOLDER) -> dict[str, Scenario]:
    """Return all scenarios of a folder by name. Raises ScenarioError."""
    return {path.stem: load(path) for path in sorted(folder.glob("*.toml"))}


def load(path: Path) -> Scenario:
    """Read one scenario. Raises ScenarioError."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ScenarioError(f"{path}: {error}") from error
    check_keys(path, data, KEYS, NEEDED)
    if data["tool"] not in TOOLS:
        raise ScenarioError(f"{path}: tool is {data['tool']!r}; it must be {' or '.join(TOOLS)}")
    if not data["path"].startswith("/") and not (data.get("prefixed") and not data["path"]):
        raise ScenarioError(f"{path}: path {data['path']!r} must begin with /")
    if (data["tool"] == "locust") != bool(data.get("files")):
        raise ScenarioError(f"{path}: a scenario for locust needs files, one for wrk has none")
    files = tuple(ROOT / name for name in data.get("files", ()))
    if not all(isinstance(kind, str) for kind in data.get("counted", ())):
        raise ScenarioError(f"{path}: counted has the names of kinds of requests, such as 'GET /users'")
    script = ROOT / data["script"] if "script" in data else None
    for file in (*files, *([script] if script else [])):
        if not file.is_file():
            raise ScenarioError(f"{path}: there is no {file.relative_to(ROOT)} in the repository")
    if not 0 <= data.get("body_bytes", 0) <= MAX_BODY_BYTES:
        raise ScenarioError(f"{path}: body_bytes must be from 0 to {MAX_BODY_BYTES}")
    if not data["verify"]:
        raise ScenarioError(f"{path}: it needs at least one [[verify]], or a wrong answer would be measured")
    checks = []
    for check in data["verify"]:
        check_keys(path, check, CHECK_KEYS, ("path", "status"), "verify.")
        if check.get("method", "GET") not in ("GET", "POST"):
            raise ScenarioError(f"{path}: verify.method is {check['method']!r}; it must be GET or POST")
        checks.append(Check(check["path"], check["status"], check.get("has", {}), check.get("method", "GET")))
    return Scenario(
        name=path.stem,
        title=data["title"],
        about=data.get("about", ""),
        tool=data["tool"],
        path=data["path"],
        verify=checks,
        files=files,
        script=script,
        body_bytes=data.get("body_bytes", 0),
        prefixed=data.get("prefixed", False),
        rate=data.get("rate"),
        counted=data.get("counted", ()),
        default=data.get("default", True),
        quick=data.get("quick", False),
    )


def check_keys(
    path: Path, data: Mapping[str, Any], keys: Mapping[str, type], needed: Sequence[str], prefix: str = ""
) -> None:
    """Raise ScenarioError for keys that are unknown, missing or of another type."""
    for key, value in data.items():
        if key not in keys:
            raise ScenarioError(f"{path}: unknown key {prefix}{key}; there are: {', '.join(keys)}")
        if not isinstance(value, keys[key]):
            raise ScenarioError(f"{path}: {prefix}{key} is {value!r}, which is no {keys[key].__name__}")
    if missing := [key for key in needed if key not in data]:
        raise ScenarioError(f"{path}: {prefix}{missing[0]} is missing")


def has(data: object, wanted: object) -> bool:
    """Tell whether JSON contains what is wanted: objects at least these members, an empty list any list."""
    if isinstance(wanted, Mapping):
        return isinstance(data, Mapping) and all(
            key in data and has(data[key], value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(data, list) and (not wanted or data == wanted)
    return type(data) is type(wanted) and data == wanted


def filled(text: str, record: Mapping[str, Any]) -> str:
    """Return a text with the fields of a record in the place of their names in braces."""
    for name, value in record.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


def fill(wanted: Any, record: Mapping[str, Any]) -> Any:
    """Do the same in JSON, where a text that is nothing but a name becomes the field itself, of its type."""
    if isinstance(wanted, Mapping):
        return {key: fill(value, record) for key, value in wanted.items()}
    if isinstance(wanted, list):
        return [fill(value, record) for value in wanted]
    if isinstance(wanted, str):
        if wanted.startswith("{") and wanted[1:-1] in record:
            return record[wanted[1:-1]]
        return filled(wanted, record)
    return wanted
