"""Where the stack keeps what it must remember: `.kit/` in the repository, or the folder KIT_STATE.

    secrets/        passwords, made on first use, readable by this user only
    log/            what each process writes; NAME.log.1 is from the run before
    run.json        what runs now (Run)
    db/, nginx/, apache/, caddy/    the working folders of these programs, in `work`

`work` is the same folder, unless we are root and the repository lies where the unprivileged user that
PostgreSQL insists on cannot go, such as below /root: then it is a folder in /var/lib/pierhead-kit.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stack.errors import KitError
from stack.process import Account, Process, find

__all__ = ["ROOT", "Record", "Run", "State", "can_read", "unprivileged"]

ROOT = Path(__file__).resolve().parent.parent
SYSTEM = Path(
    "/var/lib/pierhead-kit"
)  # not /var/tmp, from which systems remove what was not used for a month
MADE = ("secrets", "log", "run.json", "db", "nginx", "apache", "caddy")
SECRETS = ("postgres", "migrator", "app", "readonly")


@dataclass(frozen=True)
class Record:
    """One process of the stack, as written to run.json."""

    name: str  # app-1
    role: str  # app
    url: str
    version: str
    log: str
    process: Process
    probe: list[str]  # ["GET", URL], or the words of a command that succeeds if all is well
    stop_signal: str  # SIGTERM
    more: dict[str, str] = field(default_factory=dict)  # further facts for `status --json`


@dataclass
class Run:
    """What runs: the kit that looks after it (None: detached), and the processes in order of start."""

    kit: Process | None
    started: str
    records: list[Record] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class State:
    """The folder of one stack. Raises KitError when it cannot be used."""

    def __init__(self, folder: Path | None = None) -> None:
        """Use `folder`, or KIT_STATE, or `.kit` in the repository."""
        self.folder = (folder or Path(os.environ.get("KIT_STATE") or ROOT / ".kit")).absolute()
        self.logs = self.folder / "log"
        self.run_file = self.folder / "run.json"

    def make(self) -> None:
        """Make the folder and the secrets if they are not there."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.logs.mkdir(exist_ok=True)
            private = self.folder / "secrets"
            private.mkdir(mode=0o700, exist_ok=True)
            handle = os.open(private, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)  # two kits may make them at the same time
                for name in SECRETS:
                    if not self.secret(name).exists():
                        write_private(self.secret(name), secrets.token_urlsafe(24))
            finally:
                os.close(handle)
        except OSError as error:
            raise KitError(
                f"cannot write {error.filename or self.folder}: {error.strerror or error}.\n"
                "     Another place for the stack's data: KIT_STATE=DIR ./kit ..."
            ) from error

    def secret(self, name: str) -> Path:
        """Return the file with the password of `postgres`, `migrator`, `app` or `readonly`."""
        return self.folder / "secrets" / f"{name}-password"

    @property
    def outside(self) -> Path:
        """The folder that stands in for this one where an unprivileged user cannot reach it."""
        return SYSTEM / hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]

    def work(self, *accounts: Account | None) -> Path:
        """Return the folder for the programs' data, which all of these users can reach. Raises KitError."""
        folder = self.folder
        if not all(can_read(account, folder) for account in accounts):
            folder = self.outside
        try:
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        except OSError as error:
            raise KitError(
                f"cannot make {folder}: {error.strerror}; set KIT_STATE to a folder below /srv or /tmp"
            ) from error
        for account in accounts:
            if not can_read(account, folder):
                raise KitError(
                    f"the user {account.name if account else '?'} cannot reach {folder}; set KIT_STATE=DIR"
                )
        return folder

    @contextlib.contextmanager
    def locked(self, busy: str) -> Iterator[None]:
        """Hold the stack while it is started or stopped; prints `busy` if another kit holds it, and waits."""
        self.folder.mkdir(parents=True, exist_ok=True)  # somebody may have removed it under a running stack
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(busy, flush=True)
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def load(self) -> Run | None:
        """Return what was running when it was last written down; None if nothing was. Raises KitError."""
        try:
            data = json.loads(self.run_file.read_text(encoding="utf-8"))
            records = [Record(**{**one, "process": find(one["process"])}) for one in data["records"]]
            kit = find(data["kit"]) if data["kit"] else None
            return Run(kit, data["started"], records, data["notes"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, KitError) as error:
            raise KitError(
                f"cannot read {self.run_file} ({error}). If nothing of the stack runs, remove that file."
            ) from error

    def save(self, run: Run) -> None:
        """Write down what runs, in one step."""
        data: dict[str, Any] = {
            "kit": run.kit.as_json() if run.kit else None,
            "started": run.started,
            "records": [dataclasses.asdict(record) for record in run.records],
            "notes": run.notes,
        }
        part = self.run_file.with_suffix(".part")
        try:
            part.write_text(json.dumps(data, indent=1), encoding="utf-8")
            part.replace(self.run_file)
        except OSError as error:
            raise KitError(f"cannot write {self.run_file}: {error.strerror or error}") from error

    def forget(self) -> None:
        """Note that nothing runs."""
        self.run_file.unlink(missing_ok=True)

    def delete_data(self) -> list[Path]:
        """Remove the database and everything else that was kept; returns the folders that are gone.

        Only what the kit makes: KIT_STATE may be a folder with other things in it.
        """
        gone = []
        for folder in (self.outside, self.folder):
            if folder.exists():
                for name in MADE:
                    if (folder / name).is_dir():
                        shutil.rmtree(folder / name)
                    else:
                        (folder / name).unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # not empty
                    folder.rmdir()
                gone.append(folder)
        return gone


def write_private(path: Path, text: str) -> None:
    """Write a file that only this user can read, in one step."""
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    part.replace(path)


def unprivileged(*names: str) -> Account | None:
    """Return the first of these users that exists, to run a program as; None if we are not root ourselves.

    Raises KitError if we are root and none exists.
    """
    if os.geteuid() != 0:
        return None
    for name in names:
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            return Account(name, user.pw_uid, user.pw_gid)
    raise KitError(
        f"started by root, but there is none of the users {', '.join(names)} to run programs as; add one"
    )


def can_read(account: Account | None, path: Path) -> bool:
    """Tell whether a user can read a file, or enter and list a folder; None is ourselves."""
    if account is None:
        return os.access(path, os.R_OK | os.X_OK if path.is_dir() else os.R_OK)
    result = subprocess.run(
        ["/bin/sh", "-c", 'test -r "$0" && { ! test -d "$0" || test -x "$0"; }', str(path)],
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        cwd="/",
        check=False,
    )
    return result.returncode == 0
