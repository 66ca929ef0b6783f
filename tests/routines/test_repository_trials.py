"""A trial of a backup that no server can start from, and of one on a machine that lacks what it needs."""

from dataclasses import replace

import pytest

from dbtui.adapters.driving import exhaust
from dbtui.adapters.postgresql.restored import find_account
from dbtui.errors import ToolError
from dbtui.model.repositories import Repository, RepositoryKind
from dbtui.routines.context import RoutineContext
from dbtui.routines.repositories import find_repository_backup, open_adapter
from dbtui.routines.repository_findings import Findings
from dbtui.routines.repository_trials import TrialServer, restore_on_trial
from dbtui.routines.repository_verifying import plan_repository_trial
from tests.fix_repositories import RepositoryWorld
from tests.fix_servers import processes_in


def repository_of(world: RepositoryWorld) -> Repository:
    """The world's repository, as settings would name it."""
    return Repository(RepositoryKind(world.kind), "main", str(world.config), tuple(world.run_as))


def test_a_backup_without_its_log_starts_no_server(pgbackrest_world: RepositoryWorld) -> None:
    world = pgbackrest_world.copy()
    c, repository = RoutineContext(), repository_of(world)
    _report, detail = exhaust(find_repository_backup(c, repository, "latest"), lambda _event: None)
    (segment,) = world.repository.glob(f"archive/main/15-1/*/{detail.backup.wal_start}-*.gz")
    segment.unlink()
    plan = exhaust(plan_repository_trial(c, repository, detail.backup), lambda _event: None)
    assert plan.server.startswith("PostgreSQL 15")
    found = Findings()
    exhaust(restore_on_trial(c, open_adapter(c, repository), detail, plan, found), lambda _event: None)
    (problem,) = found.problems
    assert problem.startswith("a server restored from it does not start: ")
    assert "a whole restore by pgBackRest" in found.checked
    (trial,) = c.unfinished
    assert isinstance(trial, TrialServer)
    assert (trial.is_ours, trial.directory.path.exists()) == (False, False)
    assert processes_in(trial.directory.path) == []


def test_another_major_version_is_said_to_be_missing(pgbackrest_world: RepositoryWorld) -> None:
    c, repository = RoutineContext(), repository_of(pgbackrest_world)
    _report, detail = exhaust(find_repository_backup(c, repository, "latest"), lambda _event: None)
    backup = replace(detail.backup, server_version="99")
    with pytest.raises(ToolError, match="no PostgreSQL server of version 99 is installed here"):
        exhaust(plan_repository_trial(c, repository, backup), lambda _event: None)


def test_root_is_told_to_name_an_account() -> None:
    with pytest.raises(ToolError, match="does not run as root") as refused:
        find_account("root")
    assert "run_as" in refused.value.hint
