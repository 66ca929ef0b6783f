"""A file that is sent in parts: how large they are, and what each one's checksums are."""

import base64
import hashlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dbtui.adapters.remotes.s3_link import Body
from dbtui.adapters.streams import storage_errors
from dbtui.errors import StorageError
from dbtui.model.backups import BackupFile

_LEAST_PART_BYTES = 8 << 20
_MOST_PARTS = 9_000  # S3 takes 10,000
_CHUNK_BYTES = 1 << 20
_MEBIBYTE = 1 << 20
_UNSIGNED = "UNSIGNED-PAYLOAD"


@dataclass(frozen=True, slots=True)
class Checksums:
    """Which checksums of each part are computed, and so how the server's are compared.

    `sha256` where the server itself computes it and says so (Amazon); `md5` where it does not: there it is the part's
    ETag, and its header, which the signature covers, is what the server holds the body against.
    """

    sha256: bool
    md5: bool


def plan_part_bytes(size_bytes: int) -> int:
    """Return how large a file's parts are: the same for every try, so that one can go on with another's."""
    needed = -(-size_bytes // _MOST_PARTS)
    return max(_LEAST_PART_BYTES, -(-needed // _MEBIBYTE) * _MEBIBYTE)


class Bytes(Body):
    """A small body in memory."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size_bytes = len(data)
        self.sha256 = hashlib.sha256(data).hexdigest()

    def chunks(self) -> Iterator[bytes]:
        """Yield it."""
        yield self.data

    @property
    def content_md5(self) -> str:
        """Its MD5 as HTTP's header writes it."""
        return _base64(hashlib.md5(self.data, usedforsecurity=False).hexdigest())


@dataclass
class Part(Body):
    """A stretch of a file, read again for every try: only one chunk of it is in memory."""

    descriptor: int
    path: Path
    number: int  # from 1
    offset: int
    size_bytes: int
    sha256: str = ""
    md5: str = ""
    sent_bytes: int = 0  # of the present try

    def chunks(self) -> Iterator[bytes]:
        """Yield its bytes and count them."""
        self.sent_bytes = 0
        for chunk in read_stretch(self.descriptor, self.path, self.offset, self.size_bytes):
            yield chunk
            self.sent_bytes += len(chunk)

    def hash(self, checksums: Checksums) -> None:
        """Read it and fill in its checksums."""
        sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        for chunk in read_stretch(self.descriptor, self.path, self.offset, self.size_bytes):
            if checksums.sha256:
                sha256.update(chunk)
            if checksums.md5:
                md5.update(chunk)
        self.sha256 = sha256.hexdigest() if checksums.sha256 else _UNSIGNED
        self.md5 = md5.hexdigest() if checksums.md5 else ""

    @property
    def sha256_base64(self) -> str:
        """Its SHA-256 as S3's headers write it."""
        return _base64(self.sha256)

    def digest_headers(self, *, with_sha256: bool) -> dict[str, str]:
        """Return the header by which the server checks what arrives; a bucket with object lock demands one."""
        if with_sha256:
            return {"x-amz-checksum-sha256": self.sha256_base64}
        return {"Content-MD5": _base64(self.md5)}


def _base64(digits: str) -> str:
    return base64.b64encode(bytes.fromhex(digits)).decode("ascii")


def read_stretch(descriptor: int, path: Path, offset: int, size_bytes: int) -> Iterator[bytes]:
    """Yield a stretch of a file. Raises StorageError when it cannot be read or the file ends before."""
    end = offset + size_bytes
    while offset < end:
        with storage_errors(path):
            chunk = os.pread(descriptor, min(_CHUNK_BYTES, end - offset), offset)
        if not chunk:
            raise StorageError(f"{path} has become shorter while it was sent", "verify the backup, then send it again")
        yield chunk
        offset += len(chunk)


class Parts:
    """Hands out a file's parts in order to whichever thread asks, and hashes the whole file on the way."""

    def __init__(self, descriptor: int, path: Path, file: BackupFile, checksums: Checksums) -> None:
        self._descriptor, self._path, self._file = descriptor, path, file
        self._checksums = checksums
        self._part_bytes = plan_part_bytes(file.size_bytes)
        self._lock = threading.Lock()
        self._hash = hashlib.sha256()
        self._offset = 0

    def take(self) -> Part | None:
        """Return the next part with its checksums, None after the last.

        Raises StorageError when the file as a whole, seen when its last part is read, is not what the manifest says.
        """
        with self._lock:
            offset = self._offset
            if offset >= self._file.size_bytes:
                return None
            size = min(self._part_bytes, self._file.size_bytes - offset)
            for chunk in read_stretch(self._descriptor, self._path, offset, size):
                self._hash.update(chunk)
            self._offset += size
            if self._offset >= self._file.size_bytes:
                check_hash(self._path, self._hash.hexdigest(), self._file)
        part = Part(self._descriptor, self._path, offset // self._part_bytes + 1, offset, size)
        part.hash(self._checksums)
        return part


def check_hash(path: Path, sha256: str, file: BackupFile) -> None:
    """Raise StorageError when a file here is not what its manifest says."""
    if sha256 != file.sha256:
        raise StorageError(
            f"{path} is not what its manifest says: its SHA-256 differs", "verify the backup; nothing of it was sent"
        )


def check_size(path: Path, descriptor: int, file: BackupFile) -> None:
    """Raise StorageError when a file here has another size than its manifest says."""
    found = os.fstat(descriptor).st_size
    if found != file.size_bytes:
        raise StorageError(
            f"{path} has {found} bytes, its manifest says {file.size_bytes}",
            "verify the backup; nothing of it was sent",
        )
