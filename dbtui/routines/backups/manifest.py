"""Manifests as JSON: the model's dataclasses, in the order of their fields, indented."""

import os
import re
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from dbtui.errors import DamagedBackupError
from dbtui.model.backups import MANIFEST_VERSION, BackupFormat, BackupTable, Compression, CompressionKind, Manifest
from dbtui.model.connections import EngineName
from dbtui.model.text import format_untrusted

#: A manifest of 100,000 tables takes some 15 MB; what is larger than this is not one.
LARGEST_BYTES = 64 << 20
AGE = "age"


#: More than any disk holds; beyond it JSON has no numbers.
_Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 60)]


class SlimTable(msgspec.Struct, gc=False):
    """What a list needs of a table."""

    rows: Annotated[int, msgspec.Meta(le=1 << 50)] | None = None


class SlimFile(msgspec.Struct, gc=False):
    """What a list needs of a file."""

    path: str
    size_bytes: _Count
    sha256: str


class SlimManifest(msgspec.Struct, gc=False):
    """What a list needs of a manifest; the rest is skipped unread, which keeps long histories fast."""

    format_version: int
    engine: EngineName
    flavour: str
    database: str
    profile: str
    server_version: str
    format: BackupFormat
    compression: str
    begin_time: str
    size_bytes: _Count
    files: list[SlimFile]
    tables: list[SlimTable]
    url: str = ""
    encryption: str | None = None
    verified_at: str | None = None
    proof: str | None = None
    proof_seconds: float | None = None
    failed_at: str | None = None


DecodedT = TypeVar("DecodedT")
_SLIM: msgspec.json.Decoder[SlimManifest] = msgspec.json.Decoder(SlimManifest)
_WHOLE: msgspec.json.Decoder[Manifest] = msgspec.json.Decoder(Manifest)
_ROWS = attrgetter("rows")
_NO_SHAPE = b'\n  "shape": null'  # a line of its own: no text in JSON has a line break


def encode_manifest(manifest: Manifest) -> bytes:
    """Return a manifest as indented JSON with a newline at the end; its shape, by far the longest, in one line."""
    text = msgspec.json.format(msgspec.json.encode(replace(manifest, shape=None)), indent=2) + b"\n"
    if manifest.shape is not None:
        text = text.replace(_NO_SHAPE, _NO_SHAPE.removesuffix(b"null") + msgspec.json.encode(manifest.shape), 1)
    return text


def decode_manifest(data: bytes) -> Manifest:
    """Return the manifest in `data`. Unknown fields are passed over. Raises DamagedBackupError with the reason."""
    manifest = _decoded(_WHOLE, data)
    _check(manifest.format_version, manifest.begin_time)
    data_name([file.path for file in manifest.files])
    return manifest


def decode_slim(data: bytes) -> SlimManifest:
    """Return what a list needs of the manifest in `data`. Raises DamagedBackupError with the reason.

    The paths of its files are not looked at: `data_name` does that.
    """
    slim = _decoded(_SLIM, data)
    _check(slim.format_version, slim.begin_time)
    return slim


def _decoded(decoder: msgspec.json.Decoder[DecodedT], data: bytes) -> DecodedT:
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise DamagedBackupError(f"its manifest is wrong: {_reason(error)}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedBackupError(f"its manifest is not readable JSON: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return format_untrusted(str(error), 200)


def _check(version: int, begin_time: str) -> None:
    if version > MANIFEST_VERSION:
        raise DamagedBackupError(
            f"its manifest has version {version}, newer than this dbtui knows", "use a newer dbtui"
        )
    if _TIME.match(begin_time) is None:
        raise DamagedBackupError(
            f"its manifest is wrong: begin_time {format_untrusted(begin_time, 40)!r} is not a time"
        )


_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d", re.ASCII)


def data_name(paths: list[str]) -> str:
    """Return the one name in the backup directory that all files of a backup lie under.

    A manifest may be forged: paths that leave the directory, or name several things in it, are refused.
    Raises DamagedBackupError.
    """
    if not paths:
        raise DamagedBackupError("its manifest names no file")
    names = set()
    for path in paths:
        parts = path.split("/")
        if "\0" in path or any(part in ("", ".", "..") for part in parts):
            raise DamagedBackupError(f"its manifest names a file outside of the backup: {format_untrusted(path, 80)!r}")
        names.add(parts[0])
    if len(names) > 1 or (len(paths) > 1 and names & set(paths)):
        raise DamagedBackupError("its manifest names files of several backups")
    return names.pop()


def parse_compression(text: str) -> Compression:
    """Return the compression that a manifest names, such as `zstd:3`. Raises DamagedBackupError."""
    kind, _, level = text.partition(":")
    try:
        return Compression(CompressionKind(kind), int(level) if level else None)
    except ValueError:
        raise DamagedBackupError(f"its manifest names an unknown compression: {format_untrusted(text, 40)!r}") from None


def check_encryption(text: str | None) -> str:
    """Return the encryption that a manifest names, "age" or none at all. Raises DamagedBackupError."""
    if text not in (None, "", AGE):
        raise DamagedBackupError(f"its manifest names an unknown encryption: {format_untrusted(str(text), 40)!r}")
    return text or ""


def read_limited(path: str | Path) -> bytes:
    """Return a manifest file's bytes. Raises OSError, and DamagedBackupError when it is far too large for one."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        if size > LARGEST_BYTES:
            raise DamagedBackupError(f"its manifest has more than {LARGEST_BYTES >> 20} MB")
        data = os.read(descriptor, size + 1)
        return data if len(data) == size else data + os.read(descriptor, LARGEST_BYTES)
    finally:
        os.close(descriptor)


def rows_of(tables: "list[SlimTable] | tuple[BackupTable, ...]") -> int | None:
    """Return the sum of the known row counts, None when none is known."""
    counts = list(map(_ROWS, tables))
    known = [count for count in counts if count is not None] if None in counts else counts
    return sum(known) if known or not counts else None
