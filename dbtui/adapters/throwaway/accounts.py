"""The operating system account a throwaway server runs under. Database servers refuse to run as root."""

import dataclasses
import os
import pwd

from dbtui.errors import ToolError


@dataclasses.dataclass(frozen=True)
class Account:
    """An unprivileged account that root hands a server to."""

    name: str
    uid: int
    gid: int


def choose_account(*preferred: str) -> Account | None:
    """The first of `preferred`, else nobody, when this runs as root; None for a plain user, who is itself.

    Raises ToolError when root finds no unprivileged account.
    """
    if os.geteuid() != 0:
        return None
    for name in (*preferred, "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise ToolError("there is no unprivileged account to run a database server under", "add the user nobody")
