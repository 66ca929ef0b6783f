"""Deleting a backup in a remote: a mark first, then its manifest, so that it stops being one, then its data.

The mark is a copy of the manifest under another name. Whoever finds one later, from any machine, can finish what was
killed or cut in between.
"""

import time
from collections.abc import Iterable

from dbtui.adapters.remotes.remote import Remote
from dbtui.errors import DamagedBackupError, RefusedError, RemoteExistsError
from dbtui.model.backups import MANIFEST_SUFFIX
from dbtui.model.events import Progressed, Routine, StepFinished, StepStarted
from dbtui.model.proofs import PROOFS_SUFFIX
from dbtui.model.remotes import RemoteAddress
from dbtui.model.retention import DELETING_SUFFIX, PIN_SUFFIX
from dbtui.model.text import format_untrusted
from dbtui.routines.backups.manifest import LARGEST_BYTES
from dbtui.routines.backups.remote_copy import RemoteManifest, parse_remote_manifest, read_remote_manifest
from dbtui.routines.context import RoutineContext


def delete_remote_backup(c: RoutineContext, address: RemoteAddress, base: str) -> Routine[str]:
    """Delete the backup whose data is called `base` and return a line that says what went.

    Raises RefusedError (it is pinned), DamagedBackupError (its manifest cannot be believed), RemoteError, ConnectError.
    """
    began = time.monotonic()
    yield StepStarted("delete", f"{address}/{base}")
    with c.open_remote(address) as remote:
        yield from remove_from(remote, read_remote_manifest(remote, base + MANIFEST_SUFFIX))
    yield StepFinished("delete", time.monotonic() - began)
    return f"{base} was deleted from {address}"


def remove_from(remote: Remote, found: RemoteManifest) -> Routine[None]:
    """Remove one backup. Raises RefusedError when it is pinned, RemoteError, ConnectError, Cancelled."""
    base = found.base
    if remote.find_object(base + PIN_SUFFIX) is not None:
        raise RefusedError(f"{base} is pinned in {remote.address}",
                           f"dbtui backup unpin {remote.address}/{found.backup_id} allows it")  # fmt: skip
    try:
        remote.create(base + DELETING_SUFFIX, found.encoded)
    except RemoteExistsError:
        _check_mark(remote, found)
    remote.remove(base + MANIFEST_SUFFIX)
    yield from _remove_data(remote, found)


def _check_mark(remote: Remote, found: RemoteManifest) -> None:
    """See that a mark that is there already, of a deletion that was cut, names the same files."""
    other = _read_mark(remote, found.base)
    if other.manifest.files != found.manifest.files:
        where = f"{remote.address}/{found.base}{DELETING_SUFFIX}"
        raise RefusedError(f"{where} is the mark of another backup's deletion", "look at it; remove it by hand")


def _remove_data(remote: Remote, found: RemoteManifest) -> Routine[None]:
    files = found.manifest.files
    for number, file in enumerate(files):
        remote.remove(file.path)
        yield Progressed(number + 1, len(files), "files", found.base)
    remote.remove(found.base + PROOFS_SUFFIX)
    remote.remove(found.base + DELETING_SUFFIX)


def _read_mark(remote: Remote, base: str) -> RemoteManifest:
    return parse_remote_manifest(
        remote.address, base + MANIFEST_SUFFIX, remote.read(base + DELETING_SUFFIX, LARGEST_BYTES)
    )


# ---------------------------------------------------------------- deletions that were cut


def find_marks(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of marks among those of a remote."""
    return tuple(sorted(name for name in names if name.endswith(DELETING_SUFFIX)))


def finish_remote_deletion(remote: Remote, mark: str) -> str:
    """Remove what an interrupted deletion left; return the name of the data, empty when somebody else has done it.

    Raises RefusedError (there is a manifest again), DamagedBackupError (a mark that cannot be believed), RemoteError.
    """
    base = mark.removesuffix(DELETING_SUFFIX)
    if remote.find_object(mark) is None:
        return ""
    try:
        found = _read_mark(remote, base)
    except DamagedBackupError as error:
        where = f"{remote.address}/{format_untrusted(mark, 120)}"
        raise DamagedBackupError(f"{where} is no mark of a deletion: {error.message}", "look at it by hand") from error
    if remote.find_object(base + MANIFEST_SUFFIX) is not None:
        manifest = read_remote_manifest(remote, base + MANIFEST_SUFFIX)
        if manifest.encoded != found.encoded:
            raise RefusedError(f"{base} has a manifest again in {remote.address}", f"it stays; remove {mark} by hand")
        remote.remove(base + MANIFEST_SUFFIX)  # cut between the mark and this
    for _ in _remove_data(remote, found):
        continue
    return base
