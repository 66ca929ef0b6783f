"""Retention in words: policies, plans and what was done, for both front doors."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from dbtui.analysis.backups.survival import draw_strip, strip_bounds
from dbtui.model.connections import ConnectionProfile, Environment
from dbtui.model.jobs import JobState
from dbtui.model.policies import CountedProof, RetentionPolicy
from dbtui.model.retention import ExpireResult, RetentionBackup, RetentionGroup, RetentionPlan, RetentionScope, Survival
from dbtui.model.text import format_bytes, format_duration

_NUMBERS = ("last", "daily", "weekly", "monthly", "yearly")
_STANDARD = {
    CountedProof.COMPLETE: "",
    CountedProof.CHECKSUMS: ", of verified backups",
    CountedProof.RESTORED: ", of backups proven by a restore",
}
LEGEND = "a digit counts backups of today (+: ten and more), · are those still to come"


def describe_policy(policy: RetentionPolicy) -> str:
    """Return `last 3, daily 7, weekly 4; days of UTC`."""
    numbers = ", ".join(f"{name} {getattr(policy, name)}" for name in _NUMBERS if getattr(policy, name))
    return f"{numbers or 'none'}{_STANDARD[policy.counts]}; days of {policy.time_zone}"


def describe_scope(scope: RetentionScope) -> str:
    """Return what backups of a scope are of."""
    return f"{scope.database} ({scope.server}{f', {scope.covers}' if scope.covers else ''})"


def describe_plan(plan: RetentionPlan) -> str:
    """Return the consequence of a plan as a verb phrase."""
    doomed = plan.removed
    of = ", ".join(dict.fromkeys(each.scope.database for each in doomed))
    total = len(doomed) + len(plan.kept)
    unfinished = f"; {_unfinished(plan)}" if plan.leftovers else ""
    if not doomed:
        return f"removes no backup; {len(plan.kept)} stay{unfinished}"
    return f"removes {len(doomed)} of {total} backups of {of} ({format_bytes(plan.freed_bytes)}) for good{unfinished}"


def _unfinished(plan: RetentionPlan) -> str:
    count = len(plan.leftovers)
    return f"finishes {count} deletion{'s' if count > 1 else ''} that {'were' if count > 1 else 'was'} interrupted"


def names_to_type(plan: RetentionPlan, profiles: Iterable[ConnectionProfile]) -> tuple[tuple[str, str], ...]:
    """Return what must be typed, each name once: databases that lose backups, and production profiles they are of."""
    doomed = plan.removed
    made_from = {name for each in doomed for name in (each.profile, each.scope.server)}
    production = [
        profile.name
        for profile in profiles
        if profile.environment is Environment.PRODUCTION and made_from & {profile.name, profile.url}
    ]
    names = {each.scope.database: "database" for each in doomed}
    names |= {name: "profile" for name in production if name not in names}
    return tuple((what, name) for name, what in names.items())


def describe_result(done: ExpireResult) -> str:
    """Return what became of it."""
    count = len(done.removed)
    parts = [f"removed {count} backup{'' if count == 1 else 's'} ({format_bytes(done.freed_bytes)}), {done.kept} stay"]
    parts += [f"finished {len(done.finished)} interrupted deletions"] if done.finished else []
    parts += [f"{backup_id} stays: {why}" for backup_id, why in done.skipped]
    parts += [f"{backup_id} is no backup any more, and not wholly gone: {why}" for backup_id, why in done.remains]
    parts += [f"left alone: {why}" for why in done.refusals]
    return "; ".join(parts)


def judge_result(done: ExpireResult) -> JobState:
    """Return how it ended."""
    return JobState.PARTIAL if done.skipped or done.remains or done.refusals else JobState.SUCCEEDED


# ---------------------------------------------------------------- a plan and a year as lines


def format_plan(plan: RetentionPlan) -> list[str]:
    """Return the lines of a plan: the consequence, then every backup with its verdict and why."""
    lines = [f"this {describe_plan(plan)}"]
    lines += [f"  refused  {text}" for text in plan.refusals]
    lines += [f"  warning  {text}" for text in plan.warnings]
    for group in plan.groups:
        lines += ["", *_format_group(group)]
    if plan.left_alone:
        lines += ["", "left alone, and counted for nothing:"]
        lines += [f"  {each.backup_id}  {each.kind.value}: {each.problem}" for each in plan.left_alone]
    return lines


def _format_group(group: RetentionGroup) -> Iterator[str]:
    yield f"{describe_scope(group.scope)} in {group.directory}"
    yield f"  policy   {describe_policy(group.policy) if group.policy else 'none: everything stays'}"
    widest = max((len(verdict.backup.backup_id) for verdict in group.verdicts), default=0)
    for verdict in group.verdicts:
        word = "keep  " if verdict.keeps else "remove"
        size = format_bytes(verdict.backup.size_bytes)
        yield f"  {word}   {verdict.backup.backup_id:<{widest}}  {size:>7}  {'; '.join(verdict.reasons)}"


def format_survival(survival: Survival, width: int) -> list[str]:
    """Return a year as lines: what there is at each point, then when each backup of today goes."""
    begins, ends = strip_bounds(survival)
    strip = max(20, width - 30)
    every, covers = format_duration(survival.every_seconds), survival.scope.covers
    lately = "as lately" if survival.is_rhythm_known else "which is assumed"
    axis = f"{begins:%Y-%m-%d}" + " " * max(1, strip - 20) + f"{ends:%Y-%m-%d}"
    lines = [
        f"what survives when: {survival.scope.database}{covers and f', {covers}'}",
        f"  a backup every {every} ({lately}), and this policy applied once a day",
        f"  {'':<10} {'KEPT':>6} {'SIZE':>8}  {axis}",
    ]
    for point in survival.points:
        size = format_bytes(sum(each.size_bytes for each in point.survivors))
        drawn = draw_strip(point, begins, ends, strip)
        lines.append(f"  {point.label:<10} {len(point.survivors):>6} {size:>8}  {drawn.rstrip()}")
    return [*lines, f"  {LEGEND}"]


def format_leaving(survival: Survival) -> list[str]:
    """Return when each backup of today goes."""
    widest = max((len(backup_id) for backup_id, _ in survival.leaves), default=0)
    today = survival.points[0].at

    def when(moment: datetime | None) -> str:
        if moment is None:
            return "is there in a year"
        return f"goes {moment:%Y-%m-%d}" if moment > today else "goes at once"

    return [f"  {backup_id:<{widest}}  {when(moment)}" for backup_id, moment in survival.leaves]


# ---------------------------------------------------------------- fields of JSON


def plan_fields(plan: RetentionPlan) -> dict[str, object]:
    """Return a plan as fields."""
    return {
        "taken_at": plan.taken_at,
        "directories": plan.directories,
        "groups": [
            {
                **_scope_fields(group.scope),
                "policy": group.policy,
                "refusals": group.refusals,
                "warnings": group.warnings,
                "backups": [
                    {**_backup_fields(verdict.backup), "keep": verdict.keeps, "reasons": verdict.reasons}
                    for verdict in group.verdicts
                ],
            }
            for group in plan.groups
        ],
        "remove": [each.backup_id for each in plan.removed],
        "keep": [each.backup_id for each in plan.kept],
        "freed_bytes": plan.freed_bytes,
        "left_alone": plan.left_alone,
        "leftovers": plan.leftovers,
    }


def _scope_fields(scope: RetentionScope) -> dict[str, object]:
    return {"database": scope.database, "engine": scope.engine, "server": scope.server, "covers": scope.covers}


def _backup_fields(backup: RetentionBackup) -> dict[str, object]:
    names = ("backup_id", "directory", "began_at", "size_bytes", "proof", "is_pinned", "problem", "digest")
    return {name: getattr(backup, name) for name in names}


def survival_fields(survivals: Sequence[Survival]) -> list[dict[str, object]]:
    """Return years as fields: what of today is there at each point, how many there are then, and how large."""
    return [
        {
            **_scope_fields(each.scope),
            "every_seconds": each.every_seconds,
            "points": [
                {
                    "label": point.label,
                    "at": point.at,
                    "kept": len(point.survivors),
                    "size_bytes": sum(one.size_bytes for one in point.survivors),
                    "backups": [one.backup_id for one in point.survivors if one.backup_id],
                }
                for point in each.points
            ],
            "leaves": [{"backup_id": backup_id, "at": moment} for backup_id, moment in each.leaves],
        }
        for each in survivals
    ]
