"""SFTP remotes for tests: opened at a test's own sshd, driven to their end, and their processes counted."""

import contextlib
import hashlib
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import psutil

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.remotes.sftp import SftpRemote
from dbtui.model.backups import BackupFile
from dbtui.model.events import Event, Progressed, Routine
from dbtui.model.remotes import RemoteAddress, RemoteKind, RemoteSettings
from tests.fix_sshd import Sshd

ResultT = TypeVar("ResultT")


@dataclass
class Vault:
    """A directory at an sshd, and how a test reaches it."""

    sshd: Sshd
    home: Path
    path: Path
    cancellation: Cancellation = field(default_factory=Cancellation)

    @contextlib.contextmanager
    def open(self, port: int = 0, seconds: float = 60.0, path: str = "", **changes: str) -> Iterator[SftpRemote]:
        """Open the directory as a remote; `port`: through a proxy, `changes`: other settings of ssh_config(5)."""
        config = self.sshd.write_client_config(self.home / "ssh_config", port, **changes)
        address = RemoteAddress(RemoteKind.SFTP, "vault", path or str(self.path))
        settings = RemoteSettings(ssh_config_file=config, timeout_seconds=seconds)
        remote = SftpRemote(address, settings, dict(os.environ), self.cancellation)
        try:
            yield remote
        finally:
            remote.close()

    @property
    def partials(self) -> list[Path]:
        """What lies there unfinished."""
        return sorted(self.path.rglob("*.partial"))


def make_file(path: Path, size_bytes: int, seed: int = 1) -> BackupFile:
    """Write a file of bytes that repeat nowhere, and return what a manifest says of it."""
    data = random.Random(seed).randbytes(size_bytes)
    path.write_bytes(data)
    return BackupFile(path.name, size_bytes, hashlib.sha256(data).hexdigest())


def drive(routine: Routine[ResultT]) -> tuple[ResultT, list[Event]]:
    """Run a routine to its end; return its result and what it said."""
    events: list[Event] = []
    while True:
        try:
            events.append(next(routine))
        except StopIteration as ended:
            result: ResultT = ended.value
            return result, events


def drive_to_progress(routine: Routine[ResultT]) -> Progressed:
    """Run a routine until it says that some bytes are done."""
    for event in routine:
        if isinstance(event, Progressed) and event.done:
            return event
    raise AssertionError("it said nothing of its progress")


def ssh_processes() -> list[psutil.Process]:
    """The ssh programs that this process started and that still run."""
    found = []
    for each in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # of an sshd, gone meanwhile
            if each.name() == "ssh":
                found.append(each)
    return found
