"""The directory that all servers of one pytest process share. Each xdist worker is a process of its own."""

import itertools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dbtui.demo.servers import ServerDirectory

_numbers = itertools.count(1)


def unique_name(stem: str) -> str:
    """A name for a database, role or server that no other test has."""
    return f"{stem}_{os.getpid()}_{next(_numbers)}"


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for a condition instead of for a time; fails when it does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.02)


def processes_in(directory: Path) -> list[str]:
    """The commands of the living processes that name `directory`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if os.fsencode(directory) in command:
                found.append(command.replace(b"\0", b" ").decode(errors="replace"))
    return found


@pytest.fixture(scope="session")
def server_directory() -> Iterator[ServerDirectory]:
    """Removed with its servers at the end, also after pytest was killed."""
    with ServerDirectory.create() as directory:
        yield directory


@pytest.fixture
def short_directory(server_directory: ServerDirectory) -> Path:
    """A directory of this test alone whose path leaves room for a unix socket's name."""
    return server_directory.add_subdirectory(f"t{time.monotonic_ns() % 100_000_000}", None)
