"""Disks and system folders as one program alone sees them, in a mount namespace of its own."""

import os
import shlex
import subprocess
from functools import cache
from pathlib import Path

#: Mounts the folder, runs the command, then tells what is left in it.
_PROGRAM = """
mount -t tmpfs -o "$1" dbtui-test "$2" || exit 99
folder=$2
shift 2
"$@"
code=$?
printf 'left: %s\\n' "$(ls -A "$folder")"
exit $code
"""


@cache
def namespace() -> tuple[str, ...]:
    """The words that give a program its own mounts: as root, else in a user namespace where the system allows it."""
    words = ("unshare", "--mount") if os.geteuid() == 0 else ("unshare", "--mount", "--map-root-user")
    done = subprocess.run([*words, "mount", "-t", "tmpfs", "x", "/mnt"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"this system lets nobody here mount a small disk for a test: {done.stderr}"
    return words


def on_small_disk(folder: Path, size: str, mode: str = "700") -> tuple[str, ...]:
    """The words before a command that sees a new, empty disk of `size` (`4m`) at `folder`."""
    return (*namespace(), "sh", "-c", _PROGRAM, "sh", f"size={size},mode={mode}", str(folder))


def on_read_only_disk(folder: Path) -> tuple[str, ...]:
    """The words before a command that sees a disk at `folder` that nobody can write to."""
    return (*namespace(), "sh", "-c", _PROGRAM, "sh", "ro", str(folder))


def without_programs(*paths: Path) -> tuple[str, ...]:
    """The words before a command for which these programs cannot be run."""
    hide = "".join(f"mount --bind /dev/null {shlex.quote(str(path.resolve()))} && " for path in paths)
    return (*namespace(), "sh", "-c", f'{hide}exec "$@"', "sh")


def without_folder(folder: Path) -> tuple[str, ...]:
    """The words before a command that finds nothing in a folder of the system's."""
    return on_read_only_disk(folder)
