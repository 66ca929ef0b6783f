"""What is known of runs from their journal, whatever became of it; and clocks that are wrong."""

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dbtui.errors import LockedError, RefusedError
from dbtui.jobs import held_lock
from dbtui.model.partitions import PartitionPlan, PartitionStep, StepKind, StepOutcome, StepResult
from dbtui.model.policies import PartitionPolicy
from dbtui.model.tables import TableName
from dbtui.routines.context import RoutineContext
from dbtui.routines.partition_journal import PartitionJournal
from tests.routines.partition_lab import Lab

LOGS = TableName("public", "logs")
LONG = "CREATE TABLE …" * 500


def journal(folder: Path, run: str = "20261122T150000Z-4321") -> PartitionJournal:
    return PartitionJournal(folder, "logs", lambda: datetime(2026, 11, 22, 15, 9, tzinfo=UTC), run)


def step(number: int) -> PartitionStep:
    return PartitionStep(
        kind=StepKind.CREATE, table=LOGS, partition=TableName("public", f"logs_{number}"), why="", sql=(LONG,)
    )


def write_run(kept: PartitionJournal, steps: int) -> None:
    kept.begin(PartitionPlan(table=LOGS, policy=PartitionPolicy(table=LOGS), taken_at=datetime.now(UTC)))
    for number in range(steps):
        kept.begin_step(number, step(number), f"create {number}")
        kept.end_step(number, StepResult(step=step(number), outcome=StepOutcome.DONE))


def test_a_long_run_that_was_killed_is_told(tmp_path: Path) -> None:
    kept = journal(tmp_path)
    write_run(kept, 60)
    kept.begin_step(60, step(60), "create 60")
    found = kept.find_unended()
    assert found is not None
    assert (found.began, found.process, found.step) == ("2026-11-22T15:00:00Z", 4321, "create 60")
    kept.end("failed")
    assert kept.find_unended() is None


def test_a_line_that_a_full_disk_has_cut_takes_no_other_with_it(tmp_path: Path) -> None:
    kept = journal(tmp_path)
    write_run(kept, 1)
    with kept.path.open("ab") as file:
        file.write(b'{"version": 1, "run": "x", "event": "st')
    kept.end("failed")
    assert kept.find_unended() is None


@pytest.fixture
def lab(postgresql_database: str, tmp_path: Path) -> Iterator[Lab]:
    made = Lab(postgresql_database, tmp_path)
    made.create()
    yield made


@pytest.mark.parametrize("days", [-40, 40])
def test_while_clocks_tell_different_days_nothing_is_taken_out(
    lab: Lab, days: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = lab.plan()
    before = lab.tables()
    later = replace(plan, taken_at=plan.taken_at + timedelta(days=40))
    with pytest.raises(RefusedError, match="what is past retention is not certain"):
        lab.apply(later)
    wrong = RoutineContext(now=lambda: datetime.now(UTC) + timedelta(days=days))
    monkeypatch.setattr(lab, "context", lambda: wrong)
    with pytest.raises(RefusedError, match="set the clock that is wrong"):
        lab.apply(plan)
    assert lab.tables() == before
    creating = tuple(step for step in plan.steps if step.kind is StepKind.CREATE)
    assert lab.apply(replace(plan, steps=creating)).results[-1].outcome is StepOutcome.DONE


def test_on_a_full_disk_a_lock_is_held_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", refuse)
    with held_lock(tmp_path, "logs"), pytest.raises(LockedError), held_lock(tmp_path, "logs"):
        pass
