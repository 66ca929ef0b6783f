"""Where a publisher's unix socket lies: a directory of this user alone, one socket for each service and process."""

import errno
import os
import re
import socket
import stat
import struct
from collections.abc import Mapping
from pathlib import Path

from dbtui.errors import RefusedError, StorageError, UsageError
from dbtui.model.text import format_untrusted

_BACKLOG = 64
#: What the kernel's structure holds (unix(7), sun_path), less the closing NUL.
_LONGEST_PATH = 107
_SERVICE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


def check_service(service: str) -> str:
    """Return the name of a service if it can be part of a file's name. Raises UsageError."""
    if not _SERVICE.fullmatch(service):
        wrong = f"{format_untrusted(service, 70)!r} cannot be the name of a service"
        raise UsageError(wrong, "use up to 64 letters, digits, _, - and dots, such as erp-api")
    return service


def choose_directory(environ: Mapping[str, str]) -> Path:
    """Return $XDG_RUNTIME_DIR/dbtui, or where there is none, a directory in /tmp that is named for the user."""
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/") and _is_own_directory(Path(runtime)):
        return Path(runtime, "dbtui")
    return Path(f"/tmp/dbtui-{os.geteuid()}")  # noqa: S108 - its owner and mode are checked before it is used


def prepare_directory(directory: Path, *, is_ours: bool) -> None:
    """Make sure that only this user can enter `directory`; it is made when it is not there.

    `is_ours`: dbtui chose it, and may take others' permissions on it away. Raises StorageError, and RefusedError when
    it belongs to somebody else or, chosen by the application, is open to others.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.lstat()
        if is_ours and _is_own(status):
            directory.chmod(0o700)
            status = directory.lstat()
    except OSError as error:
        wrong = f"the directory {directory} for the sockets of pools cannot be made: {error.strerror or error}"
        raise StorageError(wrong, "name another one: publish_pool(..., directory=...)") from error
    if not _is_own(status):
        wrong = f"{directory} for the sockets of pools is not a directory of this user"
        raise RefusedError(wrong, "remove it, or name another one: publish_pool(..., directory=...)")
    if status.st_mode & 0o077:
        wrong = f"the directory {directory} for the sockets of pools is open to others"
        raise RefusedError(wrong, f"run chmod 700 {directory}")


def socket_path(directory: Path, service: str, pid: int) -> Path:
    """Return the socket of a service in a process. Raises StorageError when the system takes no path so long."""
    path = directory / f"{service}.{pid}.sock"
    if len(os.fsencode(_unfinished(path))) > _LONGEST_PATH:
        wrong = f"the path {path} is too long for a unix socket"
        raise StorageError(wrong, f"name a directory whose path is shorter: {_LONGEST_PATH} bytes in all")
    return path


def bind_socket(path: Path) -> socket.socket:
    """Return a listening socket at `path`, 0600. It is there all at once, so that one that refuses is a dead one's.

    Raises OSError.
    """
    unfinished = _unfinished(path)
    unfinished.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listener.bind(os.fspath(unfinished))
        unfinished.chmod(0o600)
        listener.listen(_BACKLOG)
        unfinished.rename(path)
    except BaseException:
        listener.close()
        unfinished.unlink(missing_ok=True)
        raise
    return listener


def sweep_sockets(directory: Path, service: str) -> list[Path]:
    """Remove the sockets that dead processes of a service left in `directory`; returns what was removed.

    Dead is what refuses to be connected to. A number that is no process here may be one in another container, and one
    that is may be another program's by now.
    """
    swept = []
    for path in sorted(directory.glob(f"{service}.*.sock")):
        if path.name[len(service) + 1 : -len(".sock")].isdecimal() and _refuses(path):
            path.unlink(missing_ok=True)
            swept.append(path)
    return swept


def is_trusted(connection: socket.socket) -> bool:
    """Whether the process at the other end is this user's or root's, by the word of the kernel (unix(7), SO_PEERCRED).

    A system that does not tell has the directory's permissions alone.
    """
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return True
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i")))
    return uid in (0, os.geteuid())


def _refuses(path: Path) -> bool:
    try:
        status = path.lstat()
        if not stat.S_ISSOCK(status.st_mode) or status.st_uid != os.geteuid():
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as client:
            return client.connect_ex(os.fspath(path)) == errno.ECONNREFUSED
    except OSError:
        return False


def _unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")


def _is_own(status: os.stat_result) -> bool:
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()


def _is_own_directory(path: Path) -> bool:
    try:
        return _is_own(path.lstat())
    except OSError:
        return False
