"""The history of a backup directory: every manifest, every dump without one, newest first.

Whatever lies in the directory, the list is made: what cannot be read is a row that says why. Nothing is read but
manifests that the index does not know, and the first bytes of foreign files. Data files are not looked at one by one:
their names in the one listing of the directory tell that they are there.
"""

import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from dbtui.analysis.backups import is_of_database, parse_backup_id, parse_data_name
from dbtui.analysis.backups.places import fingerprint_files
from dbtui.errors import DamagedBackupError, StorageError
from dbtui.model.backups import MANIFEST_SUFFIX, PARTIAL_SUFFIX, BackupEntry, BackupFormat, EntryKind
from dbtui.model.events import Routine
from dbtui.model.retention import DELETING_SUFFIX, PIN_SUFFIX
from dbtui.model.text import format_untrusted
from dbtui.routines.backups.foreign import recognise
from dbtui.routines.backups.index import ManifestIndex
from dbtui.routines.backups.manifest import (
    SlimManifest,
    check_encryption,
    data_name,
    decode_slim,
    read_limited,
    rows_of,
)
from dbtui.routines.context import RoutineContext

#: Suffixes of data that nothing can follow but a manifest's own.
_PLAIN_SUFFIXES = frozenset(("sql", "dump", "sqlite", "dir"))
_PACKED_SUFFIXES = frozenset(("gz", "zst"))
_EPOCH = datetime.fromtimestamp(0, UTC)


def collect_entries(c: RoutineContext, directory: Path, database: str = "") -> Routine[tuple[BackupEntry, ...]]:
    """Return the history of a directory, newest first, foreign and broken rows included.

    `database` limits it to one database; an absent directory has no history. Raises StorageError when the directory
    cannot be read.
    """
    yield from ()
    listing = list_directory(directory)
    index = ManifestIndex(listing.directory, c.environ)
    entries = []
    claimed = set()
    others = []
    for name, found in listing.names.items():
        if not name.endswith(MANIFEST_SUFFIX):
            others.append(found)
            continue
        c.cancellation.check()
        entry, data = read_entry(listing, found, index)
        claimed.add(data)
        entries.append(entry)
    index.save()
    for found in others:
        if found.name not in claimed and is_foreign_name(found.name):
            c.cancellation.check()
            foreign = foreign_entry(Path(found.path))
            if foreign is not None:
                entries.append(_half_deleted(listing, foreign))
    if database:
        entries = [entry for entry in entries if is_of_database(entry, database)]
    entries.sort(key=lambda entry: (entry.began_at, entry.backup_id), reverse=True)
    return tuple(entries)


@dataclass(frozen=True, slots=True)
class Listing:
    """One look at a directory. `directory` is absolute."""

    directory: str
    names: "dict[str, os.DirEntry[str]]"


def list_directory(directory: Path) -> Listing:
    """List a backup directory once. Raises StorageError unless it is absent."""
    absolute = str(directory.expanduser().absolute())
    try:
        with os.scandir(absolute) as found:
            return Listing(absolute, {entry.name: entry for entry in found})
    except FileNotFoundError:
        return Listing(absolute, {})
    except NotADirectoryError as error:
        raise StorageError(f"{absolute} is not a directory", "name the directory that holds the backups") from error
    except OSError as error:
        raise StorageError(f"{absolute} cannot be read: {error.strerror}", "mend its permissions") from error


def is_foreign_name(name: str) -> bool:
    """Whether a name could be that of a dump: *.sql, *.dump, *.sqlite, packed or not, and *.dir."""
    return not name.startswith(".") and not name.endswith(PARTIAL_SUFFIX) and parse_data_name(name) is not None


def stem_of(manifest_name: str) -> str:
    """The backup id that a manifest's file name tells."""
    name = manifest_name.removesuffix(MANIFEST_SUFFIX)
    stem, _, suffix = name.rpartition(".")
    if suffix in _PACKED_SUFFIXES:
        stem, _, suffix = stem.rpartition(".")
        if suffix == "dir":  # is never packed as a whole
            return name
    if stem and suffix in _PLAIN_SUFFIXES:
        return stem
    parsed = parse_data_name(name)
    return parsed.stem if parsed else name


# ---------------------------------------------------------------- backups with a manifest


def read_entry(
    listing: Listing, found: "os.DirEntry[str]", index: ManifestIndex | None = None
) -> tuple[BackupEntry, str]:
    """Return the row of one manifest, and the name of its data in the directory (empty if unknown)."""
    try:
        entry = _indexed_entry(listing, found, index)
    except DamagedBackupError as error:
        return _broken(listing, found.name, str(error))
    except OSError as error:
        return _broken(listing, found.name, f"its manifest cannot be read: {error.strerror}")
    data = entry.data_path[len(listing.directory) + 1 :]
    problem = entry.problem or _data_problem(listing, entry, data)
    if not problem:
        return (replace(entry, is_pinned=True) if data + PIN_SUFFIX in listing.names else entry), data
    path = entry.data_path if data in listing.names else ""
    return replace(entry, kind=EntryKind.BROKEN, problem=problem, data_path=path), data


def _half_deleted(listing: Listing, foreign: BackupEntry) -> BackupEntry:
    """Say of data that lost its manifest to a deletion that it did."""
    name = foreign.backup_id
    if name + DELETING_SUFFIX not in listing.names:
        return foreign
    return replace(foreign, problem="it was being deleted when that run ended: dbtui backup expire finishes it")


def _indexed_entry(listing: Listing, found: "os.DirEntry[str]", index: ManifestIndex | None) -> BackupEntry:
    if not found.is_file(follow_symlinks=False):
        raise DamagedBackupError("its manifest is not a regular file")
    if index is None:
        return _manifest_entry(listing, found)
    about = found.stat(follow_symlinks=False)
    known = index.find(found.name, about)
    if known is not None:
        return known
    entry = _manifest_entry(listing, found)
    index.keep(found.name, about, entry)
    return entry


def _manifest_entry(listing: Listing, found: "os.DirEntry[str]") -> BackupEntry:
    """The row that a manifest alone gives, whatever became of its data."""
    slim = decode_slim(read_limited(found.path))
    data = data_name([file.path for file in slim.files])
    return entry_of_manifest(slim, stem_of(found.name), listing.directory, f"{listing.directory}/{data}")


def entry_of_manifest(slim: SlimManifest, backup_id: str, directory: str, data_path: str) -> BackupEntry:
    """Return the row that a manifest alone gives. Raises DamagedBackupError."""
    return BackupEntry(
        backup_id=backup_id,
        kind=EntryKind.COMPLETE,
        directory=directory,
        data_path=data_path,
        began_at=_parse_time(slim.begin_time),
        engine=slim.engine,
        flavour=slim.flavour,
        database=slim.database,
        profile=slim.profile,
        server_version=slim.server_version,
        format=slim.format,
        compression=slim.compression,
        size_bytes=slim.size_bytes,
        tables=len(slim.tables),
        rows=rows_of(slim.tables),
        verified_at=slim.verified_at,
        proof=slim.proof,
        proof_seconds=slim.proof_seconds,
        failed_at=slim.failed_at,
        url=slim.url,
        fingerprint=fingerprint_files((file.path, file.size_bytes, file.sha256) for file in slim.files),
        encryption=check_encryption(slim.encryption),
    )


def _parse_time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        shown = format_untrusted(text, 40)
        raise DamagedBackupError(f"its manifest is wrong: begin_time {shown!r} is not a time") from None


def _data_problem(listing: Listing, entry: BackupEntry, data: str) -> str:
    found = listing.names.get(data)
    if found is None:
        return f"its data {format_untrusted(data, 120)} is gone"
    is_directory = entry.format is BackupFormat.DIRECTORY
    try:
        is_right = found.is_dir(follow_symlinks=False) if is_directory else found.is_file(follow_symlinks=False)
    except OSError as error:
        return f"its data {format_untrusted(data, 120)} cannot be read: {error.strerror}"
    if is_right:
        return ""
    return f"its data {format_untrusted(data, 120)} is not a {'directory' if is_directory else 'regular file'}"


def _broken(listing: Listing, manifest_name: str, problem: str) -> tuple[BackupEntry, str]:
    data = manifest_name.removesuffix(MANIFEST_SUFFIX)
    if data not in listing.names:
        data = next((name for name in listing.names if _is_data_of(name, data)), "")
    backup_id = stem_of(manifest_name)
    parsed = parse_backup_id(backup_id)
    entry = BackupEntry(
        backup_id=backup_id,
        kind=EntryKind.BROKEN,
        directory=listing.directory,
        data_path=f"{listing.directory}/{data}" if data else "",
        began_at=parsed[1] if parsed else _EPOCH,
        database=parsed[0] if parsed else "",
        problem=problem,
    )
    return entry, data


def _is_data_of(name: str, stem: str) -> bool:
    parsed = parse_data_name(name)
    return parsed is not None and parsed.stem == stem


# ---------------------------------------------------------------- dumps without one


def foreign_entry(path: Path) -> BackupEntry | None:
    """Return the row of a dump that has no manifest, None for what is neither a regular file nor a directory."""
    try:
        about = path.stat()
        if not (path.is_file() or path.is_dir()):
            return None
        size = _directory_bytes(path) if path.is_dir() else about.st_size
    except OSError:
        return None
    seen = recognise(path)
    parsed = parse_backup_id(stem_of(path.name))
    return BackupEntry(
        backup_id=path.name,
        kind=EntryKind.FOREIGN,
        directory=str(path.parent),
        data_path=str(path),
        began_at=_file_time(about.st_mtime),
        engine=seen.engine,
        database=parsed[0] if parsed else "",
        format=seen.format,
        compression=str(seen.compression),
        size_bytes=size,
        problem=seen.problem,
        encryption=seen.encryption,
    )


def _file_time(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return _EPOCH


def _directory_bytes(path: Path) -> int:
    with os.scandir(path) as listing:
        return sum(
            entry.stat(follow_symlinks=False).st_size for entry in listing if entry.is_file(follow_symlinks=False)
        )
