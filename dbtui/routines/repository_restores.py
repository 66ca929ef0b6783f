"""Restoring from a repository: its own tool fills a directory, and a run that ends otherwise leaves what was there."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.repositories.places import Place, format_command
from dbtui.adapters.repositories.repository import RepositoryAdapter
from dbtui.analysis.repositories import assess_segments
from dbtui.analysis.repository_restores import finish_plan, kept_name, place_tablespaces
from dbtui.errors import DbtuiError, RefusedError, ToolError
from dbtui.model.events import CommandRan, Routine, StepFinished, StepStarted
from dbtui.model.repositories import (
    Repository,
    RepositoryBackup,
    RepositoryDetail,
    RepositoryReport,
    RepositoryRestoreOptions,
    RepositoryRestoreResult,
    RestoreFromRepositoryPlan,
)
from dbtui.model.text import format_untrusted
from dbtui.routines.context import RoutineContext
from dbtui.routines.repositories import find_repository_backup, open_adapter


def restore_directory_lock(directory: str) -> str:
    """Return the name of the lock that a restore into a directory holds."""
    return f"restore into {directory}"


def plan_repository_restore(
    c: RoutineContext,
    repository: Repository,
    label: str,
    options: RepositoryRestoreOptions,
    evidence: Path | None = None,
) -> Routine[RestoreFromRepositoryPlan]:
    """Look at the repository and the directory, and plan a restore. Nothing is changed.

    Raises ToolError, UsageError (no such backup), Cancelled.
    """
    report, detail = yield from find_repository_backup(c, repository, label, evidence, options.target_time)
    return _plan(c, open_adapter(c, repository), report, detail, options)


def _plan(
    c: RoutineContext,
    adapter: RepositoryAdapter,
    report: RepositoryReport,
    detail: RepositoryDetail,
    options: RepositoryRestoreOptions,
) -> RestoreFromRepositoryPlan:
    backup, directory = detail.backup, options.directory
    place = _place(c, report.repository)
    now = c.now()
    kept_as = kept_name(directory, now)
    facts = place.look(directory, (kept_as,))
    spaces = place_tablespaces(detail, options, facts, now)
    if not options.is_delta:
        facts = place.look(directory, (kept_as, *(there for _space, there in spaces)))
    is_aside = options.replaces and not options.is_delta and facts.entries > 0
    aside = place.aside_command(directory, kept_as) if is_aside else ()
    plan = RestoreFromRepositoryPlan(
        repository=report.repository,
        backup=backup,
        options=options,
        command=adapter.restore_command(backup, options, spaces),
        aside=aside,
        kept_as=kept_as if is_aside else "",
        tablespaces=spaces,
        account=place.account(),
        needed_bytes=backup.database_bytes,
        free_bytes=facts.free_bytes,
    )
    problems = _wal_problems(adapter, backup)
    return finish_plan(plan, report, facts, problems, (format_command(aside), format_command(plan.command)))


def _wal_problems(adapter: RepositoryAdapter, backup: RepositoryBackup) -> tuple[str, ...]:
    if not backup.is_usable:
        return ()
    try:
        return assess_segments(backup, adapter.collect_segments(backup))
    except ToolError as error:
        return (f"whether its WAL is whole is not known: {error.message}",)


def _place(c: RoutineContext, repository: Repository, cancellation: Cancellation | None = None) -> Place:
    return Place(repository.run_as, c.environ, cancellation or c.cancellation)


# ---------------------------------------------------------------- doing it


class HalfDirectory:
    """The directory that a restore fills. While `is_ours`, what is in it is removed unless the run ends well."""

    def __init__(self, plan: RestoreFromRepositoryPlan, place: Place) -> None:
        self.is_ours = False
        self.is_being_undone = False
        self._plan = plan
        self._place = place

    @property
    def undoing(self) -> str:
        """What is being removed."""
        return f"removing what was restored into {format_untrusted(self._plan.options.directory)}"

    @property
    def left(self) -> str:
        """What stays if this process ends now."""
        directory = format_untrusted(self._plan.options.directory)
        back = f"; what was there is in {format_untrusted(self._plan.kept_as)}" if self._plan.kept_as else ""
        return f"the half restored {directory}: remove it{back}"

    def undo(self) -> str:
        """Remove it and put back what was there; return a sentence for what could not be undone, empty: all is."""
        self.is_being_undone = True
        try:
            return self._undo()
        except DbtuiError as error:
            return f"{self.left} ({error.message})"
        finally:
            self.is_ours = self.is_being_undone = False

    def _undo(self) -> str:
        plan, directory = self._plan, self._plan.options.directory
        left = [place for _space, place in plan.tablespaces if not self._place.empty(place, is_kept=False)]
        if not self._place.empty(directory, is_kept=plan.existed):
            left.append(directory)
        for parent in {str(Path(place).parent) for _space, place in plan.tablespaces}:
            self._place.empty(parent, is_kept=False)
        if plan.kept_as and not left:
            self._place.rename(plan.kept_as, directory)
        if not left:
            return ""
        back = f"; what was there is in {plan.kept_as}" if plan.kept_as else ""
        return f"the half restored {' and '.join(left)} could not be removed: it is no database{back}"


def apply_repository_restore(c: RoutineContext, plan: RestoreFromRepositoryPlan) -> Routine[RepositoryRestoreResult]:
    """Run a planned restore. The server is not started.

    When it fails or is cancelled, what it wrote is removed and what was there has its name again; a restore in place
    (delta) cannot be undone, and the error says so. Raises RefusedError, ToolError, StorageError, Cancelled.
    """
    if plan.refusals:
        raise RefusedError(f"restore refused: {'; '.join(plan.refusals)}")
    began = time.monotonic()
    place = _place(c, plan.repository)
    _check_unchanged(place, plan)
    directory = plan.options.directory
    with _half_directory(c, plan) as half:
        if plan.kept_as:
            yield StepStarted("set aside", f"{directory} as {plan.kept_as}")
            yield CommandRan(format_command(plan.aside))
            place.rename(directory, plan.kept_as)
            half.is_ours = True
            yield StepFinished("set aside", time.monotonic() - began)
        half.is_ours = not plan.options.is_delta
        started = time.monotonic()
        yield StepStarted("restore", f"{plan.backup.label} into {directory}")
        yield CommandRan(format_command(plan.command))
        remarks = yield from open_adapter(c, plan.repository).restore(plan.backup, directory, plan.command)
        yield StepFinished("restore", time.monotonic() - started)
        found = place.look(directory)
        if found.is_readable and not found.cluster_version:  # another account's need not be open to us
            raise ToolError(f"{plan.repository.kind.value} said that all is well, and {directory} holds no cluster")
        half.is_ours = False
    return RepositoryRestoreResult(
        reference=plan.backup.reference,
        directory=directory,
        seconds=time.monotonic() - began,
        bytes=plan.backup.database_bytes,
        kept_as=plan.kept_as,
        warnings=remarks,
        afterwards=plan.afterwards,
    )


def _check_unchanged(place: Place, plan: RestoreFromRepositoryPlan) -> None:
    """Look again: between the plan and its confirmation somebody may have come. Raises RefusedError."""
    found = place.look(plan.options.directory, (plan.kept_as,) if plan.kept_as else ())
    is_filled = found.entries > 0 and not plan.kept_as and not plan.options.is_delta
    if is_filled or found.server_lives or found.taken or (plan.kept_as and not found.entries):
        raise RefusedError(
            f"{plan.options.directory} is no longer as it was planned; nothing was changed", "look at it, and plan anew"
        )


@contextmanager
def _half_directory(c: RoutineContext, plan: RestoreFromRepositoryPlan) -> Iterator[HalfDirectory]:
    """Undo what a run left that did not end well, also when it was cancelled."""
    half = HalfDirectory(plan, _place(c, plan.repository, Cancellation()))
    c.unfinished.append(half)
    try:
        yield half
    except GeneratorExit:
        if half.is_ours:
            half.undo()
        raise
    except DbtuiError as error:
        if half.is_ours:
            said = half.undo()
            error.hint = "; ".join(part for part in (error.hint, said) if part)
        elif plan.options.is_delta:
            said = f"{plan.options.directory} is neither the old nor the new cluster now: restore with --delta again"
            error.hint = "; ".join(part for part in (error.hint, said) if part)
        raise
    finally:
        c.unfinished.remove(half)
