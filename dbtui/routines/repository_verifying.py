"""Proving a repository's backup: by its own tool, by a look at its WAL, and, asked for, by a restore that is read."""

import time
from pathlib import Path

from dbtui.adapters.driving import forward
from dbtui.adapters.repositories.places import Place
from dbtui.adapters.repositories.repository import RepositoryAdapter
from dbtui.analysis.repositories import assess_segments, describe_segments
from dbtui.analysis.repository_words import describe_verification
from dbtui.errors import ToolError
from dbtui.model.events import Routine, StepFinished, StepStarted
from dbtui.model.repositories import (
    Repository,
    RepositoryBackup,
    RepositoryDetail,
    RepositoryProof,
    RepositoryTrialPlan,
    RepositoryVerification,
)
from dbtui.routines.backups.create import format_time
from dbtui.routines.backups.proof import sweep_throwaways
from dbtui.routines.context import RoutineContext
from dbtui.routines.repositories import open_adapter
from dbtui.routines.repository_evidence import keep_proof
from dbtui.routines.repository_findings import Findings

_NOT_READ = ("indexes, and values stored out of line: only the rows of tables were read",)
_NOT_RESTORED = ("whether a server starts from it: verify --restore tries that",)


def verify_lock(repository: Repository, label: str) -> str:
    """Return the name of the lock that a verification holds."""
    return f"verify {repository}/{label}"


def plan_repository_trial(
    c: RoutineContext, repository: Repository, backup: RepositoryBackup
) -> Routine[RepositoryTrialPlan]:
    """Find out on which throwaway server a backup can be restored here. Makes nothing.

    `backup` is one that `find_repository_backup` returned. Raises ToolError (what to install, and what can be done
    instead), RefusedError (no room).
    """
    from dbtui.adapters.postgresql.restored import plan_trial  # only who tries a restore needs the driver

    yield from ()
    account = Place(repository.run_as, c.environ, c.cancellation).account()
    return plan_trial(backup.server_version, backup.database_bytes, account, c.environ)


def verify_repository_backup(
    c: RoutineContext,
    repository: Repository,
    detail: RepositoryDetail,
    trial: RepositoryTrialPlan | None = None,
    evidence: Path | None = None,
) -> Routine[RepositoryVerification]:
    """Have the tool verify a backup, and look for gaps in its WAL; with a trial, also restore and read it.

    What was found is in the result, and kept in the directory `evidence`. Raises ToolError when it could not be tried,
    which changes nothing that was proven before; StorageError, Cancelled.
    """
    began = time.monotonic()
    adapter, found = open_adapter(c, repository), Findings()
    yield from forward(_look(c, adapter, detail, trial, found), found.note)
    result = _result(c, detail.backup, found, trial, began)
    if evidence is not None:
        proof = RepositoryProof(
            kind=result.proof,
            verified_at=format_time(c.now()),
            seconds=round(result.seconds, 3),
            summary=describe_verification(result),
            problems=result.problems,
        )
        keep_proof(evidence, repository, detail.backup, proof)
    return result


def _look(
    c: RoutineContext,
    adapter: RepositoryAdapter,
    detail: RepositoryDetail,
    trial: RepositoryTrialPlan | None,
    found: Findings,
) -> Routine[None]:
    backup = detail.backup
    if not backup.is_usable:
        found.problems.append(backup.problem or "it is not whole")
        return
    if backup.problem:
        found.problems.append(backup.problem)
    yield from _ask_tool(adapter, backup, trial, found)
    _look_at_segments(adapter, backup, found)
    if trial is None:
        found.unchecked += _NOT_RESTORED
    elif found.problems:
        found.unchecked.append("it was not restored: what is wrong is known already")
    else:
        from dbtui.routines.repository_trials import restore_on_trial  # the same

        sweep_throwaways(c)
        found.unchecked += _NOT_READ
        yield from restore_on_trial(c, adapter, detail, trial, found)


def _ask_tool(
    adapter: RepositoryAdapter, backup: RepositoryBackup, trial: RepositoryTrialPlan | None, found: Findings
) -> Routine[None]:
    began = time.monotonic()
    yield StepStarted("checksums", f"{adapter.repository.kind.value} reads every file of {backup.repository}")
    try:
        checkup = yield from adapter.verify(backup)
    except ToolError as error:
        if trial is None:
            raise
        found.unchecked.append(f"checksums: {error.message}")
        return
    found.checked += checkup.checked
    found.unchecked += checkup.unchecked
    found.problems += checkup.problems
    found.remarks += checkup.remarks
    yield StepFinished("checksums", time.monotonic() - began)


def _look_at_segments(adapter: RepositoryAdapter, backup: RepositoryBackup, found: Findings) -> None:
    try:
        segments = adapter.collect_segments(backup)
    except ToolError as error:
        found.unchecked.append(f"whether its WAL is whole: {error.message}")
        return
    problems = assess_segments(backup, segments)
    found.problems += problems
    if not problems and segments:
        found.checked.append(describe_segments(segments))


def _result(
    c: RoutineContext, backup: RepositoryBackup, found: Findings, trial: RepositoryTrialPlan | None, began: float
) -> RepositoryVerification:
    return RepositoryVerification(
        reference=backup.reference,
        proof="restored" if trial is not None and found.where else "checksums",
        checked=tuple(found.checked),
        unchecked=tuple(found.unchecked),
        problems=tuple(found.problems),
        remarks=tuple(found.remarks),
        verified_at=None if found.problems else format_time(c.now()),
        seconds=time.monotonic() - began,
        where=found.where,
        databases=found.databases,
        tables=found.tables,
        rows=found.rows,
        steps=found.steps,
    )
