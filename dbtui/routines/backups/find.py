"""From what an operator types to a backup: an id, the beginning of one, or a path."""

import os
from pathlib import Path

from dbtui.analysis.backups import format_database, parse_data_name
from dbtui.errors import DamagedBackupError, UsageError
from dbtui.model.backups import MANIFEST_SUFFIX, BackupEntry, BackupFormat, Manifest
from dbtui.model.connections import EngineName
from dbtui.model.text import format_untrusted
from dbtui.routines.backups.catalogue import (
    Listing,
    foreign_entry,
    is_foreign_name,
    list_directory,
    read_entry,
    stem_of,
)
from dbtui.routines.backups.manifest import decode_manifest, read_limited

_SHOWN = 3


def find_backup(directory: Path, reference: str) -> BackupEntry:
    """Return the backup that `reference` names.

    An id in `directory`, the beginning of just one id, a name in it, or a path to a data file, directory or manifest.
    Raises UsageError, StorageError.
    """
    if not reference or "\0" in reference:
        raise UsageError("no backup is named", "give an id of `dbtui backup list`, or a path")
    if os.sep not in reference:
        listing = list_directory(directory)
        name = _matching_name(listing, reference)
        if name:
            return _entry_at(listing, name)
    return _entry_of_path(directory, reference)


def _matching_name(listing: Listing, reference: str) -> str:
    """The file name in the directory that an id, a name or the beginning of an id stands for; empty if none."""
    names = {name: stem_of(name) for name in listing.names if name.endswith(MANIFEST_SUFFIX)}
    owned = set(names.values())
    names |= {name: name for name in listing.names if is_foreign_name(name) and parse_stem(name) not in owned}
    exact = [name for name, backup_id in names.items() if reference in (backup_id, name)]
    if exact:
        return exact[0]
    if reference in listing.names and is_foreign_name(reference):
        return reference
    starting = sorted(name for name, backup_id in names.items() if backup_id.startswith(reference))
    if len(starting) > 1:
        shown = ", ".join(format_untrusted(names[name], 60) for name in starting[:_SHOWN])
        raise UsageError(
            f"“{format_untrusted(reference, 60)}” is the beginning of {len(starting)} backups: {shown}…",
            "type more of the id",
        )
    return starting[0] if starting else ""


def parse_stem(name: str) -> str:
    """The id that a data file's name would give a backup."""
    parsed = parse_data_name(name)
    return parsed.stem if parsed else name


def _entry_at(listing: Listing, name: str) -> BackupEntry:
    """The row of a manifest or data name in a directory."""
    if not name.endswith(MANIFEST_SUFFIX):
        for manifest_name in (name + MANIFEST_SUFFIX, parse_stem(name) + MANIFEST_SUFFIX):
            found = listing.names.get(manifest_name)
            if found is not None:
                entry, data = read_entry(listing, found)
                if data in ("", name):
                    return entry
        entry_or_none = foreign_entry(Path(listing.directory, name))
        if entry_or_none is None:
            raise UsageError(f"{listing.directory}/{format_untrusted(name)} is neither a file nor a directory")
        return entry_or_none
    return read_entry(listing, listing.names[name])[0]


def _entry_of_path(directory: Path, reference: str) -> BackupEntry:
    path = Path(os.path.normpath(Path(reference).expanduser().absolute()))
    listing = list_directory(path.parent) if os.path.lexists(path) else None
    if listing is None or path.name not in listing.names:
        raise UsageError(
            f"there is no backup “{format_untrusted(reference, 120)}”, neither in {directory} nor as a path",
            "see `dbtui backup list`",
        )
    entry = _entry_at(listing, path.name)
    if path.is_dir() and entry.format is not BackupFormat.DIRECTORY and not path.name.endswith(".dir"):
        raise UsageError(f"{path} is a directory, not a backup", "name one of the backups in it, or use --dir")
    return entry


def find_manifest_path(entry: BackupEntry) -> Path | None:
    """Return where the manifest of an entry lies, None for foreign files."""
    if entry.data_path:
        beside = Path(entry.data_path + MANIFEST_SUFFIX)
        if beside.exists():
            return beside
    for name in list_directory(Path(entry.directory)).names:
        if name.endswith(MANIFEST_SUFFIX) and stem_of(name) == entry.backup_id:
            return Path(entry.directory, name)
    return None


def find_previous(directory: Path, engine: EngineName, database: str) -> Manifest | None:
    """Return the manifest of the newest readable backup of a database in a directory, None if there is none."""
    prefix = format_database(database) + "-"
    listing = list_directory(directory)
    names = [name for name in listing.names if name.startswith(prefix) and name.endswith(MANIFEST_SUFFIX)]
    for name in sorted(names, key=stem_of, reverse=True):
        try:
            manifest = decode_manifest(read_limited(Path(listing.directory, name)))
        except (OSError, DamagedBackupError):
            continue
        if manifest.engine is engine and manifest.database == database:
            return manifest
    return None
