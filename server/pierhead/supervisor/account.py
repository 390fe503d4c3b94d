"""The account that an application runs as (`user`, `group`), for a server that is started as root."""

from __future__ import annotations

import dataclasses
import grp
import os
import pwd
from typing import TYPE_CHECKING

from pierhead.errors import ConfigError

if TYPE_CHECKING:
    from pierhead.config import Settings

__all__ = ["Account", "account_of", "drop_privileges"]


@dataclasses.dataclass(frozen=True, slots=True)
class Account:
    """Whom to become."""

    uid: int
    """-1: the user stays."""
    gid: int
    name: str = ""
    home: str = ""


def account_of(settings: Settings) -> Account | None:
    """Return the account that `user` and `group` name, None where neither is set.

    Raises ConfigError for a name there is not, and where this process cannot become somebody else.
    """
    if not settings.user and not settings.group:
        return None
    user = None
    if settings.user:
        try:
            user = pwd.getpwnam(settings.user)
        except KeyError:
            raise ConfigError(f"user = {settings.user!r}: this system has no such user") from None
    gid = user.pw_gid if user is not None else os.getgid()
    if settings.group:
        try:
            gid = grp.getgrnam(settings.group).gr_gid
        except KeyError:
            raise ConfigError(f"group = {settings.group!r}: this system has no such group") from None
    if os.geteuid() != 0 and (gid != os.getegid() or (user is not None and user.pw_uid != os.geteuid())):
        raise ConfigError(
            f"user = {settings.user or ''!r}, group = {settings.group or ''!r}: only root can become "
            "somebody else: start the server as root, or leave them out"
        )
    if user is None:
        return Account(-1, gid)
    return Account(user.pw_uid, gid, user.pw_name, user.pw_dir)


def drop_privileges(settings: Settings) -> None:
    """Become `user` and `group`, and set `umask`, where they are set.

    Raises as `account_of`, and where the user may not read what is yet to be imported.
    The user's supplementary groups come with it, and those of root go.
    """
    if settings.umask is not None:
        os.umask(settings.umask)
    account = account_of(settings)
    if account is None:
        return
    needed = [path for path in (os.__file__, __file__) if os.access(path, os.R_OK)]
    if os.geteuid() == 0:
        if account.name:
            os.initgroups(account.name, account.gid)
        os.setgid(account.gid)
        if account.name:
            os.setuid(account.uid)
    if account.name:
        os.environ.update(HOME=account.home, USER=account.name, LOGNAME=account.name)
    for path in needed:
        if not os.access(path, os.R_OK):  # what is imported from here on would not be found
            raise ConfigError(
                f"user = {settings.user or ''!r}: it may not read {path}; "
                "have Python, and the server, where this user may read"
            )
