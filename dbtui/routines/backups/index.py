"""What manifests said the last time they were read, so that a long history is listed without opening each of them.

An index that may be lost, never the truth: a row counts only for a manifest with the same modification time, size and
inode, and manifests are only ever replaced by renaming a new file over them. It lies under the XDG cache directory.
"""

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Protocol

import msgspec

from dbtui.model.backups import BackupEntry

#: Raised when what is kept, or how a manifest becomes an entry, changes.
_VERSION = 6
#: Histories shorter than this are read as fast without.
_WORTHWHILE = 200


class FileVersion(Protocol):
    """What tells one version of a manifest from another; an `os.stat_result` is one."""

    @property
    def st_mtime_ns(self) -> int:
        """When it was written."""
        ...

    @property
    def st_size(self) -> int:
        """Bytes."""
        ...

    @property
    def st_ino(self) -> int:
        """The file, where there are such numbers."""
        ...


class IndexedManifest(msgspec.Struct, array_like=True, gc=False):
    """One manifest: what it was like as a file, and the row it gave."""

    mtime_ns: int
    size: int
    inode: int
    entry: BackupEntry


class _IndexFile(msgspec.Struct, array_like=True):
    version: int
    directory: str
    rows: dict[str, IndexedManifest]


_DECODER = msgspec.msgpack.Decoder(_IndexFile)


class ManifestIndex:
    """The index of one directory, or remote. `find` and `keep` work on it, `save` writes it when enough was new."""

    def __init__(self, directory: str, environ: Mapping[str, str], worthwhile: int = _WORTHWHILE) -> None:
        self._directory = directory
        self._worthwhile = worthwhile
        self._path = _index_path(directory, environ)
        self._old = self._load()
        self._kept: dict[str, IndexedManifest] = {}
        self._is_changed = False

    def _load(self) -> dict[str, IndexedManifest]:
        if self._path is None:
            return {}
        try:
            file = _DECODER.decode(self._path.read_bytes())
        except (OSError, msgspec.MsgspecError, ValueError):
            return {}  # it can always be made again
        is_ours = file.version == _VERSION and file.directory == self._directory
        return file.rows if is_ours else {}

    def find(self, name: str, about: FileVersion) -> BackupEntry | None:
        """Return the row that a manifest gave, None if it is new or was replaced since."""
        row = self._old.get(name)
        if row is None or (row.mtime_ns, row.size, row.inode) != (about.st_mtime_ns, about.st_size, about.st_ino):
            return None
        self._kept[name] = row
        return row.entry

    def keep(self, name: str, about: FileVersion, entry: BackupEntry) -> None:
        """Remember the row of a manifest."""
        if name.isascii():
            self._kept[name] = IndexedManifest(about.st_mtime_ns, about.st_size, about.st_ino, entry)
            self._is_changed = True

    def save(self) -> None:
        """Write the index if it is worth it. A cache that cannot be written costs speed alone, so that is no error."""
        is_smaller = len(self._kept) < len(self._old)
        if self._path is None or len(self._kept) < self._worthwhile or not (self._is_changed or is_smaller):
            return
        fresh = self._path.with_name(f"{self._path.name}.{token_hex(4)}")
        try:
            data = msgspec.msgpack.encode(_IndexFile(_VERSION, self._directory, self._kept))
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh.touch(mode=0o600, exist_ok=False)
            fresh.write_bytes(data)
            fresh.replace(self._path)
        except (OSError, UnicodeEncodeError):
            with suppress(OSError):
                fresh.unlink(missing_ok=True)


def _index_path(directory: str, environ: Mapping[str, str]) -> Path | None:
    base = environ.get("XDG_CACHE_HOME", "")
    if not base.startswith("/"):
        home = environ.get("HOME", "")
        if not home.startswith("/"):
            return None
        base = f"{home}/.cache"
    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:32]
    return Path(base, "dbtui", f"history-{digest}.msgpack")
