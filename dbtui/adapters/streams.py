"""Bytes to and from backup files: written new, compressed, hashed and fsynced; read back with damage noticed.

A reader that reaches the end of a compressed file before the end of its frame raises: a truncated file must never look
like a short one.
"""

import ctypes
import errno
import hashlib
import io
import os
import queue
import select
import threading
import time
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import zstandard

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.unpacking import PackedReader
from dbtui.errors import DbtuiError, StorageError
from dbtui.model.backups import BackupFile, Compression, CompressionKind

CHUNK_BYTES = 1 << 20
TAIL_BYTES = 1 << 16
TICK_SECONDS = 0.2
_BUFFERS = 4
_GZIP_LEVEL = 6
_ZSTD_LEVEL = 1


def storage_error(path: str | Path, error: OSError) -> StorageError:
    """Return the StorageError that says in a sentence what an OSError on `path` means."""
    if error.errno == errno.ENOSPC:
        return StorageError(f"the disk that holds {path} is full", "free some space or choose another directory")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StorageError(f"{path} cannot be written: {error.strerror}", "choose a directory that you may write to")
    return StorageError(f"{path}: {error.strerror or error}")


@contextmanager
def storage_errors(path: str | Path) -> Iterator[None]:
    """Turn an OSError in the block into a StorageError that names `path`."""
    try:
        yield
    except OSError as error:
        raise storage_error(path, error) from error


def create_file(path: Path) -> BinaryIO:
    """Create a file that must not exist: mode 0600, no symbolic link followed. Raises StorageError."""
    with storage_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    return os.fdopen(descriptor, "r+b", buffering=0)


def write_all(file: BinaryIO, data: bytes | memoryview) -> None:
    """Write all of it: an unbuffered file takes less when its disk is nearly full, and says why only the next time."""
    remaining = memoryview(data)
    while remaining:
        remaining = remaining[file.write(remaining) :]


def write_durably(file: BinaryIO, data: bytes) -> None:
    """Write all of it, and wait until it is on the disk."""
    write_all(file, data)
    os.fsync(file.fileno())


def fsync_path(path: Path) -> None:
    """Make a file or directory's contents durable. Raises StorageError."""
    with storage_errors(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


WRITEBACK_BYTES = 8 << 20
_SYNC_FILE_RANGE_WRITE = 2


def _load_sync_file_range() -> "Callable[[int, int, int, int], int] | None":
    try:
        function = ctypes.CDLL(None).sync_file_range
    except (AttributeError, OSError):  # not Linux
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    found: Callable[[int, int, int, int], int] = function
    return found


_sync_file_range = _load_sync_file_range()


def start_writeback(descriptor: int, offset: int, count: int) -> None:
    """Ask the kernel to begin writing a range to the disk, without waiting, so that the final fsync has little to do.

    Only advice: where the system has no such call nothing happens, and errors show at the fsync.
    """
    if _sync_file_range is not None:
        _sync_file_range(descriptor, offset, count, _SYNC_FILE_RANGE_WRITE)


class _Packer(Protocol):
    def compress(self, data: bytes | memoryview, /) -> bytes: ...
    def flush(self) -> bytes: ...


class _NoPacker:
    def compress(self, data: bytes | memoryview, /) -> bytes | memoryview:
        return data

    def flush(self) -> bytes:
        return b""


def _packer(compression: Compression) -> "_Packer | _NoPacker":
    if compression.kind is CompressionKind.GZIP:
        level = _GZIP_LEVEL if compression.level is None else compression.level
        return zlib.compressobj(level, zlib.DEFLATED, 31)
    if compression.kind is CompressionKind.ZSTD:
        level = _ZSTD_LEVEL if compression.level is None else compression.level
        threads = min(os.cpu_count() or 1, 4)
        return zstandard.ZstdCompressor(
            level=level, write_checksum=True, threads=threads if threads > 1 else 0
        ).compressobj()
    return _NoPacker()


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file that was written whole. `tail` is the last 64 KiB before compression."""

    size_bytes: int
    sha256: str
    raw_bytes: int
    tail: bytes


class Sink(Protocol):
    """Where packed bytes go: a new file, which `finish` makes durable and returns the SHA-256 of."""

    size_bytes: int

    def write(self, data: bytes | memoryview, /) -> None: ...
    def finish(self) -> str: ...


class _FileSink:
    """A file as it is."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._written_back = 0
        self.size_bytes = 0

    def write(self, data: bytes | memoryview) -> None:
        self._digest.update(data)
        write_all(self._file, data)
        self.size_bytes += len(data)
        if self.size_bytes - self._written_back >= WRITEBACK_BYTES:
            start_writeback(self._file.fileno(), self._written_back, self.size_bytes - self._written_back)
            self._written_back = self.size_bytes

    def finish(self) -> str:
        os.fsync(self._file.fileno())
        return self._digest.hexdigest()


@contextmanager
def _open_sink(path: Path) -> Iterator[Sink]:
    with create_file(path) as file:
        yield _FileSink(file)


class _Writer:
    """Packs, hashes and writes chunks in a thread of its own, so that the tool that makes them is never kept waiting.

    zlib, zstandard, hashlib and write all let other threads run meanwhile.
    """

    def __init__(self, sink: Sink, compression: Compression) -> None:
        self._sink = sink
        self._packer = _packer(compression)
        self._error: BaseException | None = None
        self._free: queue.SimpleQueue[bytearray] = queue.SimpleQueue()
        self._full: queue.SimpleQueue[tuple[bytearray, int] | None] = queue.SimpleQueue()
        for _ in range(_BUFFERS):
            self._free.put(bytearray(CHUNK_BYTES))
        self._thread = threading.Thread(target=self._run, name="writing", daemon=True)
        self._thread.start()

    def buffer(self) -> bytearray:
        """Return a buffer to fill. Raises what went wrong with earlier ones."""
        empty = self._free.get()
        if self._error is not None:
            raise self._error
        return empty

    def put(self, buffer: bytearray, count: int) -> None:
        """Write the first `count` bytes of a buffer."""
        self._full.put((buffer, count))

    def finish(self) -> str:
        """Write what is left and make it durable; return the SHA-256. Raises what went wrong."""
        self.stop()
        if self._error is not None:
            raise self._error
        self._write(self._packer.flush())
        return self._sink.finish()

    def stop(self) -> None:
        """End the thread when it has written what it was given."""
        self._full.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (item := self._full.get()) is not None:
            buffer, count = item
            if self._error is None:
                try:
                    self._write(self._packer.compress(memoryview(buffer)[:count]))
                except (OSError, zstandard.ZstdError, zlib.error, DbtuiError) as error:
                    self._error = error
            self._free.put(buffer)

    def _write(self, data: bytes | memoryview) -> None:
        if data:
            self._sink.write(data)


def write_stream(
    source: int,
    path: Path,
    compression: Compression,
    cancellation: Cancellation,
    tap: Callable[[memoryview], None] | None = None,
    open_sink: Callable[[Path], AbstractContextManager[Sink]] | None = None,
) -> Generator[int, None, WrittenFile]:
    """Copy everything from descriptor `source` into a new file at `path`, compressing and hashing; fsync it.

    Yields the raw bytes so far about five times a second, also while nothing comes. `tap` sees every raw chunk.
    `open_sink` opens the file, where it is to be encrypted. Raises StorageError, ToolError, Cancelled.
    """
    with (open_sink or _open_sink)(path) as sink, storage_errors(path):
        writer = _Writer(sink, compression)
        try:
            raw, tail = yield from _pump(source, writer, cancellation, tap)
            digest = writer.finish()
        except BaseException:
            writer.stop()
            raise
    return WrittenFile(sink.size_bytes, digest, raw, tail)


def _pump(
    source: int, writer: _Writer, cancellation: Cancellation, tap: Callable[[memoryview], None] | None
) -> Generator[int, None, tuple[int, bytes]]:
    """Move bytes from a descriptor to a writer until its end; return how many, and the last of them."""
    raw, tail, next_tick = 0, b"", time.monotonic() + TICK_SECONDS
    poll = select.poll()
    poll.register(source, select.POLLIN)
    while True:
        if poll.poll(TICK_SECONDS * 1000):
            buffer = writer.buffer()
            count = os.readv(source, [buffer])
            if not count:
                break
            chunk = memoryview(buffer)[:count]
            tail = bytes(chunk[-TAIL_BYTES:]) if count >= TAIL_BYTES else (tail + bytes(chunk))[-TAIL_BYTES:]
            if tap is not None:
                tap(chunk)
            raw += count
            writer.put(buffer, count)
        if time.monotonic() >= next_tick:
            cancellation.check()
            yield raw
            next_tick = time.monotonic() + TICK_SECONDS
    cancellation.check()
    return raw, tail


def hash_file(path: Path, name: str, cancellation: Cancellation) -> Generator[int, None, BackupFile]:
    """Read a file and return its size and SHA-256 under `name`; yields bytes so far. Raises StorageError, Cancelled."""
    digest, size, next_tick = hashlib.sha256(), 0, time.monotonic() + TICK_SECONDS
    buffer = bytearray(CHUNK_BYTES)
    view = memoryview(buffer)
    with storage_errors(path), path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(view[:count])
            size += count
            if time.monotonic() >= next_tick:
                cancellation.check()
                yield size
                next_tick = time.monotonic() + TICK_SECONDS
    return BackupFile(name, size, digest.hexdigest())


def open_raw(path: Path, compression: Compression) -> BinaryIO:
    """Open a data file for reading its uncompressed bytes. Raises StorageError; reading raises DamagedBackupError."""
    with storage_errors(path):
        if compression.kind is CompressionKind.NONE:
            return path.open("rb", buffering=CHUNK_BYTES)
        return io.BufferedReader(PackedReader(path, compression.kind), CHUNK_BYTES)
