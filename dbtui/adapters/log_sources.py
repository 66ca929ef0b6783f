"""Where the bytes of a log come from: a file, packed or not, a pipe, or a file that is still written and rotated."""

import abc
import os
import re
import select
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dbtui.adapters.unpacking import PackedReader
from dbtui.errors import DamagedBackupError, StorageError
from dbtui.model.formats import CompressionKind

CHUNK_BYTES = 1 << 17  # what fits into a processor's cache with all that is made of it is read quickest
_MAGIC = {b"\x1f\x8b": CompressionKind.GZIP, b"\x28\xb5\x2f\xfd": CompressionKind.ZSTD}
#: What log_filename and other programs change in a name from one file to the next.
_CHANGING = re.compile(r"\d+|Mon|Tue|Wed|Thu|Fri|Sat|Sun|Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec")


@contextmanager
def reading_errors(path: str | Path) -> Iterator[None]:
    """Turn an OSError in the block into a StorageError that says what about reading `path` is wrong."""
    try:
        yield
    except PermissionError as error:
        hint = (
            "server logs belong to the server's account: read it as that (sudo -u postgres ...), or let a group read it"
        )
        raise StorageError(f"{path} may not be read: {error.strerror}", hint) from error
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}") from error


class LogSource(abc.ABC):
    """`size_bytes`: None when it is not known. `read_bytes`: of those. `has_switched`: a new file has begun."""

    is_followed = False

    def __init__(self, name: str, size_bytes: int | None = None) -> None:
        self.name = name
        self.size_bytes = size_bytes
        self.read_bytes = 0
        self.has_switched = False
        self.warning = ""

    @abc.abstractmethod
    def read(self) -> bytes:
        """Return what comes next; nothing at the end, which in a file that is followed is the end for now."""

    def is_ready(self, seconds: float) -> bool:  # noqa: ARG002 - a file is read at once
        """Whether there is something to read, or the end, within so many seconds."""
        return True

    @abc.abstractmethod
    def close(self) -> None:
        """Let go of the source."""


class FileSource(LogSource):
    """A file that is read once, unpacked on the way. Raises StorageError."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        with reading_errors(path):
            if path.is_dir():
                raise StorageError(f"{path} is a directory", "name one of the files in it")
            self._file: BinaryIO = path.open("rb", buffering=0)
            status = os.fstat(self._file.fileno())
            self.size_bytes = status.st_size or None
        self._packed: PackedReader | None = None
        self._begin = b""
        if self.size_bytes:
            self._begin = self._file.read(4)
            for magic, kind in _MAGIC.items():
                if self._begin.startswith(magic):
                    self._packed, self._begin = PackedReader(path, kind), b""

    def read(self) -> bytes:
        """Return what comes next. What is cut or damaged in a packed file ends it, with a warning."""
        with reading_errors(self.name):
            if self._packed is not None:
                return self._read_packed(self._packed)
            data = self._begin + self._file.read(CHUNK_BYTES)
        self._begin = b""
        self.read_bytes += len(data)
        if not data and self.size_bytes and os.fstat(self._file.fileno()).st_size < self.read_bytes:
            self.warning = f"{self.name} was emptied while it was read"
        return data

    def _read_packed(self, packed: PackedReader) -> bytes:
        try:
            data = packed.read(CHUNK_BYTES) or b""
        except DamagedBackupError as error:
            if not self.read_bytes:
                raise StorageError(error.message, "nothing of it could be read") from error
            self.warning = f"{error.message}: what comes before was read"
            return b""
        self.read_bytes = packed.position
        return data

    def close(self) -> None:
        """Close the file."""
        if self._packed is not None:
            self._packed.close()
        self._file.close()


class PipeSource(LogSource):
    """A stream that cannot be sought, such as stdin."""

    def __init__(self, stream: BinaryIO, name: str = "stdin") -> None:
        super().__init__(name)
        self._stream = stream

    def read(self) -> bytes:
        """Return what comes next, as soon as anything does."""
        with reading_errors(self.name):
            read = getattr(self._stream, "read1", self._stream.read)
            data: bytes = read(CHUNK_BYTES) or b""
        self.read_bytes += len(data)
        return data

    def is_ready(self, seconds: float) -> bool:
        """Whether the other end has written, or ended."""
        try:
            descriptor = self._stream.fileno()
        except OSError:  # a stream in memory
            return True
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def close(self) -> None:
        """The stream is its owner's to close."""


class FifoSource(PipeSource):
    """A named pipe. Opening it waits for nobody, so that it can be given up before anything writes."""

    def __init__(self, path: Path) -> None:
        with reading_errors(path):
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.set_blocking(descriptor, True)
        self._file = os.fdopen(descriptor, "rb", buffering=0)
        super().__init__(self._file, str(path))

    def close(self) -> None:
        """Close the pipe."""
        self._file.close()


class FollowedFile(LogSource):
    """A file that a server writes while it is read.

    When another takes its place - under the same name, or in the same folder under the name that comes next - the old
    one is read to its end first. One that is emptied is read from its beginning again.
    """

    is_followed = True

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path
        self._descriptor = self._open(path)
        self._position = 0

    def read(self) -> bytes:
        """Return what comes next, or nothing; then `has_switched` says whether a new file has begun."""
        self.has_switched = False
        with reading_errors(self._path):
            data = self._read_on()
            if data:
                return data
            successor = self._find_successor()
            if successor is None:
                return b""
            data = self._read_on()  # what was written until the new one was there
            if not data:
                self._switch(successor)
        return data

    def _read_on(self) -> bytes:
        data = os.pread(self._descriptor, CHUNK_BYTES, self._position)
        self._position += len(data)
        self.read_bytes += len(data)
        return data

    def _find_successor(self) -> Path | None:
        """Return the file to go on with. One that is still empty is not gone to: the old one may be written still."""
        own = os.fstat(self._descriptor)
        try:
            named = self._path.stat()
        except FileNotFoundError:
            named = None
        if named is not None and (named.st_dev, named.st_ino) != (own.st_dev, own.st_ino):
            return self._path if named.st_size else None
        if own.st_size < self._position:
            self.warning = f"{self._path} was emptied while it was read: what was written just before may be missing"
            self._position = 0
            return None
        mask = _CHANGING.sub("#", self._path.name)
        newer = [
            (status.st_mtime_ns, entry.name)
            for entry in os.scandir(self._path.parent)
            if entry.name != self._path.name and _CHANGING.sub("#", entry.name) == mask
            and (status := entry.stat()).st_mtime_ns > own.st_mtime_ns and status.st_size and entry.is_file()
        ]  # fmt: skip
        return self._path.parent / min(newer)[1] if newer else None

    def _switch(self, path: Path) -> None:
        descriptor = self._open(path)
        os.close(self._descriptor)
        self._descriptor, self._path, self._position, self.has_switched = descriptor, path, 0, True
        self.name = str(path)

    @staticmethod
    def _open(path: Path) -> int:
        with reading_errors(path):
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
