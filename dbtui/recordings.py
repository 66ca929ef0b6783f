"""Recordings of the ladder: one JSON document a line, the first says what the file is. They can be looked at again.

A file is private, holds no secret, and ends at a size that a disk can bear. Whoever reads one trusts nothing in it.
"""

import errno
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

from dbtui.errors import StorageError, UsageError
from dbtui.model.pools import PoolsSnapshot
from dbtui.model.text import format_untrusted

VERSION = 1
KIND = "dbtui pools"
MOST_BYTES = 1_000_000_000
MOST_LINE_BYTES = 8_000_000
MOST_SNAPSHOTS = 200_000
_UNUSUAL = re.compile(r"[^A-Za-z0-9_.-]+")


class _Head(msgspec.Struct):
    """The first line."""

    recording: str
    version: int
    profile: str = ""
    began_at: datetime | None = None


_HEAD = msgspec.json.Decoder(_Head)
_SNAPSHOT = msgspec.json.Decoder(PoolsSnapshot)
_ENCODER = msgspec.json.Encoder()


class Recorder:
    """Writes snapshots to a new file. Every line is complete when `write` returns."""

    def __init__(self, path: Path, profile: str) -> None:
        """Make the file. Raises StorageError, also when it is there already."""
        self.path = path
        self.count = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._file: BinaryIO = os.fdopen(os.open(path, flags, 0o600), "wb", buffering=0)
        except OSError as error:
            shown = format_untrusted(str(path))
            raise StorageError(
                f"the recording {shown} cannot be made: {error.strerror}", "name another file"
            ) from error
        self._bytes = 0
        self._put(_Head(recording=KIND, version=VERSION, profile=profile, began_at=datetime.now(UTC)))

    @classmethod
    def create(cls, directory: Path, profile: str) -> "Recorder":
        """Make a file named for profile and time in `directory`. Raises StorageError."""
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            shown = format_untrusted(str(directory))
            raise StorageError(f"the directory {shown} cannot be made: {error.strerror}", "mend its parent") from error
        stem = f"{_UNUSUAL.sub('_', profile)[:80]}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        taken = (directory / f"{stem}{suffix}.pools.jsonl" for suffix in ("", *(f"-{n}" for n in range(2, 1000))))
        return cls(next(path for path in taken if not path.exists()), profile)

    def write(self, snapshot: PoolsSnapshot) -> None:
        """Add a snapshot. Raises OSError: the disk is full, or the recording has its greatest size."""
        self._put(snapshot)
        self.count += 1

    def _put(self, value: _Head | PoolsSnapshot) -> None:
        line = _ENCODER.encode(value) + b"\n"
        if self._bytes + len(line) > MOST_BYTES:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        self._bytes += len(line)
        while line:  # without a buffer one write may take a part
            line = line[self._file.write(line) :]

    def close(self) -> None:
        """End the recording."""
        self._file.close()


def read_recording(path: Path) -> Iterator[PoolsSnapshot]:
    """Yield the snapshots of a recording, in the order they were taken.

    Raises UsageError that names the line when the file is no recording, is of a newer dbtui, or is damaged; a last
    line that was being written when its writer ended is left out. Raises StorageError when it cannot be read.
    """
    shown = format_untrusted(str(path))
    try:
        with path.open("rb") as file:
            yield from _read_lines(file, shown)
    except OSError as error:
        raise StorageError(f"the recording {shown} cannot be read: {error.strerror}", "correct its path") from error


def _read_lines(file: BinaryIO, shown: str) -> Iterator[PoolsSnapshot]:
    number = 0
    before = float("-inf")
    while line := file.readline(MOST_LINE_BYTES + 1):
        number += 1
        where = f"{shown}, line {number}"
        if len(line) > MOST_LINE_BYTES:
            raise UsageError(f"{where}: the line is longer than any of a recording", "it is not one, or is damaged")
        if not line.endswith(b"\n"):
            return
        if number == 1:
            _check_head(line, where)
            continue
        if number > MOST_SNAPSHOTS + 1:
            raise UsageError(f"{where}: a recording has {MOST_SNAPSHOTS} looks at most", "cut it into parts")
        snapshot = _decode(line, where)
        if snapshot.monotonic_seconds < before:
            raise UsageError(f"{where}: this look was taken before the one above", "it is damaged: take a whole one")
        before = snapshot.monotonic_seconds
        yield snapshot
    if number == 0:
        raise UsageError(f"{shown} is empty or was never begun", "name a recording of dbtui pools --record")


def _check_head(line: bytes, where: str) -> None:
    hint = "name a file that dbtui pools --record has written"
    try:
        head = _HEAD.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UsageError(f"{where}: this is not a recording of pools", hint) from None
    if head.recording != KIND:
        raise UsageError(f"{where}: this is not a recording of pools", hint)
    if head.version != VERSION:
        raise UsageError(f"{where}: a recording of version {head.version}, and this dbtui reads {VERSION}", "update it")


def _decode(line: bytes, where: str) -> PoolsSnapshot:
    try:
        return _SNAPSHOT.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        said = format_untrusted(str(error), 200)
        raise UsageError(f"{where}: this is not a look at pools: {said}", "it is damaged: take a whole one") from None
