"""What `dbtui backup …` does with the backups that pgBackRest and Barman keep: pgbackrest:main/20261123-093000F."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dbtui.analysis.repositories import choose_repository, parse_reference
from dbtui.analysis.repository_restores import parse_target_time
from dbtui.analysis.repository_words import (
    WHOLE_CLUSTER,
    describe_backup,
    describe_looks,
    describe_restored,
    describe_restoring,
    describe_soundness,
    describe_verification,
)
from dbtui.cli import exit_codes
from dbtui.cli.confirm import confirm
from dbtui.cli.endings import finish, show_plan
from dbtui.cli.invocation import Invocation
from dbtui.cli.plans import show_repository_verify_plan, show_restore_from_repository
from dbtui.cli.printers import print_document, write_data
from dbtui.errors import RefusedError, UsageError
from dbtui.jobs import JobRequest
from dbtui.model.connections import ConnectionProfile, Environment
from dbtui.model.findings import FindingLevel
from dbtui.model.jobs import JobState
from dbtui.model.repositories import (
    Repository,
    RepositoryBackup,
    RepositoryDetail,
    RepositoryReport,
    RepositoryRestoreOptions,
    RepositoryRestoreResult,
    RepositoryTrialPlan,
    RestoreFromRepositoryPlan,
)
from dbtui.model.text import format_bytes, format_duration, format_untrusted
from dbtui.routines import repositories as routines
from dbtui.routines import repository_restores as restores
from dbtui.routines import repository_verifying as verifying

_LABEL_CELLS = 11


def is_meant(typed: Mapping[str, Any]) -> bool:
    """Whether what was typed names a backup of a repository."""
    return parse_reference(typed["reference"]) is not None


def without_physical(typed: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was typed without the options that only physical backups have. Raises UsageError for one given."""
    for option in ("target_time", "delta"):
        if typed[option]:
            raise UsageError(f"--{option.replace('_', '-')} is for backups of pgBackRest and Barman alone",
                             "leave it out, or name such a backup, like pgbackrest:main/20261123-093000F")  # fmt: skip
    return {name: value for name, value in typed.items() if name not in ("target_time", "delta")}


def evidence_directory(invocation: Invocation) -> Path:
    """Return where what verifications have shown is kept."""
    return Path(invocation.history.state_dir) / routines.EVIDENCE


def find_repository(invocation: Invocation, reference: str) -> tuple[Repository, str]:
    """Return the repository and the label that a reference names. Raises UsageError."""
    parsed = parse_reference(reference)
    if parsed is None:
        raise UsageError(f"{format_untrusted(reference)!r} names no repository", "write pgbackrest:STANZA/BACKUP")
    kind, name, label = parsed
    known = routines.distinct_repositories(invocation.settings.profiles)
    return choose_repository(kind, name, known, reference), label


def profile_of(invocation: Invocation, repository: Repository) -> ConnectionProfile | None:
    """Return the profile whose cluster a repository holds; one for production before others."""
    profiles = [each for each in invocation.settings.profiles if each.repository == repository]
    return next((each for each in profiles if each.environment is Environment.PRODUCTION), next(iter(profiles), None))


# ---------------------------------------------------------------- list


def collect_reports(
    invocation: Invocation, profile: ConnectionProfile | None, directory: str | None
) -> tuple[RepositoryReport, ...]:
    """Ask the repositories of a profile, or of all, side by side; none when a directory was named."""
    if directory is not None:
        return ()
    profiles = invocation.settings.profiles if profile is None else (profile,)
    evidence = evidence_directory(invocation)
    requests = [_report_request(each, evidence) for each in routines.distinct_repositories(profiles)]
    reports = []
    for outcome in invocation.run_together(requests):
        if outcome.error is not None:
            raise outcome.error
        if outcome.result is not None:
            reports.append(outcome.result)
    return tuple(reports)


def _report_request(repository: Repository, evidence: Path) -> JobRequest[RepositoryReport]:
    return JobRequest(
        routine="backup list",
        target=str(repository),
        start=lambda c: routines.collect_repository(c, repository, evidence),
        changes=False,
    )


def show_row(backup: RepositoryBackup, now: datetime) -> tuple[str, ...]:
    """Return the cells of a physical backup, in the columns of the list."""
    major = backup.server_version.partition(".")[0]
    return (
        backup.reference,
        format_duration((now - backup.at).total_seconds()),
        WHOLE_CLUSTER,
        f"PG {major}".rstrip(),
        backup.kind.value,
        format_bytes(backup.repository_bytes) if backup.repository_bytes is not None else "",
        "",
        "",
        describe_soundness(backup, now),
    )


def warn_of(invocation: Invocation, reports: Sequence[RepositoryReport]) -> None:
    """Say what there is to say of repositories, beside the list."""
    for report in reports:
        for finding in report.findings:
            words = finding.words if report.problem else f"{report.name}: {finding.words}"
            if finding.level is FindingLevel.TROUBLE:
                invocation.printer.warn(words)
            else:
                invocation.printer.say(words)


# ---------------------------------------------------------------- show


def show(*, reference: str, as_json: bool, **others: Any) -> int:
    """Print what the tool says of one backup."""
    refuse_options(reference, table=others["table"], rows=others["rows"], dir=others["directory"])
    invocation = Invocation.begin(as_json=as_json)
    repository, label = find_repository(invocation, reference)
    evidence = evidence_directory(invocation)
    request = JobRequest(
        routine="backup show",
        target=str(repository),
        subject=label,
        start=lambda c: routines.collect_repository_backup(c, repository, label, evidence),
        changes=False,
    )
    report, detail = invocation.result_of(request)
    if as_json:
        about = {"repository": report.name, "status_code": report.status_code, "status_text": report.status_text}
        print_document(backup=detail.backup, detail=detail, archives=report.archives, findings=report.findings,
                       checks=report.checks, **about)  # fmt: skip
        return exit_codes.DONE
    lines = [
        f"{name:<{_LABEL_CELLS}} {format_untrusted(text)}"
        for name, text in describe_backup(report, detail, datetime.now(UTC))
        if text
    ]
    write_data("\n".join(lines))
    return exit_codes.DONE


# ---------------------------------------------------------------- verify


def verify(*, reference: str, restore: bool, throwaway: bool, dry_run: bool, as_json: bool, quiet: bool,
           **others: Any) -> int:  # fmt: skip
    """Have a backup verified and print the verdict."""
    refuse_options(reference, to=others["to"], dir=others["directory"], identity=others.get("identities"))
    invocation = Invocation.begin(as_json=as_json, quiet=quiet, acting=True)
    repository, label = find_repository(invocation, reference)
    finding: JobRequest[tuple[RepositoryReport, RepositoryDetail]] = JobRequest(
        routine="plan proof",
        target=str(repository),
        start=lambda c: routines.find_repository_backup(c, repository, label),
        changes=False,
    )
    detail = invocation.result_of(finding)[1]
    backup = detail.backup
    trial = _plan_trial(invocation, repository, backup) if restore or throwaway else None
    if dry_run:
        return show_plan(invocation, show_repository_verify_plan(backup, trial), (), backup_id=backup.reference)
    evidence, profile = evidence_directory(invocation), profile_of(invocation, repository)
    request = JobRequest(
        routine="backup verify",
        target=profile.name if profile else str(repository),
        subject=backup.reference,
        start=lambda c: verifying.verify_repository_backup(c, repository, detail, trial, evidence),
        locks=(verifying.verify_lock(repository, backup.label),),
        summary=describe_verification,
        judge=lambda found: JobState.FAILED if found.problems else JobState.SUCCEEDED,
    )
    outcome = invocation.run(request)
    if outcome.result is not None:
        for line in describe_looks(outcome.result):
            invocation.printer.say(line)
    return finish(invocation, outcome, lambda found: {"verification": found}, describe_verification, None,
                  failed=exit_codes.FOUND_SOMETHING)  # fmt: skip


def _plan_trial(invocation: Invocation, repository: Repository, backup: RepositoryBackup) -> RepositoryTrialPlan:
    request: JobRequest[RepositoryTrialPlan] = JobRequest(
        routine="plan proof",
        target=str(repository),
        start=lambda c: verifying.plan_repository_trial(c, repository, backup),
        changes=False,
    )
    return invocation.result_of(request)


# ---------------------------------------------------------------- restore


def restore(
    *, reference: str, dry_run: bool, confirmed: tuple[str, ...], as_json: bool, quiet: bool, **wishes: Any
) -> int:  # fmt: skip
    """Restore a backup into a data directory and print its path."""
    refuse_options(reference, to=wishes["to"], table=wishes["tables"], dir=wishes["directory"])
    options = _parse_options(reference, wishes)
    invocation = Invocation.begin(as_json=as_json, quiet=quiet, acting=True)
    repository, label = find_repository(invocation, reference)
    evidence = evidence_directory(invocation)
    planning: JobRequest[RestoreFromRepositoryPlan] = JobRequest(
        routine="restore plan",
        target=str(repository),
        start=lambda c: restores.plan_repository_restore(c, repository, label, options, evidence),
        changes=False,
    )
    plan = invocation.result_of(planning)
    lines = show_restore_from_repository(plan)
    if dry_run:
        shown = {field.name: getattr(plan, field.name) for field in fields(plan)}
        return show_plan(invocation, lines, plan.refusals, plan=shown, backup_id=plan.backup.reference)
    if plan.refusals:
        raise RefusedError(f"restore refused: {'; '.join(plan.refusals)}")
    profile = profile_of(invocation, repository)
    confirm(describe_restoring(plan), lines, _names(plan, profile), confirmed)
    return _apply(invocation, plan, profile)


def _parse_options(reference: str, wishes: Mapping[str, Any]) -> RepositoryRestoreOptions:
    if not wishes["into"]:
        raise UsageError(f"--into is missing: {format_untrusted(reference)} fills a whole data directory",
                         "say --into DIR, a new or empty directory")  # fmt: skip
    if wishes["delta"] and wishes["replace"]:
        raise UsageError("--replace sets the old directory aside and --delta writes over it", "keep one of them")
    moment = wishes["target_time"]
    return RepositoryRestoreOptions(
        directory=os.path.abspath(Path(wishes["into"]).expanduser()),  # noqa: PTH100 - links are not followed
        target_time=parse_target_time(moment) if moment is not None else None,
        replaces=wishes["replace"],
        is_delta=wishes["delta"],
        jobs=wishes["jobs"],
    )


def _apply(invocation: Invocation, plan: RestoreFromRepositoryPlan, profile: ConnectionProfile | None) -> int:
    directory = plan.options.directory
    request = JobRequest(
        routine="backup restore",
        target=profile.name if profile else str(plan.repository),
        subject=f"{plan.backup.reference} into {directory}",
        start=lambda c: restores.apply_repository_restore(c, plan),
        locks=(restores.restore_directory_lock(directory),),
        summary=describe_restored,
    )
    outcome = invocation.run(request)
    if outcome.result is not None:
        _tell(invocation, outcome.result)
    return finish(invocation, outcome, lambda done: {"restore": done, "backup_id": done.reference},
                   lambda done: done.directory, describe_restored)  # fmt: skip


def _tell(invocation: Invocation, done: RepositoryRestoreResult) -> None:
    for words in done.warnings:
        invocation.printer.warn(words)
    for number, words in enumerate(done.afterwards, 1):
        invocation.printer.say(f"next {number}. {words}")


def _names(plan: RestoreFromRepositoryPlan, profile: ConnectionProfile | None) -> tuple[str, ...]:
    if profile is not None and profile.environment is Environment.PRODUCTION:
        return tuple(dict.fromkeys((plan.confirm_name, profile.name)))
    return (plan.confirm_name,)


def refuse_options(reference: str, **given: Any) -> None:
    """Raise UsageError when an option was given that physical backups do not have."""
    for option, value in given.items():
        if value:
            name = f"--{option.replace('_', '-')}"
            raise UsageError(f"{name} is not for {format_untrusted(reference)}, which holds a whole cluster",
                             "leave it out")  # fmt: skip
