"""Directories for throwaway servers: short names, an owner, and an end whatever becomes of the owner."""

import contextlib
import os
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from dbtui.adapters.throwaway import watchdog
from dbtui.adapters.throwaway.accounts import Account

PREFIX = "dbtui-"
# A unix socket's path may have 107 bytes; the deepest one here adds about 40.
LONGEST_PARENT = 50
ORPHAN_SECONDS = 3600.0
_OF = "@"  # between the words of a name that says whose a directory is; mkdtemp uses none


class ServerDirectory:
    """A temporary directory that is removed, and whose servers are ended, when its owner ends in any way.

    A clean end calls `close`. After a `kill -9` a watchdog process does the same, and what even that leaves is
    swept when the next directory is made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        identity = watchdog.format_identity(os.getpid())
        self._watchdog = _start_watchdog(path, identity.strip())

    @classmethod
    def create(cls, parent: Path | None = None) -> Self:
        """Sweep what dead owners left, then make a new directory in `parent` (the temporary directory)."""
        parent = parent or _short_temporary_directory()
        sweep_directories(parent)
        identity = watchdog.format_identity(os.getpid())
        # Its owner is in the name until it is in the directory: at no moment is it nobody's.
        fresh = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{identity.strip().replace(' ', _OF)}{_OF}", dir=parent))
        (fresh / watchdog.SERVERS_FILE).touch(mode=0o600)
        (fresh / watchdog.OWNER_FILE).touch(mode=0o600)
        (fresh / watchdog.OWNER_FILE).write_text(identity)
        path = parent / (PREFIX + secrets.token_hex(4))
        fresh.rename(path)
        if os.geteuid() == 0:
            path.chmod(0o711)  # servers run under other accounts, each in a 0700 directory of its own
        return cls(path)

    def add_subdirectory(self, name: str, account: Account | None) -> Path:
        """A 0700 directory inside, belonging to `account`, or to this user when that is None."""
        path = self.path / name
        path.mkdir(mode=0o700)
        if account:
            os.chown(path, account.uid, account.gid)
        return path

    def watch(self, pid: int, signal_number: int) -> None:
        """Write down a process that must end with this directory, and the signal that ends it."""
        with (self.path / watchdog.SERVERS_FILE).open("a") as lines:
            lines.write(f"{int(signal_number)} {watchdog.format_identity(pid)}")

    def close(self) -> None:
        """End the servers that still run, remove the directory, dismiss the watchdog. May be called twice."""
        watchdog.remove_directory(self.path)
        if self._watchdog.stdin and not self._watchdog.stdin.closed:
            self._watchdog.stdin.close()
            self._watchdog.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def sweep_directories(parent: Path) -> list[Path]:
    """Remove the directories in `parent` whose owner is dead; returns what was removed. Others' are left alone."""
    swept = []
    for path in sorted(parent.glob(f"{PREFIX}*")):
        if _is_abandoned(path):
            watchdog.remove_directory(path)
            swept.append(path)
    return swept


def _is_abandoned(path: Path) -> bool:
    with contextlib.suppress(OSError):
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            return False
        named = path.name.removeprefix(PREFIX).split(_OF)
        if len(named) > 2:
            return not watchdog.is_alive(" ".join(named[:2]))
        owner = path / watchdog.OWNER_FILE
        if owner.exists():
            identity = owner.read_text()
            return bool(identity) and not watchdog.is_alive(identity)
        return time.time() - status.st_mtime > ORPHAN_SECONDS and (path / watchdog.SERVERS_FILE).exists()
    return False


def _short_temporary_directory() -> Path:
    usual = Path(tempfile.gettempdir())
    return usual if len(os.fsencode(usual)) <= LONGEST_PARENT else Path("/tmp")  # noqa: S108 - mkdtemp is used


def _start_watchdog(path: Path, identity: str) -> subprocess.Popen[bytes]:
    python = sys.executable or shutil.which("python3") or "python3"
    return subprocess.Popen(
        [python, "-I", "-S", watchdog.__file__, str(path), identity],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )
