"""Writing down what a remote sends: a new private file, hashed as it arrives, removed if it is wrong."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from dbtui.adapters.streams import create_file, fsync_path, start_writeback, storage_errors
from dbtui.errors import RemoteDamageError
from dbtui.model.backups import BackupFile
from dbtui.model.remotes import RemoteAddress


class Receiving:
    """A file that is being received. `write` takes what arrived next."""

    def __init__(self, opened: BinaryIO, path: Path) -> None:
        self._opened, self._path = opened, path
        self._hash = hashlib.sha256()
        self.received_bytes = 0

    def write(self, data: bytes | memoryview) -> None:
        """Write and hash. Raises StorageError."""
        with storage_errors(self._path):
            left = memoryview(data)
            while left:
                left = left[self._opened.write(left) :]
            start_writeback(self._opened.fileno(), self.received_bytes, len(data))
        self._hash.update(data)
        self.received_bytes += len(data)

    @property
    def sha256(self) -> str:
        """Of what was written so far."""
        return self._hash.hexdigest()

    def finish(self, address: RemoteAddress, name: str, file: BackupFile) -> None:
        """Make it durable. Raises RemoteError when it is not what was expected, StorageError."""
        check_received(address, name, file, self.received_bytes, self._hash.hexdigest())
        with storage_errors(self._path):
            os.fsync(self._opened.fileno())


@contextmanager
def receiving(path: Path) -> Iterator[Receiving]:
    """Create a file to receive into; when the block raises it is removed. Raises StorageError."""
    opened = create_file(path)
    try:
        with opened:
            yield Receiving(opened, path)
        fsync_path(path.parent)
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise


def check_received(address: RemoteAddress, name: str, file: BackupFile, size_bytes: int, sha256: str) -> None:
    """Raise RemoteDamageError when what a remote holds is not what it should be."""
    if size_bytes != file.size_bytes:
        wrong = f"{size_bytes} bytes instead of {file.size_bytes}"
    elif sha256 != file.sha256:
        wrong = "the right size and another SHA-256"
    else:
        return
    raise RemoteDamageError(f"{name} in {address} is not what its manifest says: it has {wrong}", "use another copy")
