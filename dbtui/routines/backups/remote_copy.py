"""One backup in a remote: its manifest, which of its files are there, and who is sending it."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dbtui.adapters.remotes.remote import Remote
from dbtui.analysis.backups import parse_backup_id, parse_data_name
from dbtui.analysis.backups.places import fingerprint_files
from dbtui.errors import DamagedBackupError
from dbtui.model.backups import MANIFEST_SUFFIX, PARTIAL_SUFFIX, BackupFile, BackupFormat, Manifest
from dbtui.model.remotes import RemoteAddress
from dbtui.model.text import format_untrusted
from dbtui.routines.backups.manifest import LARGEST_BYTES, data_name, decode_manifest

#: Up to so many files are asked for one by one; for more the remote is listed.
_FEW = 8
#: A file name may have 255 bytes, and what is written here first has a suffix.
_LONGEST_NAME = 255 - len(MANIFEST_SUFFIX) - len(PARTIAL_SUFFIX)
#: No file system that dbtui runs on holds a larger file.
_LARGEST_FILE = 1 << 60
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class RemoteManifest:
    """A manifest as a remote holds it. `base` is the name of the data."""

    manifest: Manifest
    encoded: bytes
    base: str
    backup_id: str


def read_remote_manifest(remote: Remote, name: str) -> RemoteManifest:
    """Return a manifest of a remote when nothing in it leads elsewhere: whoever can write there can forge one.

    Raises DamagedBackupError, RemoteError (absent), ConnectError.
    """
    return parse_remote_manifest(remote.address, name, remote.read(name, LARGEST_BYTES))


def parse_remote_manifest(address: RemoteAddress, name: str, encoded: bytes) -> RemoteManifest:
    """The same of one that was read already. Raises DamagedBackupError."""
    try:
        manifest = decode_manifest(encoded)
        base = data_name([file.path for file in manifest.files])
        _check(name, manifest, base)
    except DamagedBackupError as error:
        where = f"{address}/{format_untrusted(name, 120)}"
        raise DamagedBackupError(f"{where} is not used: {error.message}", error.hint or "use another backup") from error
    parsed = parse_data_name(base)
    return RemoteManifest(manifest, encoded, base, parsed.stem if parsed else base)


def _check(name: str, manifest: Manifest, base: str) -> None:
    parsed = parse_data_name(base)
    if base + MANIFEST_SUFFIX != name:
        raise DamagedBackupError(f"its manifest names the data of another backup: {format_untrusted(base, 80)!r}")
    if parsed is None or parse_backup_id(parsed.stem) is None or base.startswith(("-", ".")):
        raise DamagedBackupError(f"{format_untrusted(base, 80)!r} is no name that dbtui gives to a backup")
    if parsed.format is not manifest.format:
        raise DamagedBackupError(f"its manifest says {manifest.format.value}, its name something else")
    paths = [file.path for file in manifest.files]
    if len(set(paths)) < len(paths):
        raise DamagedBackupError("its manifest names a file twice")
    depth = 2 if manifest.format is BackupFormat.DIRECTORY else 1
    for file in manifest.files:
        parts, shown = file.path.split("/"), format_untrusted(file.path, 80)
        if len(parts) != depth or any(not _is_plain(part) for part in parts):
            raise DamagedBackupError(f"its manifest names a file that no backup has: {shown!r}")
        if not 0 <= file.size_bytes <= _LARGEST_FILE or _SHA256.fullmatch(file.sha256) is None:
            raise DamagedBackupError(f"its manifest says nothing sensible of {shown!r}")


def _is_plain(part: str) -> bool:
    """Whether a name can be written here, and shown."""
    try:
        return len(part.encode()) <= _LONGEST_NAME and part.isprintable() and "\\" not in part
    except UnicodeEncodeError:
        return False


def find_sizes(remote: Remote, base: str, files: Sequence[BackupFile]) -> dict[str, int]:
    """Return the bytes of those files of a backup that the remote has."""
    if len(files) <= _FEW:
        found = [remote.find_object(file.path) for file in files]
        return {each.name: each.size_bytes for each in found if each is not None}
    start = f"{base}/"
    return {each.name: each.size_bytes for each in remote.list_objects() if each.name.startswith(start)}


def fingerprint_of(files: Iterable[BackupFile]) -> str:
    """Return what tells the contents of one backup from those of another."""
    return fingerprint_files((file.path, file.size_bytes, file.sha256) for file in files)
