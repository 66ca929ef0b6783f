"""What proofs of a backup have shown, kept in a file beside its data: the newest first, and only so many."""

import os
from pathlib import Path

import msgspec

from dbtui.adapters.streams import create_file, fsync_path, storage_errors, write_durably
from dbtui.model.backups import BackupEntry
from dbtui.model.proofs import MOST_PROOFS, PROOFS_SUFFIX, PROOFS_VERSION, Proof, ProofOutcome
from dbtui.routines.backups.store import remove_path

_LONGEST_BYTES = 4 << 20


class _ProofsFile(msgspec.Struct):
    version: int
    backup_id: str
    proofs: list[Proof]


_DECODER = msgspec.json.Decoder(_ProofsFile)


def proofs_path(data_path: str) -> Path:
    """Return where the evidence of the backup with this data lies, or would."""
    return Path(data_path + PROOFS_SUFFIX)


def read_proofs(entry: BackupEntry) -> tuple[Proof, ...]:
    """Return the proofs of a backup, the newest first. Evidence that cannot be read is none."""
    if not entry.data_path:
        return ()
    try:
        descriptor = os.open(proofs_path(entry.data_path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            found = _DECODER.decode(file.read(_LONGEST_BYTES))
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return ()
    return tuple(found.proofs) if found.version == PROOFS_VERSION else ()


def read_last_outcome(entry: BackupEntry) -> ProofOutcome | None:
    """Return what the newest restore of a backup that could be tried has shown; None when none was."""
    tried = (proof.outcome for proof in read_proofs(entry) if proof.outcome is not ProofOutcome.UNPROVEN)
    return next(tried, None)


def keep_proof(entry: BackupEntry, proof: Proof) -> None:
    """Write a proof down before the older ones, whole or not at all, for this user's eyes. Raises StorageError."""
    path = proofs_path(entry.data_path)
    proofs = [proof, *read_proofs(entry)][:MOST_PROOFS]
    data = msgspec.json.format(msgspec.json.encode(_ProofsFile(PROOFS_VERSION, entry.backup_id, proofs)), indent=2)
    fresh = path.with_name(f"{path.name}.new")
    remove_path(fresh)  # of a run that was killed; the backup's lock keeps others away
    try:
        with storage_errors(path), create_file(fresh) as file:
            write_durably(file, data + b"\n")
        with storage_errors(path):
            fresh.rename(path)
    finally:
        remove_path(fresh)
    fsync_path(path.parent)
