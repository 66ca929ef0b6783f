"""The directory that all servers of one pytest process share. Each xdist worker is a process of its own."""

import itertools
import os
from collections.abc import Iterator

import pytest

from dbtui.demo.servers import ServerDirectory

_numbers = itertools.count(1)


def unique_name(stem: str) -> str:
    """A name for a database, role or server that no other test has."""
    return f"{stem}_{os.getpid()}_{next(_numbers)}"


@pytest.fixture(scope="session")
def server_directory() -> Iterator[ServerDirectory]:
    """Removed with its servers at the end, also after pytest was killed."""
    with ServerDirectory.create() as directory:
        yield directory
