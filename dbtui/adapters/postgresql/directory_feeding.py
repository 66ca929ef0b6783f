"""A directory archive whose files are packed with zstd, made readable for a pg_restore that knows no zstd.

It is given a directory of its own, with links to what it can read. Files that unpack to little are unpacked there, all
others are named pipes, into which a thread unpacks when pg_restore opens one: nothing large is ever on the disk.
"""

import errno
import os
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.directory_packing import PACKED_SUFFIX
from dbtui.adapters.streams import CHUNK_BYTES, create_file, open_raw, storage_error, storage_errors
from dbtui.errors import DbtuiError
from dbtui.model.backups import BackupFormat, Compression, CompressionKind, StoredBackup

_ZSTD = Compression(CompressionKind.ZSTD)
#: A file that unpacks to no more is unpacked to the disk, as long as all of them together take no more than that.
_SMALL_BYTES = 256 << 10
_SMALL_BYTES_TOGETHER = 64 << 20
_LOOK_SECONDS = 0.002
_LOOK_SECONDS_PER_PIPE = 20e-6


def needs_feeding(backup: StoredBackup) -> bool:
    """Whether a backup is a directory with files that only newer builds of pg_restore can unpack."""
    if backup.format is not BackupFormat.DIRECTORY:
        return False
    with storage_errors(backup.data_path), os.scandir(backup.data_path) as listing:
        return any(entry.name.endswith(PACKED_SUFFIX) for entry in listing)


class DirectoryFeeding:
    """Such a directory while pg_restore reads it. `close` ends its threads and removes it.

    `on_error` is called, from a thread, when something cannot be unpacked: pg_restore must not take its end for the
    end of the rows.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stopping = Cancellation()
        self._error: DbtuiError | None = None
        self._feeders: list[threading.Thread] = []
        self._small_bytes = 0
        self.on_error: Callable[[], None] = lambda: None
        self._place = tempfile.TemporaryDirectory(prefix="dbtui-")
        try:
            with storage_errors(self._place.name):
                names = sorted(path.name for path in directory.iterdir())
                self._pipes = [name for name in names if not self._show(name)]
        except BaseException:
            self._place.cleanup()
            raise
        self._thread = threading.Thread(target=self._watch, name="feeding pg_restore", daemon=True)
        self._thread.start()

    @property
    def path(self) -> str:
        """The directory for pg_restore."""
        return self._place.name

    def check(self) -> None:
        """Raise what could not be unpacked. Raises DamagedBackupError, StorageError."""
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """End the threads, pg_restore having ended, and remove the directory."""
        self._stopping.request("pg_restore has ended")
        self._thread.join()
        for feeder in self._feeders:
            feeder.join()
        self._place.cleanup()

    # ---------------------------------------------------------------- what pg_restore sees

    def _show(self, name: str) -> bool:
        """Put a file where pg_restore looks for it; False for one that is a pipe."""
        place = Path(self.path, name.removesuffix(PACKED_SUFFIX))
        if not name.endswith(PACKED_SUFFIX):
            place.symlink_to(self._directory.absolute() / name)
            return True
        with open_raw(self._directory / name, _ZSTD) as stream:
            unpacked = stream.read(_SMALL_BYTES + 1)
        if len(unpacked) <= min(_SMALL_BYTES, _SMALL_BYTES_TOGETHER - self._small_bytes):
            with create_file(place) as file:
                file.write(unpacked)
            self._small_bytes += len(unpacked)
            return True
        os.mkfifo(place, 0o600)
        return False

    # ---------------------------------------------------------------- feeding

    def _watch(self) -> None:
        """Give every pipe that pg_restore has opened a thread that fills it."""
        waiting = list(self._pipes)
        while waiting and not self._stopping.requested:
            for name in tuple(waiting):
                descriptor = self._open(Path(self.path, name.removesuffix(PACKED_SUFFIX)))
                if descriptor is None:
                    continue
                waiting.remove(name)
                feeder = threading.Thread(target=self._feed, args=(name, descriptor), name="unpacking", daemon=True)
                self._feeders.append(feeder)
                feeder.start()
            self._stopping.wait(max(_LOOK_SECONDS, len(waiting) * _LOOK_SECONDS_PER_PIPE))

    def _open(self, pipe: Path) -> int | None:
        """Open a pipe for writing; None while nobody reads it."""
        try:
            descriptor = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.ENXIO:
                self._fail(storage_error(pipe, error))
            return None
        os.set_blocking(descriptor, True)
        return descriptor

    def _feed(self, name: str, descriptor: int) -> None:
        path = self._directory / name
        with suppress(BrokenPipeError), os.fdopen(descriptor, "wb", buffering=0) as sink:
            try:
                with open_raw(path, _ZSTD) as stream:
                    while chunk := memoryview(stream.read(CHUNK_BYTES)):
                        while chunk:
                            chunk = chunk[sink.write(chunk) :]
            except BrokenPipeError:
                return  # pg_restore ended: its own words say why
            except OSError as error:
                self._fail(storage_error(path, error))
            except DbtuiError as error:
                self._fail(error)

    def _fail(self, error: DbtuiError) -> None:
        """Keep what went wrong and end pg_restore, before the pipe ends."""
        self._error = self._error or error
        self.on_error()
