"""From what an operator types to a backup in a remote: an id, the beginning of one, a name, or `latest`."""

from dataclasses import dataclass
from datetime import UTC, datetime

from dbtui.adapters.remotes.remote import Remote
from dbtui.analysis.backups import is_of_database, parse_backup_id, parse_data_name
from dbtui.analysis.backups.places import is_of_origin
from dbtui.errors import UsageError
from dbtui.model.backups import (
    MANIFEST_SUFFIX,
    BackupContents,
    BackupEntry,
    BackupFormat,
    Compression,
    CompressionKind,
    EntryKind,
    Manifest,
    StoredBackup,
)
from dbtui.model.events import Routine
from dbtui.model.remotes import RemoteAddress
from dbtui.model.shipping import BackupOrigin
from dbtui.model.text import format_untrusted
from dbtui.routines.backups.catalogue import stem_of
from dbtui.routines.backups.contents import known_contents
from dbtui.routines.backups.remote_catalogue import RemoteListing, list_remote, read_row, row_of
from dbtui.routines.backups.remote_copy import read_remote_manifest
from dbtui.routines.context import RoutineContext

LATEST = "latest"
_SHOWN = 3
_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class RemoteBackup:
    """A backup in a remote: its row, and what is known of it without its data."""

    address: RemoteAddress
    entry: BackupEntry
    backup: StoredBackup
    manifest: Manifest

    @property
    def data_name(self) -> str:
        """The name of its data in the remote."""
        return self.entry.data_path.rpartition("/")[2]

    @property
    def contents(self) -> BackupContents:
        """What its manifest tells of its contents."""
        return known_contents(self.backup)


def find_remote_backup(
    c: RoutineContext, address: RemoteAddress, reference: str, origin: BackupOrigin | None = None
) -> Routine[RemoteBackup]:
    """Return the backup in a remote that `reference` names; see `find_manifest_name`.

    Raises UsageError, DamagedBackupError (its manifest cannot be believed), RemoteError, ConnectError.
    """
    yield from ()
    with c.open_remote(address) as remote:
        listing = list_remote(c, remote)
        found = read_remote_manifest(remote, _choose(remote, listing, reference, origin))
    entry = row_of(listing, found.base + MANIFEST_SUFFIX, found.encoded)
    parsed = parse_data_name(found.base)
    is_packed = parsed is not None and found.manifest.format is not BackupFormat.DIRECTORY
    return RemoteBackup(
        address,
        entry,
        StoredBackup(
            backup_id=entry.backup_id,
            engine=found.manifest.engine,
            format=found.manifest.format,
            compression=parsed.compression if parsed and is_packed else Compression(CompressionKind.NONE),
            data_path=entry.data_path,
            manifest=found.manifest,
            encryption=entry.encryption,
        ),
        found.manifest,
    )


def find_manifest_name(
    c: RoutineContext, remote: Remote, reference: str, origin: BackupOrigin | None = None
) -> str:  # fmt: skip
    """Return the name of the manifest that `reference` names: an id, the beginning of just one, a name, or `latest`.

    `latest` is the newest whole backup there, of one origin if that is given. Raises UsageError, RemoteError.
    """
    if reference.endswith(MANIFEST_SUFFIX) and remote.find_object(reference) is not None:
        return reference
    return _choose(remote, list_remote(c, remote), reference, origin)


def _choose(remote: Remote, listing: RemoteListing, reference: str, origin: BackupOrigin | None) -> str:
    if reference == LATEST:
        return _newest(remote, listing, origin)
    names = {name: stem_of(name) for name in listing.manifests}
    exact = [
        name
        for name, backup_id in names.items()
        if reference in (backup_id, name, name.removesuffix(MANIFEST_SUFFIX))
    ]  # fmt: skip
    if exact:
        return exact[0]
    starting = sorted(name for name, backup_id in names.items() if reference and backup_id.startswith(reference))
    shown = format_untrusted(reference, 120)
    if len(starting) > 1:
        several = ", ".join(format_untrusted(names[name], 60) for name in starting[:_SHOWN])
        raise UsageError(f"“{shown}” is the beginning of {len(starting)} backups in {remote.address}: {several}…",
                         "type more of the id")  # fmt: skip
    if not starting:
        raise UsageError(f"there is no backup “{shown}” in {remote.address}",
                         f"see dbtui backup list --dir {remote.address}")  # fmt: skip
    return starting[0]


def _newest(remote: Remote, listing: RemoteListing, origin: BackupOrigin | None) -> str:
    strangers: list[BackupEntry] = []
    for name in sorted(listing.manifests, key=_time_of, reverse=True):
        row = read_row(remote, listing, name)
        if row.kind is not EntryKind.COMPLETE:
            continue
        if origin is None or is_of_origin(row, origin):
            return name
        if row.engine is origin.engine and is_of_database(row, origin.database):
            strangers.append(row)
    whose = f" of {format_untrusted(origin.database)}" if origin else ""
    made = f" made from {origin.url}" if origin and strangers else ""
    hint = f"see dbtui backup list --dir {remote.address}"
    if strangers:
        hint = f"{strangers[0].backup_id} is of {format_untrusted(strangers[0].url, 120)}: if you mean it, name it"
    raise UsageError(f"there is no whole backup{whose}{made} in {remote.address}", hint)


def _time_of(name: str) -> tuple[datetime, str]:
    parsed = parse_backup_id(stem_of(name))
    return (parsed[1] if parsed else _EPOCH, name)
