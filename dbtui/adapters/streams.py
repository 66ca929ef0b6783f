"""Bytes to and from backup files: written new, compressed, hashed and fsynced; read back with damage noticed.

A reader that reaches the end of a compressed file before the end of its frame raises: a truncated file must never look
like a short one.
"""

import errno
import gzip
import hashlib
import io
import os
import time
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import zstandard

from dbtui.adapters.cancellation import Cancellation
from dbtui.errors import DamagedBackupError, StorageError
from dbtui.model.backups import BackupFile, Compression, CompressionKind

CHUNK_BYTES = 1 << 20
TICK_SECONDS = 0.2
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


def fsync_path(path: Path) -> None:
    """Make a file or directory's contents durable. Raises StorageError."""
    with storage_errors(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


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
        return zstandard.ZstdCompressor(level=level, write_checksum=True).compressobj()
    return _NoPacker()


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file that was written whole. `tail` is the last 64 KiB before compression."""

    size_bytes: int
    sha256: str
    raw_bytes: int
    tail: bytes


def write_stream(
    source: int,
    path: Path,
    compression: Compression,
    cancellation: Cancellation,
    tap: Callable[[memoryview], None] | None = None,
) -> Generator[int, None, WrittenFile]:
    """Copy everything from descriptor `source` into a new file at `path`, compressing and hashing; fsync it.

    Yields the raw bytes so far, at most five times a second. `tap` sees every raw chunk.
    Raises StorageError, Cancelled.
    """
    packer, digest, raw, packed, tail = _packer(compression), hashlib.sha256(), 0, 0, b""
    buffer = bytearray(CHUNK_BYTES)
    view = memoryview(buffer)
    next_tick = time.monotonic() + TICK_SECONDS
    with create_file(path) as file, storage_errors(path):
        while count := os.readv(source, [buffer]):
            chunk = view[:count]
            tail = bytes(chunk[-65536:]) if count >= 65536 else (tail + bytes(chunk))[-65536:]
            if tap is not None:
                tap(chunk)
            raw += count
            packed += _write(file, digest, packer.compress(chunk))
            if time.monotonic() >= next_tick:
                cancellation.check()
                yield raw
                next_tick = time.monotonic() + TICK_SECONDS
        cancellation.check()
        packed += _write(file, digest, packer.flush())
        os.fsync(file.fileno())
    return WrittenFile(packed, digest.hexdigest(), raw, tail)


class _Digest(Protocol):
    def update(self, data: bytes | memoryview, /) -> None: ...


def _write(file: BinaryIO, digest: _Digest, data: bytes | memoryview) -> int:
    if not data:
        return 0
    digest.update(data)
    remaining = memoryview(data)
    while remaining:
        remaining = remaining[file.write(remaining) :]
    return len(data)


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


class _ZstdReader(io.RawIOBase):
    """Reads one zstd frame after another and notices when the last one does not end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb", buffering=0)
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._pending = memoryview(b"")
        self._fed = False

    def readable(self) -> bool:
        return True

    def readinto(self, target: object) -> int:
        view = memoryview(target)  # type: ignore[arg-type]
        while not self._pending:
            chunk = self._next_chunk()
            if not chunk:
                if self._fed and not self._frame.eof:
                    raise DamagedBackupError(f"{self._path}: the compressed data ends too early")
                return 0
            try:
                self._pending = memoryview(self._frame.decompress(chunk))
            except zstandard.ZstdError as error:
                raise DamagedBackupError(f"{self._path}: the compressed data is damaged: {error}") from error
            self._fed = True
        count = min(len(view), len(self._pending))
        view[:count] = self._pending[:count]
        self._pending = self._pending[count:]
        return count

    def _next_chunk(self) -> bytes:
        rest = self._frame.unused_data if self._frame.eof else b""
        if self._frame.eof:
            self._frame = zstandard.ZstdDecompressor().decompressobj()
            self._fed = False
        return rest or self._file.read(1 << 17)

    def close(self) -> None:
        self._file.close()
        super().close()


class _GzipReader(gzip.GzipFile):
    """A gzip file whose damage is a DamagedBackupError."""

    def read(self, size: int | None = -1) -> bytes:
        try:
            return super().read(size)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DamagedBackupError(f"{self.name}: the compressed data is damaged: {error}") from error


def open_raw(path: Path, compression: Compression) -> BinaryIO:
    """Open a data file for reading its uncompressed bytes. Raises StorageError; reading raises DamagedBackupError."""
    with storage_errors(path):
        if compression.kind is CompressionKind.ZSTD:
            return io.BufferedReader(_ZstdReader(path), CHUNK_BYTES)
        if compression.kind is CompressionKind.GZIP:
            return _GzipReader(path, "rb")  # type: ignore[return-value]
        return path.open("rb", buffering=CHUNK_BYTES)
