"""Plans as lines of text, the consequence first, and as fields for JSON."""

from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

from dbtui.analysis.repository_words import describe_checks, describe_end
from dbtui.model.backups import BackupEntry, CreatePlan, PlanStep, RestorePlan
from dbtui.model.connections import ConnectionProfile
from dbtui.model.proofs import ThrowawayPlan
from dbtui.model.recipients import shorten_recipient
from dbtui.model.repositories import RepositoryBackup, RepositoryTrialPlan, RestoreFromRepositoryPlan
from dbtui.model.shipping import PullPlan, PushPlan
from dbtui.model.text import format_bytes, format_untrusted

_LABEL_CELLS = 11
#: What a plan's JSON leaves out: the whole backup and its contents, which `backup show` prints.
_TOO_LARGE = frozenset(("backup", "contents", "facts"))


def show_create_plan(plan: CreatePlan, target: str) -> list[str]:
    """Return the lines of a plan to make a backup."""
    info = plan.facts.info
    what = f"back up {info.database or target} ({info.flavour} {info.version}) as {plan.backup_id}"
    size = format_bytes(plan.expected_bytes) if plan.expected_bytes is not None else "unknown"
    free = f", {format_bytes(plan.free_bytes)} free" if plan.free_bytes is not None else ""
    lines = [
        ("", what),
        ("file", f"{plan.directory.rstrip('/')}/{plan.data_name}"),
        ("format", f"{plan.options.format.value}, compression {plan.options.compression}"),
        *_listed("encrypted", (f"to {shorten_recipient(each)}" for each in plan.options.encrypt_to or ())),
        ("tables", str(len(plan.facts.tables))),
        ("size", f"about {size}{free}"),
        ("tool", f"{plan.facts.tool} {plan.facts.tool_version}"),
    ]
    return [*_labelled(lines), *_tail(plan.steps, plan.warnings, plan.refusals)]


def describe_restore(plan: RestorePlan) -> str:
    """Return the consequence of a restore as a verb phrase."""
    where = f"{plan.final_database} on {plan.server}"
    if plan.environment == "production":
        where += " (PRODUCTION)"
    if plan.replaces:
        return f"replaces the database {where}; what is there now is kept as {plan.keeps_as}"
    return f"creates the database {where}; nothing that exists is touched"


def show_restore_plan(plan: RestorePlan) -> list[str]:
    """Return the lines of a plan to restore a backup."""
    sessions = [
        f"{each.user} {each.application} {each.client} {each.state} (session {each.session_id})".replace("  ", " ")
        for each in plan.sessions
    ]
    needed = format_bytes(plan.needed_bytes) if plan.needed_bytes is not None else "unknown"
    free = f", {format_bytes(plan.free_bytes)} free" if plan.free_bytes is not None else ""
    tables = ", ".join(map(str, plan.tables)) if plan.tables else f"all {len(plan.contents.tables)}"
    lines = [("", f"this {describe_restore(plan)}")] if plan.final_database else []
    lines += [
        ("backup", plan.backup.backup_id),
        ("to", f"{plan.profile} ({plan.server})"),
        ("tables", tables),
        ("space", f"about {needed} needed{free}"),
        *_listed("disconnects", sessions),
        *_listed("missing", (*(f"role {name}" for name in plan.missing_roles),
                             *(f"extension {name}" for name in plan.missing_extensions))),
        *([("undo", plan.undo)] if plan.undo else []),
    ]  # fmt: skip
    return [*_labelled(lines), *_tail(plan.steps, plan.warnings, plan.refusals)]


def show_restore_from_repository(plan: RestoreFromRepositoryPlan) -> list[str]:
    """Return the lines of a plan to restore a physical backup."""
    needed = format_bytes(plan.needed_bytes) if plan.needed_bytes is not None else "unknown"
    free = f", {format_bytes(plan.free_bytes)} free" if plan.free_bytes is not None else ""
    target = plan.options.target_time
    lines = [
        ("", f"restore {plan.backup.reference} into {plan.options.directory}"),
        ("backup", f"{plan.backup.kind.value} of PostgreSQL {plan.backup.server_version}, {describe_end(plan.backup)}"),
        ("to", f"{plan.options.directory}, files of {plan.account or 'an account that is not known'}"),
        ("until", f"{target.isoformat(sep=' ')}" if target else "the end of the WAL in the repository"),
        ("space", f"about {needed} needed{free}"),
    ]
    steps = tuple(PlanStep(text, command) for text, command in plan.steps)
    afterwards = _labelled(_listed("afterwards", plan.afterwards))
    return [*_labelled(lines), *_tail(steps, plan.warnings, plan.refusals), *afterwards]


def show_repository_verify_plan(backup: RepositoryBackup, trial: RepositoryTrialPlan | None) -> list[str]:
    """Return the lines that say what verifying a physical backup does."""
    return [
        *_labelled([("", f"verify {backup.reference}")]),
        *_tail(tuple(map(PlanStep, describe_checks(backup, trial))), (), ()),
    ]


def show_delete_plan(entry: BackupEntry) -> list[str]:
    """Return the lines that say what deleting a backup removes."""
    proof = "never verified" if entry.verified_at is None else f"verified {entry.verified_at}"
    lines = [
        ("", f"this deletes the backup {entry.backup_id} for good"),
        ("database", entry.database or "unknown"),
        ("made", f"{entry.began_at:%Y-%m-%d %H:%M:%S} UTC, {proof}"),
        ("file", entry.data_path or "already gone"),
        ("size", format_bytes(entry.size_bytes)),
    ]
    return _labelled(lines)


def show_verify_plan(
    entry: BackupEntry, place: ThrowawayPlan | ConnectionProfile | None, is_far: bool = False
) -> list[str]:
    """Return the lines that say what verifying a backup does; `place`: where it is restored to try it.

    `is_far`: it lies in a remote and is fetched first.
    """
    steps = [PlanStep(f"fetch it from {entry.remote} into a private directory")] if is_far else []
    steps += [PlanStep("read every file and compare its size and SHA-256 with the manifest"),
             PlanStep("look for damage and hostile contents: its end, its structure, its statements")]  # fmt: skip
    checks = PlanStep("compare the rows of every table with the manifest; look at constraints, indexes and the like")
    remarks: tuple[str, ...] = ()
    if isinstance(place, ThrowawayPlan):
        remarks = place.remarks
        account = f", under the account {place.account}" if place.account else ""
        steps.append(PlanStep(f"make a throwaway {place.server} in {place.parent}{account}: a private directory, "
                              "no network"))  # fmt: skip
        steps += [PlanStep("restore it there"), checks, PlanStep("remove the throwaway server, with all that it holds")]
    elif place is not None:
        steps.append(PlanStep(f"restore it into a scratch database on the server of {place.name}"))
        steps += [checks, PlanStep("drop the scratch database")]
    written = "write the proof into the manifest" + (" and beside it" if place is not None else "")
    steps.append(PlanStep("remove what was fetched; nothing is written into the remote" if is_far else written))
    lines = _labelled([("", f"verify the backup {entry.backup_id}"), ("file", entry.data_path or "gone")])
    return [*lines, *_tail(tuple(steps), remarks, ())]


def show_shipping_plan(plan: PushPlan | PullPlan) -> list[str]:
    """Return the lines that say what is sent to a remote, or fetched from it."""
    is_push = isinstance(plan, PushPlan)
    there, here = f"{plan.address}/{plan.data_name}", f"{plan.directory.rstrip('/')}/{plan.data_name}"
    what = f"push {plan.backup_id} to {plan.address}" if is_push else f"pull {plan.backup_id} from {plan.address}"
    count = f"{len(plan.files)} file{'' if len(plan.files) == 1 else 's'}"
    lines = [
        ("", f"{what}: a whole copy is there already" if plan.is_done else what),
        ("from", here if is_push else there),
        ("to", there if is_push else here),
        ("size", f"{format_bytes(plan.size_bytes)} in {count}"),
    ]
    if plan.missing and plan.missing_bytes < plan.size_bytes:
        lines.append(("missing", f"{format_bytes(plan.missing_bytes)}; the rest is there from an earlier push"))
    if isinstance(plan, PullPlan) and plan.free_bytes is not None:
        lines.append(("space", f"{format_bytes(plan.free_bytes)} free"))
    return [*_labelled(lines), *_tail(plan.steps, plan.warnings, plan.refusals)]


def shipping_fields(plan: PushPlan | PullPlan) -> dict[str, Any]:
    """Return such a plan as fields for JSON."""
    return {
        "backup_id": plan.backup_id,
        "direction": "push" if isinstance(plan, PushPlan) else "pull",
        "remote": str(plan.address),
        "directory": plan.directory,
        "data_name": plan.data_name,
        "files": plan.files,
        "size_bytes": plan.size_bytes,
        "missing_bytes": plan.missing_bytes,
        "is_done": plan.is_done,
        "steps": plan.steps,
        "warnings": plan.warnings,
        "refusals": plan.refusals,
    }


def plan_fields(plan: CreatePlan | RestorePlan) -> dict[str, Any]:
    """Return a plan as fields for JSON."""
    return {field.name: getattr(plan, field.name) for field in fields(plan) if field.name not in _TOO_LARGE}


def _listed(label: str, items: Iterable[str]) -> Iterator[tuple[str, str]]:
    for number, item in enumerate(items):
        yield (label if number == 0 else " ", item)


def _labelled(lines: Iterable[tuple[str, str]]) -> list[str]:
    return [
        f"  {label:<{_LABEL_CELLS}} {format_untrusted(text)}" if label else format_untrusted(text)
        for label, text in lines
    ]


def _tail(steps: tuple[PlanStep, ...], warnings: tuple[str, ...], refusals: tuple[str, ...]) -> Iterator[str]:
    for number, step in enumerate(steps, 1):
        why = f"  ({step.why})" if step.why else ""
        yield from _labelled([("steps" if number == 1 else " ", f"{number}. {step.text}{why}")])
        if step.command:
            yield from _labelled([(" ", f"   {step.command}")])
    yield from _labelled(_listed("warning", warnings))
    yield from _labelled(_listed("refused", refusals))
