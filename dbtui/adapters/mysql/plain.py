"""A dump file read from its beginning: what its head says of it, and its statements one by one."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.encryption import open_data
from dbtui.adapters.mysql.names import show_name
from dbtui.adapters.mysql.sql_lexer import Splitter, Statement
from dbtui.adapters.mysql.statements import Judge, Verdict
from dbtui.adapters.mysql.tokens import UnreadableError
from dbtui.adapters.streams import CHUNK_BYTES, storage_errors
from dbtui.errors import DamagedBackupError
from dbtui.model.backups import StoredBackup
from dbtui.model.text import format_untrusted

TRAILER = b"-- Dump completed"
#: What is said of a dump without comments that sets nothing either.
UNKNOWN_END = "does not say which tool wrote it, so nobody can see whether its end is missing"
_HEAD_BYTES = 1 << 16
_TAIL_BYTES = 1 << 12
_STRANGERS = (
    (b"PGDMP", "a PostgreSQL archive"),
    (b"-- PostgreSQL database dump", "a PostgreSQL dump"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"PRAGMA foreign_keys=OFF;", "an SQLite dump"),
    (b"\xfd7zXZ", "compressed with xz"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"PK\x03\x04", "a ZIP archive"),
)
_TOOL = re.compile(rb"^-- (?:MariaDB|MySQL) dump [^\n]*?(?:Distrib |from )([0-9][^,\s]*)", re.MULTILINE)
_SERVER = re.compile(rb"^-- Server version\t([^\r\n]*)", re.MULTILINE)
_DATABASE = re.compile(rb"^-- Host: [^\r\n]*?    Database: ([^\r\n]*)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Head:
    """What a dump says of itself; empty texts where it does not."""

    tool_version: str = ""
    server_version: str = ""
    database: str = ""

    @property
    def is_known(self) -> bool:
        """Whether mysqldump or mariadb-dump wrote it, with comments: then it has a last line of theirs too."""
        return bool(self.tool_version)


def parse_head(data: bytes) -> Head:
    """Return what the first lines of a dump say."""
    found = [pattern.search(data) for pattern in (_TOOL, _SERVER, _DATABASE)]
    texts = [match[1].decode("utf-8", "replace").strip() if match else "" for match in found]
    return Head(texts[0], texts[1].partition("-")[0], texts[2])


def recognise_stranger(data: bytes) -> str:
    """Return what a file is whose beginning is not that of a MySQL dump; empty when it may be one."""
    start = data.lstrip(b"\xef\xbb\xbf-\r\n ")
    for sign, what in _STRANGERS:
        if data.startswith(sign) or start.startswith(sign.lstrip(b"- ")):
            return what
    return "no text" if b"\0" in data[:512] else ""


class DumpFile:
    """One dump, read once. `head` is there at once, `tail` and `raw_bytes` when it was read whole."""

    def __init__(self, backup: StoredBackup, cancellation: Cancellation, *, is_trusted: bool = False) -> None:
        """Open and look at the head. Raises StorageError, and DamagedBackupError for an empty file or a stranger."""
        self.path = Path(backup.data_path)
        self.name = format_untrusted(self.path.name)
        self.backup = backup
        self.splitter = Splitter(is_trusted=is_trusted)
        self.raw_bytes = 0
        self.tail = b""
        self._cancellation = cancellation
        self._file = open_data(backup)
        try:
            with storage_errors(self.path):
                first = self._file.read(CHUNK_BYTES)
            self._look_at(first)
        except BaseException:
            self._file.close()
            raise
        self._first = first
        self.head = parse_head(first[:_HEAD_BYTES])

    def _look_at(self, first: bytes) -> None:
        if not first.strip():
            raise DamagedBackupError(f"{self.name} is empty", "use another backup")
        if stranger := recognise_stranger(first[:_HEAD_BYTES]):
            raise DamagedBackupError(
                f"{self.name} is no MySQL dump: it is {stranger}", "choose the engine it belongs to"
            )

    @property
    def source(self) -> str:
        """The database that was dumped, where it is known."""
        return self.backup.manifest.database if self.backup.manifest else self.head.database

    @property
    def expected_bytes(self) -> int | None:
        """How many bytes there are to read, where it is known before."""
        if self.backup.manifest is not None and self.backup.manifest.uncompressed_bytes is not None:
            return self.backup.manifest.uncompressed_bytes
        return None if self.backup.is_packed else self.path.stat().st_size

    def statements(self, rows_of: str | None = None) -> Iterator[Statement]:  # noqa: ARG002 - they are all in one file
        """Yield every statement, the file's end checked. Raises DamagedBackupError, StorageError, Cancelled.

        `rows_of` is what a directory of files need not be read beyond: of this file, everything comes.
        """
        chunk = self._first
        self._first = b""
        try:
            while chunk:
                self._cancellation.check()
                self.raw_bytes += len(chunk)
                self.tail = (self.tail + chunk)[-_TAIL_BYTES:]
                if b"\0" in chunk:  # the tools write them as \\0 or in hexadecimal
                    raise UnreadableError("there is a hole of zero bytes in it: the disk or a copy lost a part")
                yield from self.splitter.feed(chunk)
                with storage_errors(self.path):
                    chunk = self._file.read(CHUNK_BYTES)
            yield from self.splitter.finish()
        except UnreadableError as error:
            raise DamagedBackupError(f"{self.name}: {error.message}", "use another backup") from error

    def check(self, _verdict: Verdict) -> None:
        """Raise Refusal for a statement that does not belong where it stands: in one file everything may."""

    @property
    def is_complete(self) -> bool:
        """Whether the last line is the tool's own; only a dump with its head is expected to have one."""
        return self.tail.rstrip().rpartition(b"\n")[2].startswith(TRAILER) if self.head.is_known else True

    def describe_missing_end(self, judge: Judge) -> str:
        """Say why the dump, read whole by `judge`, must have lost its end; empty where nothing speaks for that.

        Without its comments (--skip-comments) a dump still sets back at its end what it has set at its beginning.
        """
        if not self.is_complete:
            return "is truncated: its last line is missing"
        if self.head.is_known:
            return ""
        if judge.unsettled:
            kept = show_name(min(judge.unsettled))
            return f"is truncated: it keeps a setting in {kept} and does not set it back at its end"
        return "holds nothing that could be restored" if judge.makes_nothing else ""

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> "DumpFile":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()
