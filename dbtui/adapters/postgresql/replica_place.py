"""The place where a replica will be: its directory, disk, port, account and programs on this machine."""

import errno
import os
import pwd
import socket
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dbtui.adapters.postgresql.tools import BINARIES_VARIABLE, find_tools
from dbtui.adapters.processes import Account
from dbtui.model.text import format_untrusted

_FALLBACK_ACCOUNT = "postgres"
#: pg_ctl puts the directory between double quotes into a line for /bin/sh.
_SHELL_SIGNS = frozenset('"$`\\')
#: What a server that listens everywhere is reached by from here.
EVERYWHERE = ("*", "0.0.0.0", "::", "")  # noqa: S104 - recognised, not bound to


@dataclass(frozen=True, slots=True)
class Programs:
    """PostgreSQL's programs of one version; `problem`: why there are none that fit."""

    basebackup: str = ""
    pg_ctl: str = ""
    problem: str = ""


def find_programs(major: int, environ: Mapping[str, str], *, is_started: bool) -> Programs:
    """Find pg_basebackup, and pg_ctl with a server beside it, of exactly this major version, under which a copy starts.

    `is_started`: without a server nothing can be done.
    """
    copying = [each for each in find_tools("pg_basebackup", environ) if each.major == major]
    serving = [each for each in find_tools("pg_ctl", environ) if each.major == major and _has_server(each.path)]
    hint = f"install PostgreSQL {major}, or name its programs' directory in {BINARIES_VARIABLE}"
    if not copying:
        others = ", ".join(sorted({each.version for each in find_tools("pg_basebackup", environ)})) or "none"
        return Programs(problem=f"pg_basebackup {major} is not installed here (found: {others}): {hint}")
    if is_started and not serving:
        return Programs(problem=f"the server of PostgreSQL {major} is not installed here: {hint}")
    return Programs(copying[-1].path, serving[-1].path if serving else "")


def _has_server(pg_ctl: str) -> bool:
    return os.access(Path(pg_ctl).with_name("postgres"), os.X_OK)


def find_account(directory: Path, source_directory: str) -> tuple[Account | None, str]:
    """Return under which account the replica will run when we are root, and why there is none; None: our own.

    It is the owner of the directory, of its parent, of the source's data on this machine, or `postgres`.
    """
    if os.geteuid() != 0:
        return None, ""
    for owner in _owners(directory, directory.parent, Path(source_directory) if source_directory else None):
        try:
            return _account(pwd.getpwuid(owner)), ""
        except KeyError:
            continue
    try:
        return _account(pwd.getpwnam(_FALLBACK_ACCOUNT)), ""
    except KeyError:
        return (
            None,
            "a PostgreSQL server cannot run as root, and there is no account postgres: create it, or run dbtui \
under another account",
        )


def _account(entry: pwd.struct_passwd) -> Account:
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir)


def _owners(*places: Path | None) -> Iterator[int]:
    for place in places:
        try:
            owner = place.stat().st_uid if place is not None else 0
        except OSError:
            continue
        if owner != 0:
            yield owner


def account_name(account: Account | None) -> str:
    """Return who will own and run the copy."""
    if account is not None:
        return account.name
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def find_directory_problem(directory: Path, account: Account | None) -> str:
    """Return why a replica cannot be put there; empty: the directory is absent or empty, and can be written."""
    shown = format_untrusted(str(directory))
    if not str(directory).isprintable() or _SHELL_SIGNS & set(str(directory)):
        return f"{shown} has characters that pg_ctl would hand to a shell: name it without quotes, $, ` and \\"
    try:
        found = directory.lstat()
    except FileNotFoundError:
        return _find_parent_problem(directory, account)
    except OSError as error:
        return f"{shown} cannot be looked at: {error.strerror}"
    if not stat.S_ISDIR(found.st_mode):
        return f"{shown} is there and is no directory of its own: name one that is absent or empty"
    try:
        entries = sorted(each.name for each in directory.iterdir())
    except OSError as error:
        return f"{shown} cannot be read: {error.strerror}"
    if entries:
        what = "a PostgreSQL data directory" if "PG_VERSION" in entries else f"{len(entries)} entries"
        first = format_untrusted(entries[0], 40)
        return f"{shown} is not empty ({what}, such as {first}): name a directory that is absent or empty"
    if account is None and found.st_uid != os.geteuid():
        return f"{shown} belongs to another account: PostgreSQL wants its own"
    return _find_parent_problem(directory, account)


def _find_parent_problem(directory: Path, account: Account | None) -> str:
    parent = directory.parent
    shown = format_untrusted(str(parent))
    if not parent.is_dir():
        return f"there is no directory {shown}: create it"
    if not os.access(parent, os.W_OK | os.X_OK):
        below = format_untrusted(str(directory / "data"))
        return f"{shown} cannot be written by this account: name a directory below one that can, such as {below}"
    closed = next((each for each in (parent, *parent.parents) if not may_use(each, account, os.X_OK)), None)
    if closed is not None:
        who = f"{account_name(account)}, who would run the replica"
        return f"{format_untrusted(str(closed))} is closed to {who}: chmod o+x {closed}, or name another place"
    return ""


def may_use(directory: Path, account: Account | None, wanted: int) -> bool:
    """Whether an account may do something in a directory. `wanted`: of os.R_OK, os.W_OK and os.X_OK, added."""
    if account is None:
        return os.access(directory, wanted)
    try:
        found = directory.stat()
    except OSError:
        return False
    shift = 0
    if found.st_uid == account.uid:
        shift = 6
    elif found.st_gid in os.getgrouplist(account.name, account.gid):
        shift = 3
    return (found.st_mode >> shift) & wanted == wanted


def find_port_problem(host: str, port: int) -> str:
    """Return why a server cannot listen there; empty: it can, now."""
    if not 1 <= port <= 65535:
        return f"the port {port} is not between 1 and 65535"
    listened = "0.0.0.0" if host in EVERYWHERE else host  # noqa: S104 - what was asked for
    try:
        found = socket.getaddrinfo(listened, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(found[0]) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(found[4])
    except socket.gaierror as error:
        return f"{format_untrusted(host)} is no address to listen at: {error.strerror}"
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return f"the port {port} is taken: another server listens there; name a free one"
        return f"nothing can listen at {format_untrusted(host)}:{port}: {error.strerror}"
    return ""
