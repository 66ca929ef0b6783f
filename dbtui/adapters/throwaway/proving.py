"""A place of its own to restore a backup into: made for one proof, and gone after it, however the proof ends."""

import abc
import contextlib
import os
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.memory_directories import memory_places, room_in
from dbtui.adapters.streams import storage_errors
from dbtui.adapters.throwaway.accounts import Account
from dbtui.adapters.throwaway.directories import LONGEST_PARENT, ServerDirectory
from dbtui.adapters.throwaway.server import ThrowawayServer, find_program
from dbtui.errors import RefusedError, ToolError
from dbtui.model.backups import StoredBackup
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import Progressed, Routine, StepFinished, StepStarted
from dbtui.model.proofs import ThrowawayPlan
from dbtui.model.text import format_bytes, format_untrusted

#: An account that exists for nothing else, if there is one. Never that of this machine's own servers: whoever runs
#: a program as the throwaway server would own their data.
ACCOUNTS = ("dbtui",)
NAME = "throwaway"
_TICK_SECONDS = 0.05
_START_SECONDS = 120.0
_LAST_SECONDS = 1.0
_FULL_BYTES = 4 << 20
#: Without a manifest that tells: how much larger than its dump a database may be.
_UNPACKED_TIMES = 8


class Throwaway(abc.ABC):
    """One throwaway server. While `is_ours` it exists, or is being made; `close` removes all of it.

    Nothing is made before `start`. After a `kill -9` of this process a watchdog removes it, and what even that leaves
    the next verification does.
    """

    def __init__(self, plan: ThrowawayPlan) -> None:
        self.plan = plan
        self.is_ours = False
        self.is_being_undone = False
        self.directory: ServerDirectory | None = None
        self.server: ThrowawayServer | None = None

    @abc.abstractmethod
    def make(self, directory: ServerDirectory) -> ThrowawayServer | None:
        """Return the server that lives in `directory`, not yet prepared; None when it is only a file."""

    @abc.abstractmethod
    def profile(self) -> ConnectionProfile:
        """How to log in, with everything that this needs."""

    @property
    def undoing(self) -> str:
        """What is being removed."""
        return f"removing the throwaway {self.plan.server}"

    @property
    def left(self) -> str:
        """What it is, and what becomes of it if this process ends now."""
        place = format_untrusted(str(self.directory.path)) if self.directory else self.plan.parent
        return f"the throwaway {self.plan.server} in {place}: it ends with dbtui"

    @property
    def has_ended(self) -> bool:
        """Whether its server has ended by itself: then nothing that failed on it says anything of a backup."""
        process = self.server.process if self.server else None
        return process is not None and process.poll() is not None

    def has_ended_by_now(self) -> bool:
        """The same, asked after something failed: a process that is about to end is given a moment for it."""
        process = self.server.process if self.server else None
        if process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_LAST_SECONDS)
        return self.has_ended

    @property
    def is_full(self) -> bool:
        """Whether its disk has no room left, or had none a moment ago: what failed has given its own back since."""
        free = free_bytes(self.directory.path) if self.directory else None
        said = self.server.last_words() if self.server else ""
        return (free is not None and free < _FULL_BYTES) or "No space left on device" in said

    def last_words(self) -> str:
        """What its server said last."""
        return format_untrusted(self.server.last_words(), 400) if self.server else ""

    def start(self, cancellation: Cancellation) -> Routine[ConnectionProfile]:
        """Make it and wait until it takes logins. Raises ToolError with its last words, StorageError, Cancelled."""
        began = time.monotonic()
        yield StepStarted("throwaway server", f"{self.plan.server} in {self.plan.parent}")
        self.is_ours = True
        parent = Path(self.plan.parent)
        with storage_errors(parent):
            self.directory = ServerDirectory.create(parent)
            self.server = server = self.make(self.directory)
        if server is not None:
            with storage_errors(parent):
                server.prepare()
            yield from self._until(cancellation, began, "data directory", lambda: server.is_prepared)
            with storage_errors(parent):
                server.launch()
            yield from self._until(cancellation, began, "start", lambda: server.is_ready() or self.has_ended)
            if self.has_ended:
                raise ToolError(f"the throwaway {self.plan.server} did not start: {self.last_words()}")
        yield StepFinished("throwaway server", time.monotonic() - began)
        return self.profile()

    def _until(self, cancellation: Cancellation, began: float, what: str, is_done: Callable[[], bool]) -> Routine[None]:
        while not is_done():
            cancellation.wait(_TICK_SECONDS)
            cancellation.check()
            seconds = time.monotonic() - began
            if seconds > _START_SECONDS:
                raise ToolError(f"the throwaway {self.plan.server} did not start in {_START_SECONDS:.0f} s")
            yield Progressed(int(seconds), None, "seconds", what)

    def close(self) -> None:
        """End its server and remove its directory. May be called twice."""
        if self.directory is None:
            self.is_ours = False
            return
        self.is_being_undone = True
        if self.server is not None:
            self.server.stop()
        self.directory.close()
        self.is_ours = self.is_being_undone = False


class ProvingServer(ThrowawayServer, abc.ABC):
    """A server for one proof: nobody else waits for it, so everybody else goes first."""

    accounts = ACCOUNTS

    def words_before(self) -> list[str]:
        """It yields to whatever else runs here, and nothing that it starts can become another user."""
        nice, setpriv = find_program("nice"), find_program("setpriv")
        return [*([str(nice), "-n", "10"] if nice else []), *([str(setpriv), "--no-new-privs"] if setpriv else [])]


# ---------------------------------------------------------------- where there is room


def needed_bytes(backup: StoredBackup, extra: int) -> int:
    """Return how much room a restore of a backup takes at most, as far as that can be told, and `extra` beside it."""
    manifest = backup.manifest
    if manifest is not None and manifest.database_bytes:
        return manifest.database_bytes * 12 // 10 + extra
    if manifest is not None and manifest.uncompressed_bytes:
        return manifest.uncompressed_bytes * 2 + extra
    return _size_of(Path(backup.data_path)) * _UNPACKED_TIMES + extra


def _size_of(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else (path,)
    return sum(file.stat().st_size for file in files if file.is_file())


def temporary_places(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the usual places for temporary files, each once, the operator's own choice first."""
    names = dict.fromkeys((environ.get("TMPDIR") or tempfile.gettempdir(), "/var/tmp", "/tmp"))  # noqa: S108
    return tuple(Path(name) for name in names)


def choose_parent(needed: int, environ: Mapping[str, str], account: Account | None, *, in_memory: bool = False) -> str:
    """Return the first usual place for temporary files with that much room. Raises RefusedError naming them all.

    Its name must be short, for a unix socket's path has 107 bytes, and the server's account must be able to enter.
    `in_memory`: what comes there must not lie on a disk.
    """
    seen = []
    for path in memory_places(environ) if in_memory else temporary_places(environ):
        reason = _unfit(path, account)
        free = room_in(path) if in_memory else free_bytes(path)
        if not reason and (free is None or free >= needed):
            return str(path)
        seen.append(f"{format_untrusted(str(path), 60)} {reason or f'has {format_bytes(free or 0)} free'}")
    if in_memory:
        raise RefusedError(
            f"what is encrypted is restored in memory alone, where it needs about {format_bytes(needed)}: "
            f"{', '.join(seen) or 'there is no tmpfs here'}",
            "enlarge /dev/shm, or restore it on a server: --to TARGET",
        )
    raise RefusedError(
        f"a throwaway server for it needs about {format_bytes(needed)}: {', '.join(seen)}",
        "let TMPDIR name a directory with that much room, or restore it on a server: --to TARGET",
    )


def _unfit(path: Path, account: Account | None) -> str:
    if len(os.fsencode(path)) > LONGEST_PARENT:
        return f"has a name longer than {LONGEST_PARENT} bytes"
    if not path.is_dir() or not os.access(path, os.W_OK | os.X_OK):
        return "cannot be written"
    if account is not None and not is_open_to_all(path):
        return f"cannot be entered by {account.name}"
    return ""


def is_open_to_all(path: Path) -> bool:
    """Whether every account may go to `path` and look into it."""
    return all(each.stat().st_mode & stat.S_IXOTH for each in (path, *path.parents))


def free_bytes(path: Path) -> int | None:
    """Return the room for us on the disk that holds a directory; None when that cannot be told."""
    try:
        about = os.statvfs(path)
    except OSError:
        return None
    return about.f_bavail * about.f_frsize


def describe_versions(versions: Sequence[str]) -> str:
    """Return what is installed, for the sentence that says what is missing."""
    return f"found {', '.join(versions)}" if versions else "none is installed"
