"""The files of a new replica that dbtui writes itself: its directory, its password file, its own settings."""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from dbtui.adapters.postgresql.replica_place import may_use
from dbtui.adapters.postgresql.replica_source import LIMITS, SourceSettings
from dbtui.adapters.processes import Account
from dbtui.adapters.streams import storage_errors
from dbtui.errors import RefusedError
from dbtui.model.replicas import ReplicaWish
from dbtui.model.text import format_untrusted

LOG_NAME = "server.log"
_HEAD = "# Written by dbtui when this replica was added."
_MOST_SOCKET_PATH = 100
_ACCESS = """\
# TYPE  DATABASE     USER  ADDRESS       METHOD
local   all          all                 peer
host    all          all   127.0.0.1/32  scram-sha-256
host    all          all   ::1/128       scram-sha-256
"""


def passfile_path(directory: Path) -> Path:
    """Return where the password by which the replica reaches its source is: beside its data, so that no base backup of
    it holds it."""
    return directory.with_name(f"{directory.name}.passfile")


def make_directory(directory: Path, account: Account | None) -> None:
    """Make a data directory: mode 0700, the account's. Raises StorageError, also when it is there."""
    with storage_errors(directory):
        directory.mkdir(mode=0o700)
        _own(directory, account)


def take_directory(directory: Path, account: Account | None) -> None:
    """Let an empty directory that is there be the account's, with the mode that PostgreSQL wants.

    Raises StorageError, RefusedError (it is not empty).
    """
    with storage_errors(directory):
        if any(directory.iterdir()):
            raise RefusedError(f"{format_untrusted(str(directory))} is not empty any more", "plan it again")
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if account is not None:
                os.fchown(descriptor, account.uid, account.gid)
            os.fchmod(descriptor, 0o700)
        finally:
            os.close(descriptor)


def _own(path: Path, account: Account | None) -> None:
    if account is not None:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def write_private(path: Path, text: str, account: Account | None, *, append: bool = False) -> None:
    """Write a 0600 file of the account's, durably: a new one, or with `append` more of one. Raises StorageError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_APPEND if append else os.O_EXCL)
    with storage_errors(path):
        descriptor = os.open(path, flags, 0o600)
        try:
            if account is not None:
                os.fchown(descriptor, account.uid, account.gid)
            os.write(descriptor, text.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def identity_of(path: Path) -> tuple[int, int] | None:
    """Return what tells a directory from another of the same name, device and inode; None: it is not there."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def remove_contents(directory: Path, *, itself: bool) -> None:
    """Remove what is in a directory, and `itself`. Raises StorageError."""
    with storage_errors(directory):
        for entry in list(directory.iterdir()) if directory.is_dir() else []:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)
        if itself and directory.is_dir():
            directory.rmdir()


def own_settings(wish: ReplicaWish, conninfo: str, socket_directory: str) -> dict[str, str]:
    """Return the settings by which a replica differs from its source. The last line of a name counts."""
    return {
        "primary_conninfo": conninfo,
        "port": str(wish.port),
        "listen_addresses": wish.host,
        "unix_socket_directories": socket_directory,
        "primary_slot_name": wish.slot,
        "cluster_name": wish.name,
    }


def choose_socket_directory(settings: SourceSettings, directory: Path, account: Account | None) -> str:
    """Return where the replica's socket goes: where the source's is, if that can be written here, else to its data."""
    first = settings.values.get("unix_socket_directories", "").split(",")[0].strip().strip('"')
    if first.startswith("/") and may_use(Path(first), account, os.W_OK | os.X_OK):
        return first
    return str(directory) if len(os.fsencode(directory)) < _MOST_SOCKET_PATH - len("/.s.PGSQL.65535.lock") else ""


def write_settings(wish: ReplicaWish, source: SourceSettings, mine: Mapping[str, str], account: Account | None) -> None:
    """Write a finished copy's own settings, and files that the source keeps elsewhere. Raises StorageError."""
    directory = Path(wish.data_directory)
    write_private(directory / "postgresql.auto.conf", format_settings(mine), account, append=True)
    text = format_settings(file_settings(source, directory))
    if not (directory / "postgresql.conf").exists():
        text = format_settings({name: source.values[name] for name in LIMITS if name in source.values}) + text
    write_private(directory / "postgresql.conf", text, account, append=True)
    if not (directory / "pg_hba.conf").exists():
        write_private(directory / "pg_hba.conf", f"{_HEAD}\n{_ACCESS}", account)
    if not (directory / "pg_ident.conf").exists():
        write_private(directory / "pg_ident.conf", f"{_HEAD}\n", account)


def file_settings(source: SourceSettings, directory: Path) -> dict[str, str]:
    """Return what has to be said of files: a path that the source's own file sets would be the source's here, too."""
    own = {"data_directory": str(directory), "hba_file": str(directory / "pg_hba.conf"),
           "ident_file": str(directory / "pg_ident.conf"), "external_pid_file": ""}  # fmt: skip
    return {name: value for name, value in own.items() if name in source.configured}


def format_settings(settings: Mapping[str, str]) -> str:
    """Return lines of a configuration file; empty for none."""
    if not settings:
        return ""
    lines = [f"{name} = {_quote(value)}" for name, value in settings.items()]
    return "\n".join(["", _HEAD, *lines, ""])


def _quote(value: str) -> str:
    if re.fullmatch(r"\d+", value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
