"""Who runs this: the login, who became it with sudo or su, and where they came from by SSH."""

import os
import pwd
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from dbtui.model.text import format_untrusted

_CHARACTERS = 120
_MOST_ANCESTORS = 30
#: What the kernel says of a process that nobody logged in for (proc(5), /proc/pid/loginuid).
_NO_LOGIN = 4294967295


def format_operator(environ: Mapping[str, str], proc: Path = Path("/proc")) -> str:
    """Return who runs this: `alice as postgres from 10.0.0.7`.

    Whoever used sudo or su is the login that the kernel remembers, else SUDO_USER. The SSH client is that of
    SSH_CONNECTION, which sudo takes away: then of the nearest ancestor that still has it and may be looked at.
    """
    login = _name_login(os.getuid())
    person = _first_login(proc) or environ.get("SUDO_USER", "")
    name = f"{person} as {login}" if person not in ("", login) else login
    client = _client_of(environ) or (_inherited_client(proc) if person not in ("", login) else "")
    return format_untrusted(f"{name} from {client}" if client else name, _CHARACTERS)


def _name_login(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _first_login(proc: Path) -> str:
    """The login that this process's session began with; empty when nobody logged in or the kernel does not tell."""
    with suppress(OSError, ValueError):
        number = int((proc / "self" / "loginuid").read_text())
        if number != _NO_LOGIN:
            return _name_login(number)
    return ""


def _client_of(environ: Mapping[str, str]) -> str:
    words = (environ.get("SSH_CONNECTION") or environ.get("SSH_CLIENT") or "").split()
    return words[0] if words else ""


def _inherited_client(proc: Path) -> str:
    return next((client for client in map(_client_of, _environs_above(proc)) if client), "")


def _environs_above(proc: Path) -> Iterator[Mapping[str, str]]:
    """The environments of this process's ancestors that this login may read, the nearest first."""
    number = os.getppid()
    for _ in range(_MOST_ANCESTORS):
        if number <= 1:
            return
        try:
            variables = (proc / str(number) / "environ").read_bytes().decode("utf-8", "replace").split("\0")
            yield dict(part.partition("=")[::2] for part in variables)
        except OSError:  # it is another login's, or gone
            yield {}
        try:
            status = (proc / str(number) / "stat").read_text("utf-8", "replace")
        except OSError:
            return
        number = int(status.rpartition(")")[2].split()[1])
