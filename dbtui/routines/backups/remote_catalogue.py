"""The history of a remote: every manifest in it, newest first.

The names are those of a backup directory. The one listing of the remote tells whether the data of a manifest is there
and whole; manifests that the index does not know are read, several at a time. Data without a manifest is no backup: a
push that is under way or was cut; it is counted, and no row.
"""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.deadlines import DEADLINES
from dbtui.adapters.driving import report
from dbtui.adapters.remotes.reading import read_objects
from dbtui.adapters.remotes.remote import Remote
from dbtui.analysis.backups import is_of_database, parse_backup_id
from dbtui.errors import Cancelled, ConnectError, DamagedBackupError, DbtuiError, RemoteError, ToolError, UsageError
from dbtui.model.backups import MANIFEST_SUFFIX, BackupEntry, EntryKind
from dbtui.model.events import Routine, StepFinished, StepStarted
from dbtui.model.proofs import PROOFS_SUFFIX
from dbtui.model.remotes import RemoteAddress, RemoteKind, RemoteObject
from dbtui.model.retention import PIN_SUFFIX
from dbtui.model.shipping import PUSHING_SUFFIX, RemoteHistory
from dbtui.model.text import format_bytes, format_untrusted
from dbtui.routines.backups.catalogue import entry_of_manifest, stem_of
from dbtui.routines.backups.index import ManifestIndex
from dbtui.routines.backups.manifest import LARGEST_BYTES, data_name, decode_slim
from dbtui.routines.context import RoutineContext

#: Where the history is asked for beside the one here, nobody waits longer than this for a remote.
PATIENCE_SECONDS = 10.0
_SHOWN = 3
_FEW = 4
_EPOCH = datetime.fromtimestamp(0, UTC)
_BESIDE = (PROOFS_SUFFIX, PIN_SUFFIX)  # what a person may have copied with the data
_READERS = {RemoteKind.SFTP: 3}
_MOST_READERS = 8


@dataclass(frozen=True, slots=True)
class _Version:
    """A manifest in a remote, as the index knows one."""

    st_mtime_ns: int
    st_size: int
    st_ino: int = 0


@dataclass
class RemoteListing:
    """One look at a remote. `data_bytes` are those of all objects of one data file or directory."""

    address: RemoteAddress
    manifests: dict[str, RemoteObject] = field(default_factory=dict)
    data_bytes: dict[str, int] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)  # directories below that hold manifests of their own

    def add(self, found: RemoteObject) -> None:
        """Take in an object."""
        top, slash, rest = found.name.partition("/")
        if not slash and top.endswith(MANIFEST_SUFFIX):
            self.manifests[top] = found
            return
        if rest.endswith(MANIFEST_SUFFIX):
            self.folders.add(found.name.rpartition("/")[0])
        self.data_bytes[top] = self.data_bytes.get(top, 0) + found.size_bytes


def list_remote(c: RoutineContext, remote: Remote) -> RemoteListing:
    """List a remote once. Raises ConnectError, RemoteError, Cancelled."""
    listing = RemoteListing(remote.address)
    for found in remote.list_objects():
        c.cancellation.check()
        listing.add(found)
    return listing


def collect_remote_entries(c: RoutineContext, address: RemoteAddress, database: str = "") -> Routine[RemoteHistory]:
    """Return the backups in a remote, newest first, those included that are not whole.

    `database` limits them to one database. Raises ConnectError, RemoteError, ToolError.
    """
    index = ManifestIndex(str(address), c.environ, worthwhile=1)
    with c.open_remote(address) as remote:
        listing = list_remote(c, remote)
        known = {name: index.find(name, _version(found)) for name, found in listing.manifests.items()}
        fresh = yield from _read_manifests(c, remote, [name for name, entry in known.items() if entry is None])
    entries = []
    for name, entry in known.items():
        found = entry or fresh[name]
        if entry is None and isinstance(found, BackupEntry):
            index.keep(name, _version(listing.manifests[name]), found)
        entries.append(_checked(listing, name, found))
    index.save()
    if database:
        entries = [entry for entry in entries if is_of_database(entry, database)]
    entries.sort(key=lambda entry: (entry.began_at, entry.backup_id), reverse=True)
    return RemoteHistory(address=str(address), entries=tuple(entries), remarks=tuple(_remarks(listing)))


def collect_remote_history(
    c: RoutineContext, address: RemoteAddress, database: str = "", seconds: float = PATIENCE_SECONDS
) -> Routine[RemoteHistory]:
    """The same within `seconds`, for a list of several places: a remote that cannot be asked is a gap, no error."""
    limit = Cancellation()
    try:
        with (
            c.cancellation.interrupting(lambda: limit.request(c.cancellation.reason)),
            DEADLINES.limiting(seconds, limit),
        ):
            return (yield from collect_remote_entries(replace(c, cancellation=limit), address, database))
    except Cancelled:
        c.cancellation.check()
        problem = f"no answer within {seconds:g} s"
    except (ConnectError, RemoteError, ToolError, UsageError) as error:
        c.cancellation.check()
        problem = str(error)
    return RemoteHistory(address=str(address), problem=f"{address} is left out: {problem}")


def _version(found: RemoteObject) -> _Version:
    seconds = found.modified_at.timestamp() if found.modified_at is not None else 0.0
    return _Version(round(seconds * 1_000_000) * 1000, found.size_bytes)


def _read_manifests(
    c: RoutineContext, remote: Remote, names: list[str]
) -> Routine[dict[str, BackupEntry | DbtuiError]]:  # fmt: skip
    if not names:
        return {}
    address = remote.address
    understand = partial(_understand, address)
    if len(names) <= _FEW:
        return {name: _read_one(remote, name) for name in names}

    def open_another() -> AbstractContextManager[Remote]:
        return c.open_remote(address)

    began = time.monotonic()
    yield StepStarted("manifests", f"read {len(names)} of {address}")
    reading = read_objects(
        open_another,
        names,
        LARGEST_BYTES,
        understand,
        threads=_READERS.get(address.kind, _MOST_READERS),
        cancellation=c.cancellation,
    )
    found = yield from report(reading, len(names), "manifests")
    yield StepFinished("manifests", time.monotonic() - began)
    return found


def read_row(remote: Remote, listing: RemoteListing, name: str) -> BackupEntry:
    """Return the row of one manifest in a remote. Raises ConnectError."""
    return _checked(listing, name, _read_one(remote, name))


def row_of(listing: RemoteListing, name: str, encoded: bytes) -> BackupEntry:
    """Return the row of a manifest that was read. Raises DamagedBackupError."""
    return _checked(listing, name, _understand(listing.address, name, encoded))


def _read_one(remote: Remote, name: str) -> BackupEntry | DbtuiError:
    try:
        return _understand(remote.address, name, remote.read(name, LARGEST_BYTES))
    except (Cancelled, ConnectError):
        raise
    except DbtuiError as error:
        return error


def _understand(address: RemoteAddress, name: str, data: bytes) -> BackupEntry:
    slim = decode_slim(data)
    base = data_name([file.path for file in slim.files])
    if base != name.removesuffix(MANIFEST_SUFFIX):
        raise DamagedBackupError(f"its manifest names the data of another backup: {format_untrusted(base, 80)!r}")
    entry = entry_of_manifest(slim, stem_of(name), "", f"{address}/{base}")
    return replace(entry, remote=str(address))


def _checked(listing: RemoteListing, name: str, found: BackupEntry | DbtuiError) -> BackupEntry:
    """The row of a manifest when the data that it names is there and has its size, else one that says what is wrong."""
    base = name.removesuffix(MANIFEST_SUFFIX)
    if not isinstance(found, BackupEntry):
        return _broken(listing, name, found.message)
    there = listing.data_bytes.get(base)
    if there == found.size_bytes:
        return found
    problem = found.problem or (
        f"its data {base} is not there" if there is None
        else f"its data has {format_bytes(there)}, the manifest says {format_bytes(found.size_bytes)}"
    )  # fmt: skip
    return replace(found, kind=EntryKind.BROKEN, problem=problem)


def _broken(listing: RemoteListing, name: str, problem: str) -> BackupEntry:
    backup_id = stem_of(name)
    parsed = parse_backup_id(backup_id)
    return BackupEntry(
        backup_id=backup_id,
        kind=EntryKind.BROKEN,
        directory="",
        data_path=f"{listing.address}/{name.removesuffix(MANIFEST_SUFFIX)}",
        began_at=parsed[1] if parsed else _EPOCH,
        database=parsed[0] if parsed else "",
        problem=problem,
        remote=str(listing.address),
    )


def _remarks(listing: RemoteListing) -> Iterator[str]:
    owned = {name.removesuffix(MANIFEST_SUFFIX) for name in listing.manifests}
    marks = {name for name in listing.data_bytes if name.endswith(PUSHING_SUFFIX)}
    inside = {folder.partition("/")[0] for folder in listing.folders}
    known = owned | marks | inside
    lost = {name for name in listing.data_bytes if name not in known and not name.endswith(_BESIDE)}
    begun = {name.removesuffix(PUSHING_SUFFIX) for name in marks} - owned
    if begun:
        size = format_bytes(sum(listing.data_bytes.get(name, 0) for name in begun))
        yield f"{listing.address} holds {size} of pushes that have not ended: {_shorten(begun)}"
    if others := lost - begun:
        size = format_bytes(sum(listing.data_bytes[name] for name in others))
        yield f"{listing.address} holds {size} without a manifest, which are no backups: {_shorten(others)}"
    if listing.folders:
        yield f"backups also lie further down: {_shorten({f'{listing.address}/{each}' for each in listing.folders})}"


def _shorten(names: set[str]) -> str:
    shown = ", ".join(format_untrusted(name, 120) for name in sorted(names)[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown
