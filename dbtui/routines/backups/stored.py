"""From a row of the history to a backup that an adapter can read, and to the names of what it works on."""

import os
from collections.abc import Callable
from pathlib import Path

from dbtui.analysis.backups import parse_data_name
from dbtui.errors import DamagedBackupError, RefusedError, StorageError
from dbtui.model.backups import (
    BackupEntry,
    BackupFormat,
    Compression,
    CompressionKind,
    EntryKind,
    Manifest,
    StoredBackup,
)
from dbtui.model.connections import ConnectionProfile, EngineName, Secret, ServerInfo
from dbtui.model.text import format_untrusted
from dbtui.model.urls import DatabaseUrl, parse_database_url
from dbtui.routines.backups.find import find_manifest_path
from dbtui.routines.backups.foreign import recognise, recognise_encrypted
from dbtui.routines.backups.manifest import check_encryption, decode_manifest, parse_compression, read_limited

_SQLITE_SUFFIXES = (".db", ".db3", ".s3db", ".sqlite", ".sqlite3")
_SECRET_WORDS = ("password", "passwd", "pwd", "secret", "token", "passphrase")


def _no_identity(_profile_name: str) -> Secret | None:
    return None


def open_stored(entry: BackupEntry, identity_of: Callable[[str], Secret | None] = _no_identity) -> StoredBackup:
    """Return the backup behind a row, with its whole manifest, and with what opens it if it is encrypted.

    Raises DamagedBackupError, StorageError; RefusedError: without an identity nobody knows what a foreign file holds.
    """
    if entry.kind is EntryKind.BROKEN:
        raise DamagedBackupError(f"{entry.backup_id} cannot be used: {entry.problem}", _use_without_manifest(entry))
    if entry.kind is EntryKind.FOREIGN:
        return _open_foreign(entry, identity_of)
    manifest = read_manifest(entry)
    parse_compression(manifest.compression)
    encryption = check_encryption(manifest.encryption)
    return StoredBackup(
        backup_id=entry.backup_id,
        engine=manifest.engine,
        format=manifest.format,
        compression=_outer_compression(entry.data_path, manifest.format),
        data_path=entry.data_path,
        manifest=manifest,
        encryption=encryption,
        identity=identity_of(entry.profile) if encryption else None,
    )


def _use_without_manifest(entry: BackupEntry) -> str:
    """What to do when nothing but the manifest is damaged: the data may be all there is."""
    path = find_manifest_path(entry)
    if path is None or not entry.data_path or not os.path.lexists(entry.data_path):
        return "use another backup"
    return f"use another backup; to use its data unproven, as a foreign file, move {path.name} away"


def read_manifest(entry: BackupEntry) -> Manifest:
    """Return the whole manifest of a row. Raises DamagedBackupError, StorageError."""
    path = find_manifest_path(entry)
    if path is None:
        raise DamagedBackupError(f"{entry.backup_id} has no manifest any more")
    try:
        return decode_manifest(read_limited(path))
    except DamagedBackupError as error:
        raise DamagedBackupError(f"{entry.backup_id} cannot be used: {error.message}", error.hint) from error
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error


def _open_foreign(entry: BackupEntry, identity_of: Callable[[str], Secret | None]) -> StoredBackup:
    path = Path(entry.data_path)
    seen = recognise(path)
    identity = None
    if seen.encryption:
        identity = identity_of("")
        if identity is None:
            raise RefusedError(
                f"{format_untrusted(entry.backup_id)} is encrypted, and no identity was given",
                "name the file with the secret key: --identity FILE, DBTUI_AGE_IDENTITY, or identity in the "
                "configuration",
            )
        seen = recognise_encrypted(path, identity)
    if seen.engine is None or seen.format is None:
        raise DamagedBackupError(f"{path} cannot be used: {seen.problem}")
    return StoredBackup(
        backup_id=entry.backup_id,
        engine=seen.engine,
        format=seen.format,
        compression=seen.compression,
        data_path=entry.data_path,
        encryption=seen.encryption,
        identity=identity,
    )


def _outer_compression(data_path: str, backup_format: BackupFormat) -> Compression:
    parsed = parse_data_name(Path(data_path).name)
    if parsed is None or backup_format is BackupFormat.DIRECTORY:
        return Compression(CompressionKind.NONE)
    return parsed.compression


def database_of(profile: ConnectionProfile, info: ServerInfo | None = None) -> str:
    """Return the name under which a profile's database is known in backups: SQLite's file without its suffix.

    `info` tells the database of a URL that names none. Empty when there is none.
    """
    name = profile.database or parse_database_url(profile.url).database or (info.database if info else "")
    if profile.engine is not EngineName.SQLITE:
        return name
    file = Path(name)
    return file.stem if file.suffix.lower() in _SQLITE_SUFFIXES else file.name


def public_url(profile: ConnectionProfile) -> str:
    """Return a profile's URL without anything secret, fit for a manifest."""
    url = parse_database_url(profile.url)
    kept = tuple(pair for pair in url.query if not any(word in pair[0].lower() for word in _SECRET_WORDS))
    return str(
        DatabaseUrl(engine=url.engine, user=url.user, hosts=url.hosts, database=url.database, query=kept)
    )  # fmt: skip


def server_name(profile: ConnectionProfile) -> str:
    """Return where a profile leads, as an operator would say it: "db1:5432", "local socket", a file's directory."""
    url = parse_database_url(profile.url)
    if profile.engine is EngineName.SQLITE:
        return str(Path(url.database).absolute().parent)
    parameters = dict(url.query)
    host = url.hosts or parameters.get("host", "") or parameters.get("service", "") or "local socket"
    port = parameters.get("port", "")
    return f"{host}:{port}" if port and not url.hosts else host


def create_lock(profile: ConnectionProfile) -> str:
    """Return the name of the lock that keeps two backups of one database apart."""
    return f"backup of {_lock_subject(profile, '')}"


def restore_lock(profile: ConnectionProfile, database: str) -> str:
    """Return the name of the lock that keeps two restores into one database apart."""
    return f"restore into {_lock_subject(profile, database)}"


def backup_lock(entry: BackupEntry) -> str:
    """Return the name of the lock of one backup on disk: verifying it and deleting it exclude each other."""
    return f"work on backup {entry.backup_id} in {os.path.realpath(entry.directory)}"


def _lock_subject(profile: ConnectionProfile, database: str) -> str:
    if profile.engine is EngineName.SQLITE:
        own = Path(parse_database_url(profile.url).database).absolute()
        return os.path.realpath(own.parent / database if database else own)
    return f"{database or database_of(profile)} on {server_name(profile)}"
