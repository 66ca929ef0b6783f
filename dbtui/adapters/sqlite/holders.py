"""Who has a database file open: SQLite knows no sessions, the kernel knows the processes."""

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

from dbtui.model.backups import SessionBrief
from dbtui.model.text import format_untrusted

_PROC = Path("/proc")
_SHOWN = 3


def collect_holders(path: Path) -> tuple[SessionBrief, ...]:
    """Return the other processes that have the file open, as far as this user may see.

    Processes of other users show their files to root alone (proc(5), /proc/pid/fd).
    """
    try:
        real = path.resolve(strict=True)
        about = real.stat()
        names = [folder.name for folder in _PROC.iterdir()]
    except (OSError, RuntimeError):
        return ()
    identity = (about.st_dev, about.st_ino)
    pids = sorted(int(name) for name in names if name.isdigit() and int(name) != os.getpid())
    return tuple(brief for pid in pids if (brief := _brief(pid, real.name, identity)) is not None)


def name_holders(path: Path) -> str:
    """Return the processes that have a file open as a part of a sentence: "python3 (4711), sqlite3 (815)"."""
    found = collect_holders(path)
    names = [f"{brief.application} ({brief.session_id})" for brief in found[:_SHOWN]]
    return ", ".join([*names, f"{len(found) - _SHOWN} more"] if len(found) > _SHOWN else names)


def may_see_all() -> bool:
    """Whether processes of other users show their open files to this one."""
    return os.geteuid() == 0


def _brief(pid: int, name: str, identity: tuple[int, int]) -> SessionBrief | None:
    if identity not in _open_files(pid, name):
        return None
    try:
        command = (_PROC / str(pid) / "comm").read_text(errors="replace").strip()
        user = _user_name((_PROC / str(pid)).stat().st_uid)
    except OSError:  # it has just ended
        return None
    return SessionBrief(pid, user, format_untrusted(command, 60), "this machine", "has the file open")


def _open_files(pid: int, name: str) -> Iterator[tuple[int, int]]:
    """Yield device and inode of a process's open files of that name: the name first, so that no other disk is asked."""
    try:
        links = list((_PROC / str(pid) / "fd").iterdir())
    except OSError:
        return
    for link in links:
        try:
            if link.readlink().name == name:
                about = link.stat()
                yield about.st_dev, about.st_ino
        except OSError:  # closed meanwhile
            continue


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
