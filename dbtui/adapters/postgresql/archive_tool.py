"""pg_restore run on an archive: what it reads, unpacked for it where the archive as a whole is packed."""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from dbtui.adapters.encryption import open_data
from dbtui.adapters.postgresql.archive import ArchiveEntry
from dbtui.adapters.postgresql.directory_feeding import DirectoryFeeding, needs_feeding
from dbtui.adapters.processes import ChildTool
from dbtui.adapters.streams import CHUNK_BYTES, storage_error
from dbtui.errors import DbtuiError
from dbtui.model.backups import StoredBackup


class Feeding:
    """A running pg_restore, and the thread that unpacks the archive into its stdin, if that is needed."""

    def __init__(
        self, tool: ChildTool, backup: StoredBackup, sink: int | None, directory: DirectoryFeeding | None = None
    ) -> None:
        self.tool = tool
        self._directory = directory
        if directory is not None:
            directory.on_error = tool.stop
        self._backup = backup
        self._error: DbtuiError | None = None
        self._thread: threading.Thread | None = None
        if sink is not None:
            self._thread = threading.Thread(target=self._feed, args=(sink,), name="feeding pg_restore", daemon=True)
            self._thread.start()

    def _feed(self, descriptor: int) -> None:
        path = Path(self._backup.data_path)
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as sink, open_data(self._backup) as stream:
                while chunk := memoryview(stream.read(CHUNK_BYTES)):
                    while chunk:
                        chunk = chunk[sink.write(chunk) :]
        except BrokenPipeError:
            return  # pg_restore ended; its own words say why
        except OSError as error:
            self._error = storage_error(path, error)
        except DbtuiError as error:
            self._error = error

    def check(self) -> None:
        """Wait for the end; raise what went wrong with unpacking or in pg_restore. Raises DbtuiError."""
        if self._thread is not None:
            self._thread.join()
        if self._error is not None:
            raise self._error
        if self._directory is not None:
            self._directory.check()
        self.tool.check("reading the archive")

    def close(self) -> None:
        """End pg_restore, and with it the thread."""
        self.tool.close()
        if self._thread is not None:
            self._thread.join()
        if self._directory is not None:
            self._directory.close()


@contextmanager
def archive_tool(
    arguments: Sequence[str],
    backup: StoredBackup,
    *,
    environ: Mapping[str, str] | None = None,
    stdout: int = -3,
    on_line: Callable[[str], None] | None = None,
) -> Iterator[Feeding]:
    """Start pg_restore on a backup; it is ended when the block is left. `stdout` as subprocess has it."""
    directory = DirectoryFeeding(Path(backup.data_path)) if needs_feeding(backup) else None
    if not backup.is_packed:
        path = directory.path if directory is not None else backup.data_path
        try:
            tool = ChildTool([*arguments, path], environ=environ, stdout=stdout, on_line=on_line)
        except BaseException:
            if directory is not None:
                directory.close()
            raise
        sink = None
    else:
        read_end, sink = os.pipe()
        try:
            with os.fdopen(read_end, "rb") as source:
                tool = ChildTool(arguments, environ=environ, stdin=source, stdout=stdout, on_line=on_line)
        except BaseException:
            os.close(sink)
            raise
    feeding = Feeding(tool, backup, sink, directory)
    try:
        yield feeding
    finally:
        feeding.close()


@contextmanager
def use_list(entries: Sequence[ArchiveEntry]) -> Iterator[str]:
    """The list of entries that pg_restore takes, as a file."""
    with tempfile.NamedTemporaryFile("w", prefix="dbtui-", suffix=".list") as file:
        file.writelines(f"{entry.dump_id};\n" for entry in entries)
        file.flush()
        yield file.name
