"""Partitions kept right on a real PostgreSQL: what is made, what goes, and what is proven before it goes."""

import json
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dbtui.adapters.postgresql.adapter import ADAPTER
from dbtui.analysis.partition_words import judge_result
from dbtui.config import parse_url
from dbtui.errors import LockedError, RefusedError, UsageError
from dbtui.model.backups import RestoreOptions
from dbtui.model.events import Event, Progressed, StepFinished, StepStarted, Warned
from dbtui.model.jobs import JobState
from dbtui.model.partitions import LockPatience, StepKind, StepOutcome
from dbtui.model.policies import ArchiveMode
from dbtui.model.tables import TableName
from dbtui.routines.backups import apply_restore, find_backup, plan_restore
from dbtui.routines.partition_journal import PartitionJournal, UnendedRun
from dbtui.routines.partitions import (
    apply_partitions,
    collect_one,
    collect_partitions,
    collect_sizes,
    find_unended_run,
    plan_partitions_of,
)
from tests.routines.partition_lab import QUICK, ROWS, Lab, month

DUE = (-15, -14, -13)
DAY = 86400.0


@pytest.fixture
def lab(postgresql_database: str, tmp_path: Path) -> Lab:
    made = Lab(postgresql_database, tmp_path)
    made.create()
    return made


def kinds(lab: Lab) -> list[StepKind]:
    return [step.kind for step in lab.plan().steps]


def warnings(lab: Lab) -> list[str]:
    return [event.message for event in lab.events if isinstance(event, Warned)]


def test_gaps_are_filled_the_next_made_and_what_is_due_goes_into_a_backup(lab: Lab) -> None:
    before = {offset: lab.run(f'SELECT * FROM "{lab.name(offset)}" ORDER BY id') for offset in DUE}
    plan = lab.plan()
    assert [step.kind for step in plan.steps] == [
        *[StepKind.CREATE] * 3, *[StepKind.DETACH] * 3, *[StepKind.ARCHIVE] * 3, *[StepKind.DROP] * 3
    ]  # fmt: skip
    result = lab.apply(plan)
    assert {each.outcome for each in result.results} == {StepOutcome.DONE}
    assert (result.left, judge_result(result)) == (0, JobState.SUCCEEDED)
    assert lab.partitions() == {lab.name(offset) for offset in range(-12, 4)}
    assert lab.tables() == lab.partitions() | {"logs"}
    assert lab.plan().is_converged
    archives = {each.step.partition.name: each.archive for each in result.results if each.archive}
    assert set(archives) == {lab.name(offset) for offset in DUE}
    for offset in DUE:
        assert restored(lab, archives[lab.name(offset)], lab.name(offset)) == before[offset]


def restored(lab: Lab, archive: str, name: str) -> list[object]:
    """The rows of a month that was archived, restored into a database of its own."""
    entry = find_backup(lab.folder / "archive", archive)
    assert (entry.tables, entry.rows, entry.proof) == (1, ROWS, "checksums")
    options = RestoreOptions(tables=(f"public.{name}",))
    plan = lab.drive(plan_restore(lab.context(), entry, lab.profile, options))
    assert not plan.refusals
    done = lab.drive(apply_restore(lab.context(), lab.profile, plan))
    elsewhere = replace(lab, url=lab.url.rpartition("/")[0] + f"/{done.database}")
    rows = elsewhere.run(f'SELECT * FROM "{name}" ORDER BY id')
    lab.run(f'DROP DATABASE "{done.database}"')
    return rows


@pytest.mark.parametrize("name", ['Audit "Logs"', "lo*gs", "a.b", "läg", "x" * 40])
def test_names_of_every_kind(postgresql_database: str, tmp_path: Path, name: str) -> None:
    lab = Lab(postgresql_database, tmp_path, TableName('My "Schema"', name))
    lab.create()
    lab.run('CREATE TABLE "logs" (id int)')  # what a pattern would match, too
    result = lab.apply(lab.plan())
    assert {each.outcome for each in result.results} == {StepOutcome.DONE}, result
    assert len(lab.partitions()) == 16
    assert len(lab.archived()) == 3


def finished(kind: str, number: int) -> Callable[[Event], bool]:
    seen = [0]

    def is_it(event: Event) -> bool:
        seen[0] += isinstance(event, StepFinished) and event.step == kind
        return seen[0] == number

    return is_it


@pytest.mark.parametrize(
    "stop",
    [("create", 1), ("detach", 1), ("detach", 3), ("dump", 1), ("archive", 2), ("drop", 1)],
    ids=lambda stop: f"{stop[0]} {stop[1]}",
)
def test_whenever_it_is_stopped_a_new_plan_converges_and_no_row_is_lost(lab: Lab, stop: tuple[str, int]) -> None:
    routine = apply_partitions(lab.context(), lab.profile, lab.plan(), lab.journals, QUICK)
    is_it = finished(*stop)
    assert any(is_it(event) for event in routine)
    routine.close()
    result = lab.apply(lab.plan())
    assert result.left == 0
    assert lab.plan().is_converged
    assert lab.tables() == {lab.name(offset) for offset in range(-12, 4)} | {"logs"}
    rows = [find_backup(lab.folder / "archive", each) for each in lab.archived()]
    assert all(each.rows == ROWS for each in rows)
    assert len(rows) >= len(DUE)


def test_a_lock_that_lasts_leaves_the_rest_done(lab: Lab) -> None:
    with lab.holding(f'SELECT count(*) FROM "{lab.name(-14)}"'):
        result = lab.apply(lab.plan())
    outcomes = {(each.step.kind, each.step.partition.name): each.outcome for each in result.results}
    assert outcomes[StepKind.CREATE, lab.name(-5)] is StepOutcome.DONE
    assert judge_result(result) is JobState.PARTIAL
    assert outcomes[StepKind.DROP, lab.name(-14)] is StepOutcome.SKIPPED
    assert lab.name(-14) in lab.tables()
    locked = [each for each in result.results if each.outcome is StepOutcome.LOCKED]
    assert locked
    assert "bystander" in " ".join([*warnings(lab), *(each.detail for each in locked)])
    assert result.left > 0
    assert lab.apply(lab.plan()).left == 0
    assert lab.plan().is_converged


def test_what_cannot_be_made_keeps_what_is_due(lab: Lab) -> None:
    """Nothing is taken out while the partition of now may be missing."""
    plan = lab.plan()
    create = next(step for step in plan.steps if step.kind is StepKind.CREATE)
    took_out = {step.kind for step in plan.steps} & {StepKind.DETACH, StepKind.DROP}
    assert took_out
    with lab.holding("LOCK TABLE logs IN ACCESS SHARE MODE; LOCK TABLE logs IN SHARE MODE"):
        result = lab.apply(plan)
    outcomes = {(each.step.kind, each.step.partition): each.outcome for each in result.results}
    assert outcomes[create.kind, create.partition] is StepOutcome.LOCKED
    assert all(outcome is not StepOutcome.DONE for (kind, _), outcome in outcomes.items() if kind in took_out)
    assert lab.apply(lab.plan()).left == 0
    assert lab.plan().is_converged


def test_with_a_grace_what_was_archived_is_proven_again_before_the_drop(lab: Lab) -> None:
    graced = replace(lab.policy, grace_seconds=30 * DAY)
    result = lab.apply(lab.plan(graced))
    assert StepKind.DROP not in {each.step.kind for each in result.results}
    assert lab.name(-15) in lab.tables() - lab.partitions()
    assert lab.plan(graced).is_converged
    plan = lab.plan()
    assert [step.kind for step in plan.steps] == [StepKind.DROP] * 3
    before = lab.archived()
    lab.apply(plan)
    assert lab.archived() == before
    assert lab.name(-15) not in lab.tables()


@pytest.mark.parametrize("harm", ["damaged", "gone", "rows added"])
def test_an_archive_that_does_not_hold_is_made_anew(lab: Lab, harm: str) -> None:
    result = lab.apply(lab.plan(replace(lab.policy, grace_seconds=30 * DAY)))
    archive = next(
        each.archive for each in result.results if each.step.partition.name == lab.name(-15) and each.archive
    )
    file = lab.folder / "archive" / f"{archive}.sql"
    if harm == "damaged":
        file.write_bytes(file.read_bytes().replace(b"row 1", b"row X"))
    elif harm == "gone":
        file.unlink()
        (lab.folder / "archive" / f"{archive}.sql.manifest.json").unlink()
    else:
        lab.run(f"INSERT INTO \"{lab.name(-15)}\" VALUES (-1, '{month(-15)}', 'late')")
    again = lab.apply(lab.plan())
    assert {each.outcome for each in again.results} == {StepOutcome.DONE}
    (told,) = [each for each in warnings(lab) if "archived anew" in each]
    assert lab.name(-15) in told
    newest = find_backup(
        lab.folder / "archive", max(lab.archived(), key=lambda each: (each.partition("Z")[0], len(each), each))
    )
    assert newest.proof == "checksums"
    assert newest.rows == ROWS + (harm == "rows added")


def test_what_cannot_be_archived_is_not_dropped(lab: Lab) -> None:
    plan = lab.plan()
    (lab.folder / "archive").write_text("in the way")
    result = lab.apply(plan)
    last = result.results[-1]
    assert (last.step.kind, last.outcome) == (StepKind.ARCHIVE, StepOutcome.FAILED)
    assert judge_result(result) is JobState.PARTIAL
    assert {lab.name(offset) for offset in DUE} <= lab.tables()
    assert result.left == 6
    (lab.folder / "archive").unlink()
    assert lab.apply(lab.plan()).left == 0


def test_without_an_archive_it_drops_what_is_named(lab: Lab) -> None:
    plan = lab.plan(replace(lab.policy, archive=ArchiveMode.NONE))
    assert plan.danger == 3
    assert StepKind.ARCHIVE not in {step.kind for step in plan.steps}
    assert lab.apply(plan).left == 0
    assert not (lab.folder / "archive").exists()
    assert not {lab.name(offset) for offset in DUE} & lab.tables()


def test_only_one_run_at_a_time(lab: Lab) -> None:
    plan = lab.plan()
    context = lab.context()
    assert ADAPTER.partitions is not None
    with context.open_target(lab.profile) as target:
        table = ADAPTER.partitions.collect_partitioned_table(target, lab.table)
        with ADAPTER.partitions.open_executor(target, table, LockPatience()), pytest.raises(LockedError):
            lab.apply(plan)
    assert not lab.journals.exists()
    assert lab.apply(plan).left == 0


def test_a_read_only_profile_and_a_plan_refused_change_nothing(lab: Lab) -> None:
    plan = lab.plan()
    with pytest.raises(RefusedError, match="read-only"):
        lab.drive(apply_partitions(lab.context(), replace(lab.profile, read_only=True), plan, lab.journals))
    refused = replace(plan, steps=(), refusals=("it is kept by pg_partman",))
    with pytest.raises(RefusedError, match="pg_partman"):
        lab.apply(refused)
    assert lab.name(-5) not in lab.tables()


def test_the_journal_tells_of_every_step_and_of_a_run_without_an_end(lab: Lab) -> None:
    plan = lab.plan()
    lab.apply(plan)
    (path,) = lab.journals.iterdir()
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(lab.journals.stat().st_mode)) == (0o600, 0o700)
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    assert [entries[0]["event"], entries[-1]["event"], entries[-1]["left"]] == ["began", "ended", 0]
    begun = [entry for entry in entries if entry["event"] == "step"]
    assert [entry["partition"] for entry in begun] == [str(step.partition) for step in plan.steps]
    assert [entry["outcome"] for entry in entries if entry["event"] == "done"] == ["done"] * len(plan.steps)
    assert len([entry for entry in entries if entry["event"] == "archived"]) == 3
    kept = [line for line in path.read_text().splitlines(keepends=True) if '"ended"' not in line]
    path.write_text("".join(kept[:-1]) + kept[-1][:20])  # a crash in the middle of a line
    lab.run(f'DROP TABLE "{lab.name(3)}"')
    lab.apply(lab.plan())
    (told,) = [each for each in warnings(lab) if "ended without a word" in each]
    assert f"at: drop public.{lab.name(-13)}" in told
    lab.run(f'DROP TABLE "{lab.name(3)}"')
    lab.apply(lab.plan())
    assert len([each for each in warnings(lab) if "ended without a word" in each]) == 1


def test_a_run_without_an_end_is_found_before_another_begins(lab: Lab) -> None:
    def find() -> UnendedRun | None:
        return find_unended_run(lab.context(), lab.profile, lab.table, lab.journals)

    assert find() is None
    routine = apply_partitions(lab.context(), lab.profile, lab.plan(), lab.journals, QUICK)
    assert any(isinstance(event, StepStarted) for event in routine)
    found = find()
    assert found is not None and found.is_running
    assert f"process {os.getpid()} has been applying a plan since" in str(found)
    assert f"now at: create public.{lab.name(-5)}" in str(found)
    routine.close()
    assert find() is None  # it wrote its end
    (path,) = lab.journals.iterdir()
    kept = [line for line in path.read_text().splitlines(keepends=True) if '"ended"' not in line]
    path.write_text("".join(kept).replace(f'"process": {os.getpid()}', '"process": 4194304'))
    found = find()
    assert found is not None and not found.is_running
    assert "the run that process 4194304 began" in str(found)


def test_an_empty_journal_tells_nothing(tmp_path: Path) -> None:
    journal = PartitionJournal(tmp_path / "none", "x", Lab("", tmp_path).context().now)
    assert journal.find_unended() is None


def test_looking(lab: Lab) -> None:
    snapshot = lab.drive(collect_partitions(lab.context(), lab.profile))
    assert [(each.table, len(each.partitions)) for each in snapshot.tables] == [(lab.table, 16)]
    seen = lab.drive(collect_one(lab.context(), lab.profile, TableName("", "logs"), is_exact=True))
    assert seen.table.table == lab.table
    assert all(each.bytes_exact for each in seen.table.partitions)
    with pytest.raises(UsageError):
        lab.drive(collect_one(lab.context(), lab.profile, TableName("public", "nothing")))


def test_some_partitions_are_measured_and_pruning_is_asked_for_when_it_is_wanted(lab: Lab) -> None:
    seen = lab.drive(collect_one(lab.context(), lab.profile, lab.table, asks_prunes=False))
    assert seen.prunes is None
    assert lab.drive(collect_one(lab.context(), lab.profile, lab.table)).prunes is True
    some = seen.table.partitions[:2]
    sizes = lab.drive(collect_sizes(lab.context(), lab.profile, lab.table, some))
    assert set(sizes) == {each.table for each in some}
    assert all(size > 0 for size in sizes.values())


def test_sqlite_has_none(tmp_path: Path) -> None:
    profile = parse_url(f"sqlite:///{tmp_path}/x.db", "file")
    lab = Lab("", tmp_path)
    assert "SQLite has no partitioned tables" in lab.drive(collect_partitions(lab.context(), profile)).unsupported
    with pytest.raises(UsageError, match="SQLite has no partitioned tables"):
        lab.drive(plan_partitions_of(lab.context(), profile, lab.table))


def test_the_steps_are_told(lab: Lab) -> None:
    lab.apply(lab.plan())
    started = [event.step for event in lab.events if isinstance(event, StepStarted)]
    assert [started.count(kind) for kind in ("create", "detach", "drop")] == [3, 3, 3]
    counted = [event for event in lab.events if isinstance(event, Progressed) and event.unit == "steps"]
    assert [(each.done, each.total) for each in counted] == [(number, 12) for number in range(12)]
