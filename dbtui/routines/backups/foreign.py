"""Recognising dumps that have no manifest, by their first bytes: names lie, and a restore must know what it reads."""

import io
import os
import stat
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import zstandard

from dbtui.adapters.age_keys import decrypted_head, is_encrypted
from dbtui.model.backups import BackupFormat, Compression, CompressionKind
from dbtui.model.connections import EngineName, Secret
from dbtui.routines.backups.manifest import AGE

_HEAD_BYTES = 1 << 16
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_ARCHIVE, _SQLITE = b"PGDMP", b"SQLite format 3\0"
_POSTGRESQL_WORDS = (b"PostgreSQL database dump", b"\n\\restrict ", b"SET statement_timeout", b" FROM stdin;")
_MYSQL_WORDS = (
    b"MySQL dump",
    b"MariaDB dump",
    b"/*M!",
    b"/*!40",
    b"ENGINE=InnoDB",
    b"CREATE TABLE `",
    b"INSERT INTO `",
)
_MARIADB_PARTS = ("definitions", "triggers")
_SQLITE_WORDS = (b"PRAGMA foreign_keys=OFF;",)
_TAR = "a tar archive: unpack it first, or if pg_dump -Ft made it, make it plain: pg_restore -f dump.sql FILE"


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a file or directory was recognised as. `engine` and `format` are None when `problem` says why not.

    `encryption` is "age" or empty.
    """

    engine: EngineName | None = None
    format: BackupFormat | None = None
    compression: Compression = field(default_factory=Compression)
    problem: str = ""
    encryption: str = ""


def recognise(path: Path) -> Recognised:
    """Look at the first bytes of a dump. Never raises for what it finds there."""
    try:
        if path.is_dir():
            return _recognise_directory(path)
        head = _read_head(path)
    except (OSError, ValueError) as error:
        return Recognised(problem=f"cannot be read: {getattr(error, 'strerror', None) or error}")
    if head is None:
        return Recognised(problem="not a regular file")
    return _recognise_packed(head)


def recognise_encrypted(path: Path, identity: Secret) -> Recognised:
    """Look at the first bytes that an encrypted dump holds.

    Raises RefusedError for a wrong identity, DamagedBackupError, StorageError.
    """
    found = _recognise_packed(decrypted_head(path, identity, _HEAD_BYTES))
    return replace(found, encryption=AGE)


def _read_head(path: Path) -> bytes | None:
    """The first bytes of a regular file; a pipe, socket or device is not opened for reading and gives None."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return os.read(descriptor, _HEAD_BYTES)
    finally:
        os.close(descriptor)


def _recognise_directory(path: Path) -> Recognised:
    toc = path / "toc.dat"
    if not toc.is_file() and _is_of_mariadb(path):
        return Recognised(EngineName.MYSQL, BackupFormat.DIRECTORY)
    if not toc.is_file() and (path / "metadata").is_file():
        return Recognised(problem="a directory of mydumper alone: myloader restores it")
    if not toc.is_file():
        return Recognised(problem="a directory without toc.dat, so not a dump of pg_dump")
    head = _read_head(toc)
    if head is None or not head.startswith(_ARCHIVE):
        return Recognised(problem="its toc.dat is not one of pg_dump")
    return Recognised(EngineName.POSTGRESQL, BackupFormat.DIRECTORY)


def _is_of_mariadb(path: Path) -> bool:
    """Whether a directory has the definitions and triggers that dbtui lays beside mydumper's rows."""
    return all(any((path / f"{name}.sql{suffix}").is_file() for suffix in ("", ".zst")) for name in _MARIADB_PARTS)


def _recognise_packed(head: bytes) -> Recognised:
    if not head:
        return Recognised(problem="the file is empty")
    if is_encrypted(head):
        return Recognised(problem="encrypted with age: what it holds shows with --identity FILE", encryption=AGE)
    if head.startswith(_GZIP):
        return _recognise_content(_gunzipped(head), Compression(CompressionKind.GZIP))
    if head.startswith(_ZSTD):
        return _recognise_content(_unzstandard(head), Compression(CompressionKind.ZSTD))
    return _recognise_content(head, Compression())


def _gunzipped(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(head, _HEAD_BYTES)
    except zlib.error:
        return b""


def _unzstandard(head: bytes) -> bytes:
    try:
        with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(head), read_size=4096) as reader:
            return reader.read(_HEAD_BYTES)
    except zstandard.ZstdError:
        return b""


def _recognise_content(head: bytes, compression: Compression) -> Recognised:
    if not head:
        return Recognised(compression=compression, problem="its compressed data is damaged or empty")
    if head.startswith(_ARCHIVE):
        return Recognised(EngineName.POSTGRESQL, BackupFormat.CUSTOM, compression)
    if head.startswith(_SQLITE):
        return Recognised(EngineName.SQLITE, BackupFormat.COPY, compression)
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return Recognised(compression=compression, problem="UTF-16 text: convert it to UTF-8 first")
    if head.startswith(b"<?xml"):
        return Recognised(compression=compression, problem="an XML dump: make it again without --xml")
    if head[257:262] == b"ustar":
        return Recognised(compression=compression, problem=_TAR)
    return _recognise_text(head, compression)


def _recognise_text(head: bytes, compression: Compression) -> Recognised:
    found = [
        (position, engine)
        for engine, words in (
            (EngineName.POSTGRESQL, _POSTGRESQL_WORDS),
            (EngineName.MYSQL, _MYSQL_WORDS),
            (EngineName.SQLITE, _SQLITE_WORDS),
        )
        for position in [min((head.find(word) for word in words if word in head), default=-1)]
        if position >= 0
    ]
    if not found:
        return Recognised(compression=compression, problem="not recognised as a dump of PostgreSQL, MySQL or SQLite")
    engine = min(found)[1]
    if engine is EngineName.SQLITE:
        return Recognised(compression=compression, problem="a text dump of SQLite: restore it with the sqlite3 shell")
    return Recognised(engine, BackupFormat.PLAIN, compression)
