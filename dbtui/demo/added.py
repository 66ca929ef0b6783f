"""Replicas that somebody adds to the demo's server while playing with it: they end, and go, when the world does."""

import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from dbtui.adapters.throwaway.watchdog import end_process, format_identity
from dbtui.demo.servers import PostgreSQL

EVERY_SECONDS = 1.0
_SYSTEM_BYTES = 8  # the beginning of pg_control is the system identifier


class AddedReplicas:
    """Looks now and then for servers with a copy of `primary`'s data that are not of this world's making.

    The world's watchdog ends them when this process is killed; at a clean end their directories are removed as well.
    """

    def __init__(self, primary: PostgreSQL) -> None:
        self._primary = primary
        self._found: dict[Path, str] = {}  # data directories, and their servers' identities
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_often, name="added replicas", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join(10)
        self._look()
        for directory, identity in self._found.items():
            end_process(identity, signal.SIGQUIT)
            if _system_of(directory) == _system_of(self._primary.data):
                shutil.rmtree(directory, ignore_errors=True)
                directory.with_name(f"{directory.name}.passfile").unlink(missing_ok=True)

    def _look_often(self) -> None:
        while not self._ended.wait(EVERY_SECONDS):
            self._look()

    def _look(self) -> None:
        own = {self._primary.data, *(each.data for each in self._primary.replicas)}
        system = _system_of(self._primary.data)
        for pid, directory in _find_servers():
            identity = format_identity(pid)
            is_new = directory not in own and self._found.get(directory) != identity
            if is_new and system and _system_of(directory) == system:
                self._found[directory] = identity
                self._primary.directory.watch(pid, signal.SIGQUIT)


def _find_servers() -> Iterator[tuple[int, Path]]:
    """Yield the PostgreSQL servers of this machine with their data directories, as far as they can be seen."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended meanwhile
        if words[0].endswith(b"/postgres") and b"-D" in words[:-1]:
            yield int(entry.parent.name), Path(words[words.index(b"-D") + 1].decode("utf-8", "surrogateescape"))


def _system_of(directory: Path) -> bytes:
    try:
        with (directory / "global" / "pg_control").open("rb") as file:
            return file.read(_SYSTEM_BYTES)
    except OSError:
        return b""
