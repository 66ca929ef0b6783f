"""What verifications of repositories' backups have shown, kept here: nothing of ours is laid into a repository.

One file for each repository, JSON, the newest proof of each backup alone.
"""

import hashlib
import os
from pathlib import Path

import msgspec

from dbtui.adapters.streams import create_file, storage_errors, write_durably
from dbtui.model.repositories import Repository, RepositoryBackup, RepositoryProof

_VERSION = 1
_LONGEST_BYTES = 8 << 20
_MOST_PROOFS = 2000


class _ProofsFile(msgspec.Struct):
    version: int
    repository: str
    proofs: dict[str, RepositoryProof]


_DECODER = msgspec.json.Decoder(_ProofsFile)


def evidence_path(directory: Path, repository: Repository) -> Path:
    """Return where the evidence of a repository lies, or would; another configuration file is another repository."""
    mark = hashlib.sha256(f"{repository} {repository.config}".encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return directory / f"{repository.kind.value}-{repository.name}-{mark}.json"


def read_last_proofs(directory: Path, repository: Repository) -> dict[str, RepositoryProof]:
    """Return the last proof of each backup, by label. Evidence that cannot be read is none."""
    try:
        descriptor = os.open(evidence_path(directory, repository), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            found = _DECODER.decode(file.read(_LONGEST_BYTES))
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return {}
    return found.proofs if found.version == _VERSION else {}


def keep_proof(directory: Path, repository: Repository, backup: RepositoryBackup, proof: RepositoryProof) -> None:
    """Write down what a verification has shown, whole or not at all, for this user's eyes. Raises StorageError."""
    path = evidence_path(directory, repository)
    earlier = {label: each for label, each in read_last_proofs(directory, repository).items() if label != backup.label}
    kept = dict(list(earlier.items())[-_MOST_PROOFS + 1 :]) | {backup.label: proof}
    data = msgspec.json.format(msgspec.json.encode(_ProofsFile(_VERSION, str(repository), kept)), indent=2)
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    with storage_errors(path):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh.unlink(missing_ok=True)
        try:
            with create_file(fresh) as file:
                write_durably(file, data + b"\n")
            fresh.rename(path)
        finally:
            fresh.unlink(missing_ok=True)
