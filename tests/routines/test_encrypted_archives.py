"""Partitions whose archives are encrypted: dropped only where the archive can be opened and looked into."""

from dataclasses import dataclass, replace
from pathlib import Path

import pyrage
import pytest

from dbtui.errors import DbtuiError, MismatchError
from dbtui.model.connections import ConnectionProfile, Secret
from dbtui.routines.backups import find_backup
from dbtui.routines.context import RoutineContext
from dbtui.routines.partition_archives import archive_partition
from tests.routines.partition_lab import ROWS, Lab

IDENTITY = pyrage.x25519.Identity.generate()


@dataclass
class SealedLab(Lab):
    """Backups of its profile are encrypted; `opens`: whether the key is here, too."""

    opens: bool = True

    @property
    def profile(self) -> ConnectionProfile:
        return replace(super().profile, encrypt_to=(str(IDENTITY.to_public()),))

    def context(self) -> RoutineContext:
        return RoutineContext(identity_of=lambda _name: Secret(str(IDENTITY)) if self.opens else None)


@pytest.mark.parametrize("opens", [True, False])
def test_an_archive_counts_only_where_it_was_looked_into(
    postgresql_database: str, tmp_path: Path, *, opens: bool
) -> None:  # fmt: skip
    lab = SealedLab(postgresql_database, tmp_path, opens=opens)
    lab.create()
    name = lab.name(-15)
    lab.run(f'ALTER TABLE logs DETACH PARTITION "{name}"')
    outcome: DbtuiError | None = None
    try:
        proof = lab.drive(
            archive_partition(lab.context(), lab.profile, replace(lab.table, name=name), str(tmp_path / "archive"))
        )
        assert proof.rows == ROWS
    except MismatchError as error:
        outcome = error
    (archived,) = lab.archived()
    assert find_backup(tmp_path / "archive", archived).encryption == "age"
    assert archived.endswith(".sql.age")
    assert (outcome is None) is opens
    if outcome is not None:
        assert "no identity opens it here, so nobody has looked whether the rows are in it" in outcome.message
