"""The directory that a restore fills: what lies there, setting it aside, and removing what a failed restore left.

Files belong to the account that runs the repository's tool, so whatever this one may not look into is asked by the
same words before a command that the tool is run with.
"""

import contextlib
import os
import pwd
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.disks import free_bytes
from dbtui.adapters.repositories.calling import Answer, ask
from dbtui.errors import StorageError, ToolError
from dbtui.model.repositories import DirectoryFacts, Tablespace
from dbtui.model.text import format_untrusted

_ASKED_SECONDS = 20.0
#: Removing what a tool has written of a large cluster takes a while.
_REMOVING_SECONDS = 600.0


class Place:
    """One directory, as the account sees it that runs the repository's tool."""

    def __init__(self, run_as: Sequence[str], environ: Mapping[str, str], cancellation: Cancellation) -> None:
        self._run_as = tuple(run_as)
        self._environ = environ
        self._cancellation = cancellation

    def account(self) -> str:
        """Return the name of the account that files will belong to; empty: that cannot be told."""
        if not self._run_as:
            uid = os.geteuid()
            with contextlib.suppress(KeyError):
                return pwd.getpwuid(uid).pw_name
            return str(uid)
        return format_untrusted(self._said("id", "-un").strip(), 100)

    def look(self, directory: str, others: Sequence[str] = ()) -> DirectoryFacts:
        """Return what lies at a directory, and which of the `others` exist. Nothing is changed."""
        path = Path(directory)
        taken = tuple(name for name in others if self._exists(name))
        free = free_bytes(path)
        if not self._exists(directory):
            return DirectoryFacts(
                path=directory, free_bytes=free, parent_exists=self._exists(str(path.parent)), taken=taken
            )
        names = self.names(directory)
        words = (self._read(f"{directory}/postmaster.pid") if "postmaster.pid" in (names or ()) else "").split()
        pid = words[0].lstrip("-") if words else ""
        return DirectoryFacts(
            path=directory,
            exists=True,
            is_directory=path.is_dir() if _may_look(path) else self._is("-d", directory),
            is_readable=names is not None,
            is_symlink=path.is_symlink() if _may_look(path) else self._is("-L", directory),
            is_mount=_is_mount(path),
            entries=len(names or ()),
            cluster_version=self._read(f"{directory}/PG_VERSION").strip() if "PG_VERSION" in (names or ()) else "",
            server_pid=pid if pid.isdecimal() else "?" if "postmaster.pid" in (names or ()) else "",
            server_lives=pid.isdecimal() and Path(f"/proc/{pid}").exists(),
            owner=_owner(path),
            free_bytes=free,
            tablespaces=tuple(self._tablespaces(directory)) if "pg_tblspc" in (names or ()) else (),
            taken=taken,
        )

    def aside_command(self, directory: str, kept_as: str) -> tuple[str, ...]:
        """Return the argv that gives a directory another name; it writes over nothing."""
        return (*self._run_as, "mv", "--no-target-directory", "--no-clobber", "--", directory, kept_as)

    def rename(self, directory: str, kept_as: str) -> None:
        """Give a directory another name. Raises StorageError when it did not get it."""
        answer = self._ask(*self.aside_command(directory, kept_as)[len(self._run_as) :])
        if answer.code != 0 or self._exists(directory):
            said = (answer.messages or ("it is still there",))[-1]
            raise StorageError(f"{directory} cannot be set aside as {kept_as}: {said}", "nothing was changed")

    def empty(self, directory: str, *, is_kept: bool) -> bool:
        """Remove what lies in a directory, of this file system alone, and itself unless `is_kept`. True: it is gone."""
        if not self._exists(directory):
            return True
        self._ask("find", directory, "-xdev", "-mindepth", "1", "-delete", seconds=_REMOVING_SECONDS)
        if not is_kept:
            self._ask("rmdir", "--", directory)
            return not self._exists(directory)
        return self.names(directory) == ()

    def names(self, directory: str) -> tuple[str, ...] | None:
        """Return what lies in a directory; None: nobody here may look."""
        with contextlib.suppress(OSError):
            return tuple(entry.name for entry in Path(directory).iterdir())
        if not self._run_as:
            return None
        try:
            answer = self._ask("ls", "-A1", "--", directory)
        except ToolError:
            return None
        return tuple(answer.output.decode("utf-8", "replace").splitlines()) if answer.code == 0 else None

    # ------------------------------------------------------------ asking

    def _ask(self, *words: str, seconds: float = _ASKED_SECONDS) -> Answer:
        argv = (*self._run_as, *words)
        return ask(argv, self._environ, self._cancellation, run_as=self._run_as, seconds=seconds)

    def _tablespaces(self, directory: str) -> Iterator[Tablespace]:
        """Where a cluster's tablespaces are: links called by their number."""
        links = self._said("find", f"{directory}/pg_tblspc", "-maxdepth", "1", "-type", "l", "-printf", r"%f %l\0")
        for link in links.split("\0"):
            number, _, place = link.partition(" ")
            if number.isdecimal() and place:
                yield Tablespace("", place, int(number))

    def _said(self, *words: str) -> str:
        try:
            answer = self._ask(*words)
        except ToolError:
            return ""
        return answer.output.decode("utf-8", "replace") if answer.code == 0 else ""

    def _is(self, test: str, path: str) -> bool:
        try:
            return self._ask("test", test, path).code == 0
        except ToolError:
            return False

    def _exists(self, path: str) -> bool:
        with contextlib.suppress(OSError):
            os.lstat(path)
            return True
        return bool(self._run_as) and (self._is("-e", path) or self._is("-L", path))

    def _read(self, path: str) -> str:
        with contextlib.suppress(OSError):
            return Path(path).read_text(errors="replace")[:1000]
        return self._said("head", "-c", "1000", "--", path) if self._run_as else ""


def format_command(argv: Sequence[str]) -> str:
    """Return a command as a shell would take it."""
    return format_untrusted(shlex.join(argv))


def _may_look(path: Path) -> bool:
    with contextlib.suppress(OSError):
        path.lstat()
        return True
    return False


def _owner(path: Path) -> str:
    with contextlib.suppress(OSError, KeyError):
        return pwd.getpwuid(path.stat().st_uid).pw_name
    return ""


def _is_mount(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return path.is_mount()
    return False
