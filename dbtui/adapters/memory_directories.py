"""Private directories in memory, for what must never lie on a disk: a tmpfs, such as /dev/shm on every Linux.

They go with the process that made them, also when that is killed: a watchdog sees to it.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from dbtui.adapters.throwaway.directories import ServerDirectory
from dbtui.errors import StorageError
from dbtui.model.text import format_bytes

_KINDS = frozenset({"tmpfs", "ramfs"})
_USUAL = "/dev/shm"  # noqa: S108 - a private directory is made in it
_MOUNTS, _MEMORY = Path("/proc/self/mountinfo"), Path("/proc/meminfo")
_GROUP, _GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
#: What the machine itself must keep.
_SPARE_BYTES = 64 << 20
_open: set[Path] = set()


def memory_places(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the directories in memory that anybody may use, the operator's own choice first."""
    named = (environ.get("TMPDIR", ""), _USUAL, environ.get("XDG_RUNTIME_DIR", ""), "/tmp")  # noqa: S108
    paths = dict.fromkeys(Path(name) for name in named if name.startswith("/"))
    return tuple(path for path in paths if is_in_memory(path) and os.access(path, os.W_OK | os.X_OK))


def is_in_memory(path: Path) -> bool:
    """Whether a directory lies in memory. Not known: it does not."""
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        real = path.resolve(strict=True)
    except OSError:
        return False
    mounts = {}
    for line in lines:
        left, _, right = line.partition(" - ")
        where = left.split(" ")[4].replace("\\040", " ")
        mounts[Path(where)] = right.partition(" ")[0]
    return next((mounts[each] for each in (real, *real.parents) if each in mounts), "") in _KINDS


def room_in(path: Path) -> int:
    """Return how many bytes may be put into a directory in memory: what it takes, and what the machine has."""
    about = os.statvfs(path)
    return max(0, min(about.f_bavail * about.f_frsize, _available_bytes()) - _SPARE_BYTES)


def _available_bytes() -> int:
    """What the machine has, and what its container may take: of a tmpfs every page counts."""
    lines = _MEMORY.read_text().splitlines()
    machine = next((int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")), 0)
    return min((machine, *_left_to_groups()))


def _left_to_groups() -> Iterator[int]:
    """Yield what each control group that we are in may still take, as far as they say (cgroup v2)."""
    with suppress(OSError, IndexError):
        own = _GROUP.read_text().partition("0::/")[2].splitlines()[0]
        for group in (_GROUPS / own, *(_GROUPS / own).parents):
            if group == _GROUPS.parent:
                return
            with suppress(OSError, ValueError):  # the topmost has no limit, and others need have none
                yield int((group / "memory.max").read_text()) - int((group / "memory.current").read_text())


def memory_room(environ: Mapping[str, str] = os.environ) -> int:
    """Return how many bytes the roomiest of them takes; 0 where there is none."""
    return max((room_in(path) for path in memory_places(environ)), default=0)


def open_memory_directory(needed: int) -> ServerDirectory:
    """Make a directory in memory that has room for so many bytes. Raises StorageError, with what to do instead."""
    places = sorted(memory_places(os.environ), key=room_in, reverse=True)
    if not places or room_in(places[0]) < needed:
        found = f"{places[0]} takes {format_bytes(room_in(places[0]))}" if places else "there is no tmpfs here"
        raise StorageError(
            f"what is encrypted is opened in memory alone: about {format_bytes(needed)} are needed, and {found}",
            "make room, enlarge /dev/shm, or do this on a machine with more memory",
        )
    return ServerDirectory.create(places[0])


@contextmanager
def memory_directory(needed: int) -> Iterator[Path]:
    """Give a private directory in memory for the block. Raises StorageError."""
    with open_memory_directory(needed) as directory:
        folder = directory.add_subdirectory("data", None)
        _open.add(folder)
        try:
            yield folder
        finally:
            _open.discard(folder)


def note_memory_folder(folder: Path) -> None:
    """Have `lies_in_memory` know a folder that somebody else keeps."""
    _open.add(folder)


def forget_memory_folder(folder: Path) -> None:
    """Forget it again."""
    _open.discard(folder)


def lies_in_memory(path: Path) -> bool:
    """Whether a file is one of those that must not reach a disk."""
    return path.parent in _open
