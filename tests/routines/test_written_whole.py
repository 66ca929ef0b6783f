"""Small files that say what is so: a disk that takes only a part of one is an error, never half a file in its place."""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dbtui.adapters.driving import exhaust
from dbtui.adapters.postgresql.replica_marker import Marker, write_marker
from dbtui.errors import StorageError
from dbtui.model.backups import BackupEntry, EntryKind
from dbtui.model.repositories import Repository, RepositoryBackup, RepositoryKind, RepositoryProof
from dbtui.routines.backups.pins import pin_backup
from dbtui.routines.context import RoutineContext
from dbtui.routines.repository_evidence import keep_proof

NOW = datetime(2026, 11, 23, 3, tzinfo=UTC)
FEW_BYTES = 40


@contextmanager
def nearly_full_disk() -> Iterator[None]:
    """A file takes so many bytes and no more: the write that meets the limit is short, the next one fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FEW_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def mark(place: Path) -> None:
    """What a new replica is about to make."""
    write_marker(Marker(directory=str(place / "near"), server="db1:5432", system="7", slot="near"))


def prove(place: Path) -> None:
    """What a verification of a repository's backup has shown."""
    repository = Repository(kind=RepositoryKind.PGBACKREST, name="main")
    backup = RepositoryBackup(repository=str(repository), label="20261123-030000F")
    keep_proof(place, repository, backup, RepositoryProof(kind="checksums", verified_at=NOW.isoformat()))


def pin(place: Path) -> None:
    """That a backup is to stay."""
    entry = BackupEntry(backup_id="erp-20261123T030000Z", kind=EntryKind.COMPLETE, directory=str(place),
                        data_path=str(place / "erp-20261123T030000Z.dump"), began_at=NOW)  # fmt: skip
    exhaust(pin_backup(RoutineContext(), entry, "before the migration"))


@pytest.mark.parametrize("write", [mark, prove, pin])
def test_a_short_write_is_no_success(write: Callable[[Path], None], tmp_path: Path) -> None:
    with nearly_full_disk(), pytest.raises(StorageError, match="File too large"):
        write(tmp_path)
    whole = [each.name for each in tmp_path.iterdir() if each.name.endswith((".dbtui-adding", ".json"))]
    assert whole == []
