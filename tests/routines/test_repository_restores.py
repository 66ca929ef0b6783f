"""What becomes of a directory whose restore failed when even removing it does."""

from pathlib import Path

import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.repositories.places import Place
from dbtui.errors import ToolError
from dbtui.model.repositories import (
    Repository,
    RepositoryBackup,
    RepositoryKind,
    RepositoryRestoreOptions,
    RestoreFromRepositoryPlan,
)
from dbtui.routines.repository_restores import HalfDirectory

PLAN = RestoreFromRepositoryPlan(
    repository=Repository(RepositoryKind.PGBACKREST, "main"),
    backup=RepositoryBackup(repository="pgbackrest:main", label="20261123-093000F"),
    options=RepositoryRestoreOptions(directory="/srv/pg/data"),
    command=("pgbackrest", "restore"),
    kept_as="/srv/pg/data.before-20261123T100000Z",
)


class StubbornPlace(Place):
    """A directory that cannot be emptied: another's file is in it, or the account may not run the program."""

    def __init__(self, error: ToolError | None = None) -> None:
        super().__init__((), {}, Cancellation())
        self.renamed: list[tuple[str, str]] = []
        self._error = error

    def empty(self, directory: str, *, is_kept: bool) -> bool:
        """It stays."""
        assert (directory, is_kept) == ("/srv/pg/data", False)
        if self._error is not None:
            raise self._error
        return False

    def rename(self, directory: str, kept_as: str) -> None:
        """What was there must not be put into what is left."""
        self.renamed.append((directory, kept_as))


def test_what_cannot_be_removed_is_named_and_what_was_there_stays_aside() -> None:
    place = StubbornPlace()
    half = HalfDirectory(PLAN, place)
    half.is_ours = True
    said = half.undo()
    assert "the half restored /srv/pg/data could not be removed: it is no database" in said
    assert "what was there is in /srv/pg/data.before-20261123T100000Z" in said
    assert (place.renamed, half.is_ours, half.is_being_undone) == ([], False, False)


def test_a_program_that_may_not_be_run_is_said_too() -> None:
    said = HalfDirectory(PLAN, StubbornPlace(ToolError("sudo: find is not allowed"))).undo()
    assert said.startswith("the half restored /srv/pg/data: remove it; what was there is in /srv/pg/data.before-")
    assert said.endswith("(sudo: find is not allowed)")


def test_a_directory_that_nobody_here_may_look_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.setattr(Place, "names", lambda _place, _directory: None)
    found = Place(("false",), {}, Cancellation()).look(str(tmp_path / "data"))
    assert (found.exists, found.is_directory, found.is_readable, found.is_symlink) == (True, True, False, False)
    assert (found.entries, found.server_lives, found.cluster_version) == (0, False, "")
    assert Place(("false",), {}, Cancellation()).account() == ""
