"""The history of a remote: every manifest in it, newest first.

The names are those of a backup directory. The one listing of the remote tells whether the data of a manifest is there
and whole; manifests that the index does not know are read, several at a time. Data without a manifest is no backup: a
push that is under way or was cut; it is counted, and no row.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeVar

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.deadlines import DEADLINES
from dbtui.adapters.driving import report
from dbtui.adapters.remotes.remote import Remote
from dbtui.adapters.remotes.together import read_objects
from dbtui.analysis.backups import is_of_database, parse_backup_id
from dbtui.errors import Cancelled, ConnectError, DamagedBackupError, DbtuiError
from dbtui.model.backups import MANIFEST_SUFFIX, BackupEntry, EntryKind
from dbtui.model.events import Routine, StepFinished, StepStarted
from dbtui.model.proofs import PROOFS_SUFFIX
from dbtui.model.remotes import RemoteAddress, RemoteKind, RemoteObject
from dbtui.model.retention import DELETING_SUFFIX, PIN_SUFFIX
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
ReadT = TypeVar("ReadT")
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
    look = _Look(c, address)
    yield from look.collect(c)
    return look.history(database)


def collect_remote_history(
    c: RoutineContext, address: RemoteAddress, database: str = "", seconds: float = PATIENCE_SECONDS
) -> Routine[RemoteHistory]:
    """The same within `seconds`, for a list of several places: a remote that cannot be asked is a gap, no error.

    Of one that is slow the history holds what was read in that time.
    """
    limit = Cancellation()
    look = _Look(c, address)
    try:
        with (
            c.cancellation.interrupting(lambda: limit.request(c.cancellation.reason)),
            DEADLINES.limiting(seconds, limit),
        ):
            yield from look.collect(replace(c, cancellation=limit))
            return look.history(database)
    except Cancelled:
        c.cancellation.check()
        problem = f"no answer within {seconds:g} s"
    except DbtuiError as error:
        c.cancellation.check()
        problem = str(error)
    if not look.rows:
        return RemoteHistory(address=str(address), problem=f"{address} is left out: {problem}")
    read = f"only {len(look.rows)} of the {len(look.listing.manifests)} backups in {address} are known"
    return replace(look.history(database), problem=f"{read}: {problem}; another list goes on from there")


class _Look:
    """What is known of a remote so far; manifests that were read are kept, whatever ends the look."""

    def __init__(self, c: RoutineContext, address: RemoteAddress) -> None:
        self.listing = RemoteListing(address)
        self.rows: dict[str, BackupEntry] = {}
        self._index = ManifestIndex(str(address), c.environ, worthwhile=1)

    def collect(self, c: RoutineContext) -> Routine[None]:
        """List the remote and read what the index does not know."""
        with c.open_remote(self.listing.address) as remote:
            self.listing = list_remote(c, remote)
            fresh = [name for name, found in self.listing.manifests.items() if not self._is_known(name, found)]
            try:
                yield from self._read(c, remote, fresh)
            finally:
                self._index.save()

    def _is_known(self, name: str, found: RemoteObject) -> bool:
        entry = self._index.find(name, _version(found))
        if entry is not None:
            self.rows[name] = _checked(self.listing, name, entry)
        return entry is not None

    def _read(self, c: RoutineContext, remote: Remote, names: list[str]) -> Routine[None]:
        address = remote.address
        if len(names) <= _FEW:
            for name in names:
                self._note(name, _read_one(remote, name))
            return
        found = yield from read_manifests(c, address, names, self._understand)
        for name, read in found.items():
            self._note(name, read)

    def _understand(self, name: str, data: bytes) -> BackupEntry:
        """Called by several threads."""
        entry = _understand(self.listing.address, name, data)
        self._note(name, entry)
        return entry

    def _note(self, name: str, found: BackupEntry | DbtuiError) -> None:
        if isinstance(found, BackupEntry):
            self._index.keep(name, _version(self.listing.manifests[name]), found)
        self.rows[name] = _checked(self.listing, name, found)

    def history(self, database: str) -> RemoteHistory:
        """Return what is known."""
        entries = [entry for entry in self.rows.values() if not database or is_of_database(entry, database)]
        entries.sort(key=lambda entry: (entry.began_at, entry.backup_id), reverse=True)
        address = self.listing.address
        return RemoteHistory(address=str(address), entries=tuple(entries), remarks=tuple(_remarks(self.listing)))


def read_manifests(
    c: RoutineContext, address: RemoteAddress, names: Sequence[str], understand: Callable[[str, bytes], ReadT]
) -> Routine[Mapping[str, ReadT | DbtuiError]]:
    """Return what `understand`, called by several threads, makes of each manifest, or why it could not be read.

    Raises ConnectError, Cancelled.
    """
    began = time.monotonic()
    yield StepStarted("manifests", f"read {len(names)} of {address}")
    reading = read_objects(
        lambda stopping: replace(c, cancellation=stopping).open_remote(address),
        names,
        LARGEST_BYTES,
        understand,
        threads=_READERS.get(address.kind, _MOST_READERS),
        cancellation=c.cancellation,
    )
    found = yield from report(reading, len(names), "manifests")
    yield StepFinished("manifests", time.monotonic() - began)
    return found


def _version(found: RemoteObject) -> _Version:
    seconds = found.modified_at.timestamp() if found.modified_at is not None else 0.0
    return _Version(round(seconds * 1_000_000) * 1000, found.size_bytes)


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
    if base + PIN_SUFFIX in listing.data_bytes:
        found = replace(found, is_pinned=True)
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
    deleted = {name.removesuffix(DELETING_SUFFIX) for name in listing.data_bytes if name.endswith(DELETING_SUFFIX)}
    known = owned | marks | inside | {f"{name}{DELETING_SUFFIX}" for name in deleted}
    lost = {name for name in listing.data_bytes if name not in known and not name.endswith(_BESIDE)}
    begun = {name.removesuffix(PUSHING_SUFFIX) for name in marks} - owned
    if begun:
        size = format_bytes(sum(listing.data_bytes.get(name, 0) for name in begun))
        yield f"{listing.address} holds {size} of pushes that have not ended: {_shorten(begun)}"
    if halves := deleted & (lost | owned):
        yield f"{listing.address} holds deletions that have not ended: {_shorten(halves)}; backup expire finishes them"
    if others := lost - begun - deleted:
        size = format_bytes(sum(listing.data_bytes[name] for name in others))
        yield f"{listing.address} holds {size} without a manifest, which are no backups: {_shorten(others)}"
    if listing.folders:
        yield f"backups also lie further down: {_shorten({f'{listing.address}/{each}' for each in listing.folders})}"


def _shorten(names: set[str]) -> str:
    shown = ", ".join(format_untrusted(name, 120) for name in sorted(names)[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown
