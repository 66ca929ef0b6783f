"""The data of pg_dump's archives: rows of one entry, and every block of a whole archive.

A custom archive holds blocks: a byte (1 rows, 3 large objects), the entry's number, then chunks of a length and that
many bytes, ended by length 0. In a directory every table is a file. Whatever is packed with lz4 is left to pg_restore.
"""

import os
import re
import stat
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol, cast

import zstandard

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.encryption import open_data
from dbtui.adapters.postgresql.archive import Archive, ArchiveEntry, ArchiveReader
from dbtui.adapters.postgresql.archive_tool import archive_tool, use_list
from dbtui.adapters.postgresql.sql_lexer import Lexer
from dbtui.adapters.postgresql.tools import find_tools
from dbtui.adapters.streams import CHUNK_BYTES, open_raw, storage_errors
from dbtui.errors import DamagedBackupError, ToolError
from dbtui.model.backups import BackupFormat, Compression, CompressionKind, StoredBackup

ROWS, LARGE_OBJECTS = 1, 3
DATA_FILE = re.compile(r"\d+\.dat")
LARGE_OBJECT_LISTS = re.compile(r"blobs(?:_\d+)?\.toc")
_PACKED = {"": CompressionKind.NONE, ".gz": CompressionKind.GZIP, ".zst": CompressionKind.ZSTD}
_LONGEST_CHUNK = 1 << 30
#: What is unpacked at a time: a few bytes can be made to unpack to a hundred thousand times as many.
_PIECE_BYTES = {"none": CHUNK_BYTES, "gzip": 1 << 16, "lz4": 1 << 16, "zstd": 1 << 12}


def find_data_file(directory: Path, name: str) -> tuple[Path, str]:
    """Return the file of a directory archive that a name stands for, and its ending (".gz"…).

    Raises DamagedBackupError when it is missing, not a plain file, or named as pg_dump would not.
    """
    if not (DATA_FILE.fullmatch(name) or LARGE_OBJECT_LISTS.fullmatch(name)):
        raise DamagedBackupError(f"{directory.name}: toc.dat names the file {name!r}, which pg_dump would not write")
    for ending in ("", ".gz", ".zst", ".lz4"):
        path = directory / f"{name}{ending}"
        try:
            about = path.lstat()
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(about.st_mode):
            raise DamagedBackupError(f"{directory.name}/{path.name} is not a regular file")
        return path, ending
    raise DamagedBackupError(f"{directory.name}/{name} is missing")


def entry_data(
    backup: StoredBackup, archive: Archive, entry: ArchiveEntry, cancellation: Cancellation
) -> Iterator[bytes]:
    """Yield an entry's data unpacked. Raises DamagedBackupError, StorageError, ToolError, Cancelled."""
    path = Path(backup.data_path)
    if backup.format is BackupFormat.DIRECTORY:
        file, ending = find_data_file(path, entry.file_name.decode("utf-8", "replace"))
        if ending != ".lz4":
            yield from read_file(file, _PACKED[ending], cancellation)
            return
    elif archive.packing != "lz4":
        yield from _custom_rows(backup, archive, entry, cancellation)
        return
    yield from _rows_by_tool(backup, entry)


def read_file(path: Path, packed: CompressionKind, cancellation: Cancellation) -> Iterator[bytes]:
    """Yield a file unpacked. An empty file is damage when it should be packed."""
    with storage_errors(path), open_raw(path, Compression(packed)) as stream:
        is_empty = True
        while chunk := stream.read(CHUNK_BYTES):
            is_empty = False
            cancellation.check()
            yield chunk
    if is_empty and packed is not CompressionKind.NONE and path.stat().st_size == 0:
        raise DamagedBackupError(f"{path.parent.name}/{path.name} is empty: even an empty table's file has a head")


class _Unpacker(Protocol):
    def decompress(self, data: bytes, /) -> bytes: ...


class _Same:
    def decompress(self, data: bytes, /) -> bytes:
        return data


def _unpacker(packing: str) -> _Unpacker:
    if packing == "gzip":
        return zlib.decompressobj()
    return zstandard.ZstdDecompressor().decompressobj() if packing == "zstd" else _Same()


def _custom_rows(
    backup: StoredBackup, archive: Archive, entry: ArchiveEntry, cancellation: Cancellation
) -> Iterator[bytes]:
    path = Path(backup.data_path)
    with open_data(backup) as stream, storage_errors(path):
        blocks = CustomBlocks(stream, path.name, archive, can_seek=not backup.is_packed)
        blocks.go_to(entry.data_at if entry.data_at > 0 else archive.data_begins)
        while (kind_and_id := blocks.next_block()) is not None:
            cancellation.check()
            if kind_and_id == (ROWS, entry.dump_id):
                yield from blocks.rows()
                return
            blocks.skip()
    raise DamagedBackupError(f"{path.name}: the data of {entry.describe()} is missing")


class CustomBlocks:
    """The data blocks of a custom archive, one after another. `can_seek`: whether the stream can jump ahead."""

    def __init__(self, stream: BinaryIO, name: str, archive: Archive, *, can_seek: bool) -> None:
        self._reader = ArchiveReader(stream, name)
        self._reader.set_sizes(archive)
        self._packing = archive.packing
        self._can_seek = can_seek
        self._kind = ROWS

    @property
    def at(self) -> int:
        """The offset of the present place."""
        return self._reader.at

    def go_to(self, offset: int) -> None:
        """Go to an offset ahead of the present place."""
        self._pass(offset - self._reader.at)

    def next_block(self) -> tuple[int, int] | None:
        """Read a block's kind and its entry's number; None at the end of the file."""
        first = self._reader.stream.read(1)
        if not first:
            return None
        self._reader.at += 1
        self._kind = first[0]
        if self._kind not in (ROWS, LARGE_OBJECTS):
            raise self._reader.damage("a block of data begins with neither rows nor large objects")
        return self._kind, self._reader.read_number()

    def rows(self) -> Iterator[bytes]:
        """Yield the block's rows unpacked; every chunk is checked by what packed it."""
        unpacker = _unpacker(self._packing)
        began = False
        for chunk in self._chunks():
            try:
                data = unpacker.decompress(chunk)
            except (zlib.error, zstandard.ZstdError) as error:
                raise self._reader.damage(f"the packed data is damaged: {error}") from error
            began = True
            if data:
                yield data
        if began and not getattr(unpacker, "eof", True):
            raise self._reader.damage("the packed data of a table ends too early")

    def skip(self) -> None:
        """Pass over the block's contents."""
        if self._kind == ROWS:
            self._skip_chunks()
            return
        while self._reader.read_number() != 0:
            self._skip_chunks()

    def read_all(self) -> Iterator[int]:
        """Read the block's contents, unpacking them; yields line counts of rows."""
        if self._kind == ROWS:
            for data in self.rows():
                yield data.count(b"\n")
            return
        while self._reader.read_number() != 0:
            for _ in self.rows():
                yield 0

    def _chunks(self) -> Iterator[bytes]:
        while length := self._length():
            while length > 0:
                piece = self._reader.take(min(length, _PIECE_BYTES[self._packing]))
                length -= len(piece)
                yield piece

    def _skip_chunks(self) -> None:
        while length := self._length():
            self._pass(length)

    def _length(self) -> int:
        length = self._reader.read_number()
        if not 0 <= length <= _LONGEST_CHUNK:
            raise self._reader.damage(f"a chunk of data says that it has {length} bytes")
        return length

    def _pass(self, count: int) -> None:
        if self._can_seek:
            self._reader.stream.seek(count, os.SEEK_CUR)
            self._reader.at += count
            return
        while count > 0:
            count -= len(self._reader.take(min(count, CHUNK_BYTES)))


def _rows_by_tool(backup: StoredBackup, entry: ArchiveEntry) -> Iterator[bytes]:
    path = Path(backup.data_path)
    tools = find_tools("pg_restore", os.environ)
    if not tools:
        raise ToolError(f"{path.name} is packed with lz4 and pg_restore is not installed", "install it to see the rows")
    with use_list([entry]) as listing:
        arguments = [tools[-1].path, "--data-only", f"--use-list={listing}", "--file=-"]
        yield from _first_copy(arguments, backup, entry)


def _first_copy(arguments: list[str], backup: StoredBackup, entry: ArchiveEntry) -> Iterator[bytes]:
    with archive_tool(arguments, backup, stdout=subprocess.PIPE) as feeding:
        lexer = Lexer(cast(BinaryIO, feeding.tool.process.stdout), Path(backup.data_path).name)
        for statement in lexer:
            if statement.has_data:
                yield from lexer.copy_chunks()
                return
        feeding.check()
    raise DamagedBackupError(f"{Path(backup.data_path).name}: the data of {entry.describe()} is missing")
