"""Packing the files of a directory with zstd behind a tool that cannot: each as soon as the tool has closed it.

Who has a file open is asked of the kernel, so that nothing has to be guessed from sizes that stand still. Where that
cannot be asked, files are packed when the tool has ended.
"""

import hashlib
import os
import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol, Self

import zstandard

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.driving import exhaust
from dbtui.adapters.streams import (
    CHUNK_BYTES,
    WRITEBACK_BYTES,
    create_file,
    hash_file,
    start_writeback,
    storage_errors,
    write_all,
)
from dbtui.errors import Cancelled, DbtuiError
from dbtui.model.backups import BackupFile, Compression, CompressionKind

PACKED_SUFFIX = ".zst"
_DEFAULT_LEVEL = 1
_SCAN_SECONDS = 0.1
_SCAN_SECONDS_PER_FILE = 50e-6


class Tap(Protocol):
    """Sees the bytes of one file before they are packed."""

    def tap(self, chunk: memoryview) -> None:
        """Take the next bytes."""
        ...

    def finish(self) -> None:
        """Take note that these were all."""
        ...


class _NoTap:
    def tap(self, chunk: memoryview) -> None:
        pass

    def finish(self) -> None:
        pass


class DirectoryPacker:
    """Packs the files of a directory that `is_packed` names, and hashes them all. Leaving the block ends its threads.

    `writer` is the process, and with it its children, that writes them; `jobs` files are packed at once. Without
    compression they are left as they are. `tap` makes what sees the bytes of one file.
    """

    def __init__(
        self,
        path: Path,
        compression: Compression,
        jobs: int,
        writer: int,
        is_packed: Callable[[str], bool],
        tap: Callable[[], Tap] = _NoTap,
    ) -> None:
        self._path = path
        self._packs = compression.kind is CompressionKind.ZSTD
        self._level = _DEFAULT_LEVEL if compression.level is None else compression.level
        self._make_tap = tap
        self._writer = writer
        self._is_packed = is_packed
        self._lock = threading.Lock()
        self._seen: set[str] = set()
        self._files: list[BackupFile] = []
        self._raw_bytes = 0
        self._error: Exception | None = None
        self._stopping = Cancellation()
        self._ended = threading.Event()
        self._closed: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._scanner = threading.Thread(target=self._guarded, args=(self._scan,), name="packing", daemon=True)
        self._packers = [
            threading.Thread(target=self._guarded, args=(self._pack_all,), name="packing", daemon=True)
            for _ in range(max(1, jobs))
        ]

    def __enter__(self) -> Self:
        for thread in (self._scanner, *self._packers):
            thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stopping.request("no longer wanted")
        self._end()

    @property
    def raw_bytes(self) -> int:
        """How many bytes of files that it was to pack it has read so far."""
        return self._raw_bytes

    def check(self) -> None:
        """Raise what went wrong so far. Raises StorageError."""
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Have the threads end soon, whatever is left to do."""
        self._stopping.request("cancelled")

    def wait_for(self, seconds: float) -> bool:
        """The tool having ended, wait at most `seconds` until everything is packed; whether it is."""
        if not self._ended.is_set():
            self._ended.set()
            self._scanner.join()
            for _ in self._packers:
                self._closed.put(None)
        waiting = next((thread for thread in self._packers if thread.is_alive()), None)
        if waiting is not None:
            waiting.join(seconds)
        return not any(thread.is_alive() for thread in self._packers)

    def finish(self) -> tuple[BackupFile, ...]:
        """Pack what is left; return every file, by name. Raises StorageError."""
        self._end()
        self.check()
        packed = {file.path for file in self._files}
        with storage_errors(self._path):
            others = sorted({entry.name for entry in self._path.iterdir()} - packed)
        rest = [exhaust(hash_file(self._path / name, name, self._stopping), _ignore) for name in others]
        return tuple(sorted((*self._files, *rest), key=lambda file: file.path))

    def _end(self) -> None:
        while not self.wait_for(_SCAN_SECONDS):
            continue

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            with storage_errors(self._path):
                work()
        except Cancelled:
            return
        except (DbtuiError, zstandard.ZstdError) as error:
            self._error = error
            self._stopping.request("it failed")

    # ---------------------------------------------------------------- what is closed

    def _scan(self) -> None:
        while not self._ended.is_set():
            self._take(lambda: open_files(self._writer))
            self._ended.wait(max(_SCAN_SECONDS, len(self._seen) * _SCAN_SECONDS_PER_FILE))
        self._take(frozenset)

    def _take(self, ask: Callable[[], frozenset[str] | None]) -> None:
        """Have every new file packed that nobody has open. First come the names: a file is made and opened at once."""
        with os.scandir(self._path) as listing:
            names = [entry.name for entry in listing if entry.is_file(follow_symlinks=False)]
        fresh = [name for name in names if name not in self._seen and self._is_packed(name)]
        opened = ask() if fresh else None
        if opened is None:
            return
        place = os.path.realpath(self._path)
        for name in fresh:
            if f"{place}/{name}" not in opened:
                self._seen.add(name)
                self._closed.put(name)

    # ---------------------------------------------------------------- packing

    def _pack_all(self) -> None:
        while (name := self._closed.get()) is not None:
            self._stopping.check()
            source = self._path / name
            with source.open("rb", buffering=0) as raw:
                if self._packs:
                    with create_file(self._path / (name + PACKED_SUFFIX)) as packed:
                        file = self._pack(raw, packed, name + PACKED_SUFFIX)
                    source.unlink()
                else:
                    file = self._hash(raw, name)
            self._files.append(file)

    def _pack(self, raw: BinaryIO, packed: BinaryIO, name: str) -> BackupFile:
        size = os.fstat(raw.fileno()).st_size
        packer = zstandard.ZstdCompressor(level=self._level, write_checksum=True).compressobj(size=size)
        digest, written, pushed = hashlib.sha256(), 0, 0
        for chunk in self._read(raw):
            written += _write(packed, digest, packer.compress(chunk))
            if written - pushed >= WRITEBACK_BYTES:
                start_writeback(packed.fileno(), pushed, written - pushed)
                pushed = written
        written += _write(packed, digest, packer.flush())
        os.fsync(packed.fileno())
        return BackupFile(name, written, digest.hexdigest())

    def _hash(self, raw: BinaryIO, name: str) -> BackupFile:
        digest, size = hashlib.sha256(), 0
        for chunk in self._read(raw):
            digest.update(chunk)
            size += len(chunk)
        os.fsync(raw.fileno())
        return BackupFile(name, size, digest.hexdigest())

    def _read(self, raw: BinaryIO) -> Iterator[memoryview]:
        """Yield the chunks of a file, each of which its tap has seen."""
        tap, buffer = self._make_tap(), bytearray(CHUNK_BYTES)
        while count := os.readv(raw.fileno(), [buffer]):
            self._stopping.check()
            chunk = memoryview(buffer)[:count]
            tap.tap(chunk)
            yield chunk
            with self._lock:
                self._raw_bytes += count
        tap.finish()


def _ignore(_done: int) -> None:
    return


def _write(file: BinaryIO, digest: "hashlib._Hash", data: bytes) -> int:
    digest.update(data)
    write_all(file, data)
    return len(data)


# ---------------------------------------------------------------- who has what open


def open_files(process: int) -> frozenset[str] | None:
    """Return the paths of the files that a process and its children have open; None where that cannot be known."""
    found: set[str] = set()
    try:
        for each in _family(process):
            found.update(str(link.readlink()) for link in Path(f"/proc/{each}/fd").iterdir())
    except OSError:  # one of them just ended, or closed a file: the next look tells
        return None
    return frozenset(found)


def _family(process: int) -> Iterator[int]:
    """A process and its children, and theirs."""
    yield process
    for task in Path(f"/proc/{process}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from _family(int(child))
