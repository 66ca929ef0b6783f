"""The table of contents of pg_dump's archives, custom (one file that begins with PGDMP) and directory (its toc.dat).

Archive versions 1.12 to 1.16 are read, that is pg_dump 9.0 to 18. Numbers are a sign byte and `int_size` bytes, least
significant first; texts are a number of bytes and the bytes, and -1 stands for none.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from pathlib import Path
from typing import BinaryIO

from dbtui.adapters.encryption import open_data
from dbtui.adapters.streams import open_raw, storage_errors
from dbtui.errors import DamagedBackupError
from dbtui.model.backups import BackupFormat, Compression, StoredBackup
from dbtui.model.text import format_untrusted

MAGIC = b"PGDMP"
OLDEST, NEWEST = (1, 12), (1, 16)
_LONGEST_TEXT = 64 << 20
_MOST_ENTRIES = 5_000_000
#: A directory calls itself a tar archive (3), because it is one, unpacked.
_FORMATS = {1: BackupFormat.CUSTOM, 3: BackupFormat.DIRECTORY, 5: BackupFormat.DIRECTORY}
_PACKINGS = {0: "none", 1: "gzip", 2: "lz4", 3: "zstd"}


class Section(IntEnum):
    """When an entry is restored."""

    NONE = 1
    PRE_DATA = 2
    DATA = 3
    POST_DATA = 4


@dataclass(frozen=True, slots=True)
class ArchiveEntry:
    """One entry. Texts are bytes as dumped; `data_at` is where a custom archive keeps its data, -1 when it says not.

    `file_name` is the data file of a directory archive, empty when there is none.
    """

    dump_id: int
    has_data: bool
    table_oid: int
    oid: int
    tag: bytes
    kind: bytes
    section: int
    definition: bytes
    drop: bytes
    copy: bytes
    schema: bytes
    tablespace: bytes
    owner: bytes
    dependencies: tuple[int, ...]
    file_name: bytes
    data_at: int

    def describe(self) -> str:
        """Name it in an error: `entry 215, TABLE app.usr`."""
        words = b" ".join((self.kind, b".".join(part for part in (self.schema, self.tag) if part)))
        return f"entry {self.dump_id}, {format_untrusted(words.decode('utf-8', 'replace'), 160)}"


@dataclass(frozen=True, slots=True)
class Archive:
    """The head of an archive and its entries, in their order. `packing` is "none", "gzip", "lz4" or "zstd".

    `data_begins` is the offset behind the table of contents.
    """

    format: BackupFormat
    version: tuple[int, int, int]
    int_size: int
    offset_size: int
    packing: str
    created: datetime | None
    database: str
    server_version: str
    tool_version: str
    entries: tuple[ArchiveEntry, ...]
    data_begins: int


def archive_path(backup: StoredBackup) -> Path:
    """Return the file that holds an archive's table of contents."""
    path = Path(backup.data_path)
    return path / "toc.dat" if backup.format is BackupFormat.DIRECTORY else path


def collect_archive(backup: StoredBackup) -> Archive:
    """Read the table of contents of a custom or directory backup. Raises DamagedBackupError, StorageError."""
    path = archive_path(backup)
    with storage_errors(path):
        if path.is_symlink() or not path.is_file():
            raise DamagedBackupError(f"{path} is not a regular file", "choose another backup")
    is_one_file = backup.format is BackupFormat.CUSTOM
    with open_data(backup) if is_one_file else open_raw(path, Compression()) as stream, storage_errors(path):
        return ArchiveReader(stream, path.name).read(backup.format)


class ArchiveReader:
    """Reads numbers and texts of an archive from a stream; `name` is what errors call the file."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self.stream = stream
        self._name = name
        self._int_size = 4
        self._offset_size = 8
        self.at = 0

    def read(self, expected: BackupFormat) -> Archive:
        """Read head and entries. Raises DamagedBackupError."""
        version, form = self._read_magic()
        if form is not expected:
            raise self.damage(f"this is an archive in {form.value} format, not in {expected.value} format")
        packing = self._read_packing(version)
        created = self._read_time()
        database, server, tool = (self._read_name() for _ in range(3))
        count = self.read_number()
        if not 0 <= count <= _MOST_ENTRIES:
            raise self.damage(f"the table of contents says that it has {count} entries")
        entries = tuple(self._read_entry(version, form) for _ in range(count))
        return Archive(
            form, version, self._int_size, self._offset_size, packing, created, database, server, tool, entries, self.at
        )

    def set_sizes(self, archive: Archive) -> None:
        """Take the size of numbers from an archive whose head was read before."""
        self._int_size, self._offset_size = archive.int_size, archive.offset_size

    def _read_magic(self) -> tuple[tuple[int, int, int], BackupFormat]:
        if self.take(5) != MAGIC:
            raise self.damage("this is not an archive made by pg_dump")
        major, minor, revision, self._int_size, self._offset_size, form = self.take(6)
        if not OLDEST <= (major, minor) <= NEWEST:
            raise self.damage(
                f"the archive's version {major}.{minor} is not one of those that can be read (1.12 to 1.16)"
            )
        if self._int_size not in (4, 8) or self._offset_size not in (4, 8) or form not in _FORMATS:
            raise self.damage("the archive's head is damaged")
        return (major, minor, revision), _FORMATS[form]

    def _read_packing(self, version: tuple[int, int, int]) -> str:
        if version >= (1, 15):
            (kind,) = self.take(1)
            if kind not in _PACKINGS:
                raise self.damage("the archive is packed in a way that is not known here")
            return _PACKINGS[kind]
        return "none" if self.read_number() == 0 else "gzip"

    def _read_time(self) -> datetime | None:
        second, minute, hour, day, month, year, _daylight = (self.read_number() for _ in range(7))
        try:
            return datetime(year + 1900, month + 1, day, hour, minute, min(second, 59))  # the zone is lost
        except ValueError:
            return None

    def _read_name(self) -> str:
        return format_untrusted(self.read_text().decode("utf-8", "replace"), 200)

    def _read_entry(self, version: tuple[int, int, int], form: BackupFormat) -> ArchiveEntry:
        dump_id, had_dumper = self.read_number(), self.read_number()
        table_oid, oid = self._read_oid(), self._read_oid()
        tag, kind = self.read_text(), self.read_text()
        section = self.read_number()
        definition, drop, copy, schema, tablespace = (self.read_text() for _ in range(5))
        if version >= (1, 14):
            self.read_text()  # the table's access method
        if version >= (1, 16):
            self.read_number()  # the relation's kind
        owner = self.read_text()
        self.read_text()  # once whether the table has OIDs
        dependencies = tuple(self._read_dependencies())
        file_name, data_at = b"", -1
        if form is BackupFormat.DIRECTORY:
            file_name = self.read_text()
        else:
            data_at = self._read_offset()
        return ArchiveEntry(
            dump_id, had_dumper != 0, table_oid, oid, tag, kind, section, definition, drop, copy, schema, tablespace,
            owner, dependencies, file_name, data_at,
        )  # fmt: skip

    def _read_oid(self) -> int:
        text = self.read_text()
        return int(text) if text.isdigit() else 0

    def _read_dependencies(self) -> Iterator[int]:
        while (text := self._read_optional_text()) is not None:
            if not text.isdigit():
                raise self.damage("the table of contents is damaged: a dependency is not a number")
            yield int(text)

    def _read_offset(self) -> int:
        (state,) = self.take(1)
        offset = int.from_bytes(self.take(self._offset_size), "little")
        if state not in (1, 2, 3):
            raise self.damage("the table of contents is damaged: an offset has no meaning")
        return offset if state == 2 else -1

    # ------------------------------------------------------------ pieces

    def read_number(self) -> int:
        """Read a sign and a number."""
        raw = self.take(1 + self._int_size)
        number = int.from_bytes(raw[1:], "little")
        return -number if raw[0] else number

    def read_text(self) -> bytes:
        """Read a text; none is empty."""
        return self._read_optional_text() or b""

    def _read_optional_text(self) -> bytes | None:
        length = self.read_number()
        if length > _LONGEST_TEXT:
            raise self.damage(f"the table of contents is damaged: a text has {length} bytes")
        return None if length < 0 else self.take(length)

    def take(self, count: int) -> bytes:
        """Read exactly so many bytes. Raises DamagedBackupError when the file is shorter."""
        data = self.stream.read(count)
        while len(data) < count and (more := self.stream.read(count - len(data))):
            data += more
        if len(data) < count:
            raise self.damage("the archive does not end: the file was cut off")
        self.at += count
        return data

    def damage(self, what: str) -> DamagedBackupError:
        """Return the error that names the file."""
        return DamagedBackupError(f"{self._name}: {what}", "choose another backup")
