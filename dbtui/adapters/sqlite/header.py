"""The first 100 bytes of a database (https://sqlite.org/fileformat2.html, section 1.3), read ahead of SQLite."""

from dataclasses import dataclass

from dbtui.errors import DamagedBackupError

HEADER_BYTES = 100
MAGIC = b"SQLite format 3\0"
_ROLLBACK = 1
_OTHERS = (
    (b"PGDMP", "an archive of pg_dump"),
    (b"\x1f\x8b", "gzip data"),
    (b"\x28\xb5\x2f\xfd", "zstd data"),
    (b"age-encryption.org/", "encrypted with age"),
)
_TEXTS = (
    (b"PostgreSQL database dump", "a text dump of PostgreSQL"),
    (b"MySQL dump", "a text dump of MySQL"),
    (b"MariaDB dump", "a text dump of MariaDB"),
    (b"/*M!", "a text dump of MariaDB"),
    (b"PRAGMA foreign_keys=OFF;", "a text dump of SQLite"),
)


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says. `page_count` is None when it is not kept up to date by whoever wrote the file last."""

    page_size: int
    page_count: int | None
    is_wal: bool
    library_version: str

    @property
    def size_bytes(self) -> int | None:
        """The size of the whole file."""
        return None if self.page_count is None else self.page_count * self.page_size


def parse_header(head: bytes, name: str) -> Header:
    """Read a header. `name` is the file's, for the sentence. Raises DamagedBackupError."""
    if not head:
        raise DamagedBackupError(f"{name} is empty", "use another backup")
    if not head.startswith(MAGIC):
        raise DamagedBackupError(f"{name} is {recognise_other(head)}, not an SQLite database", "use another backup")
    if len(head) < HEADER_BYTES:
        raise DamagedBackupError(f"{name} is truncated: it ends within its header", "use another backup")
    page_size = int.from_bytes(head[16:18], "big")
    page_size = 65536 if page_size == 1 else page_size
    if page_size < 512 or page_size & (page_size - 1):
        raise DamagedBackupError(f"{name} is damaged: its header says pages of {page_size} bytes", "use another backup")
    count = int.from_bytes(head[28:32], "big")
    is_current = count > 0 and head[24:28] == head[92:96]
    number = int.from_bytes(head[96:100], "big")
    return Header(
        page_size=page_size,
        page_count=count if is_current else None,
        is_wal=head[18] != _ROLLBACK or head[19] != _ROLLBACK,
        library_version=f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}" if number else "",
    )


def recognise_other(head: bytes) -> str:
    """Return what a file is that is no SQLite database."""
    for start, what in _OTHERS:
        if head.startswith(start):
            return what
    return next((what for words, what in _TEXTS if words in head), "something else, or encrypted")


def check_size(header: Header, size_bytes: int, name: str) -> None:
    """Compare a file's size with its header. Raises DamagedBackupError."""
    expected = header.size_bytes
    if expected is not None and size_bytes < expected:
        raise DamagedBackupError(
            f"{name} is truncated: it has {size_bytes} bytes, its header says {expected}", "use another backup"
        )
    if size_bytes % header.page_size:
        raise DamagedBackupError(
            f"{name} is damaged: its {size_bytes} bytes are not whole pages of {header.page_size}", "use another backup"
        )


def rollback_header(head: bytes) -> bytes:
    """Return a header that says "rollback journal" where it said "write-ahead log": a copy has no log beside it."""
    return head[:18] + bytes((_ROLLBACK, _ROLLBACK)) + head[20:]
