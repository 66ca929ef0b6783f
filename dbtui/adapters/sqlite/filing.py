"""Database files as plain files: copied, given a place to work beside, taken out of write-ahead-log mode.

Only for files that nobody has open; see `connect` for why.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.sqlite.header import HEADER_BYTES, rollback_header
from dbtui.adapters.sqlite.translate import shown
from dbtui.adapters.streams import CHUNK_BYTES, TICK_SECONDS, storage_errors
from dbtui.model.events import Progressed, Routine


def use_rollback_journal(path: Path) -> None:
    """Take the write-ahead log out of the header of a copy that nobody has open. Raises StorageError."""
    with storage_errors(shown(path)), path.open("r+b", buffering=0) as file:
        head = file.read(HEADER_BYTES)
        if len(head) == HEADER_BYTES and rollback_header(head) != head:
            os.pwrite(file.fileno(), rollback_header(head), 0)


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """Give a private directory on the disk that the new file is on."""
    with storage_errors(shown(path.parent)):
        folder = Path(tempfile.mkdtemp(prefix=".dbtui-load-", dir=path.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def copy_bytes(source: Path, path: Path, cancellation: Cancellation) -> Routine[None]:
    """Copy a file that nobody changes into a new one, through the kernel alone where it can."""
    next_tick = time.monotonic() + TICK_SECONDS
    with storage_errors(shown(path)), source.open("rb", buffering=0) as origin, path.open("wb", buffering=0) as copy:
        path.chmod(0o600)
        done, total = 0, os.fstat(origin.fileno()).st_size
        while count := os.sendfile(copy.fileno(), origin.fileno(), done, CHUNK_BYTES * 8):
            done += count
            if time.monotonic() >= next_tick:
                cancellation.check()
                yield Progressed(done, total, "bytes")
                next_tick = time.monotonic() + TICK_SECONDS
    cancellation.check()
