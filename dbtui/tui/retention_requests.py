"""What the backups pane asks the runner to do about retention: planning with a year ahead, removing, pinning."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dbtui.analysis.backups import retention_words as words
from dbtui.analysis.backups.retention import Policies
from dbtui.analysis.backups.survival import simulate
from dbtui.history import History
from dbtui.jobs import JobRequest
from dbtui.model.backups import BackupEntry
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import Routine
from dbtui.model.retention import ExpireResult, Pin, RetentionPlan, Survival
from dbtui.routines.backups import backup_lock
from dbtui.routines.backups.expire import ExpireRequest, apply_expire, plan_expire
from dbtui.routines.backups.pins import pin_backup, read_pin, unpin_backup
from dbtui.routines.context import RoutineContext

EXPIRE = "backup expire"
_CANCELLING = "What was removed stays removed; a new plan goes on from there."


@dataclass(frozen=True, slots=True)
class ReadRetention:
    """A plan to be read, with the year that follows from its policy."""

    plan: RetentionPlan
    years: tuple[Survival, ...]


def plan(
    directory: Path, profile: ConnectionProfile | None, policy_of: Policies, *, trusts_gaps: bool
) -> JobRequest[ReadRetention]:
    """Plan by policies: for the backups of a target, or for all in the directory."""
    request = ExpireRequest(directories=(directory,), policy_of=policy_of, profile=profile, trusts_gaps=trusts_gaps)

    def start(context: RoutineContext) -> Routine[ReadRetention]:
        made = yield from plan_expire(context, request)
        years = (simulate(group, datetime.now(UTC)) for group in made.groups)
        return ReadRetention(made, tuple(year for year in years if year is not None))

    return JobRequest(routine="plan expire", target=str(directory), changes=False, start=start)


def expire(history: History, plan: RetentionPlan, target: str) -> JobRequest[ExpireResult]:
    """Remove what a plan names; every step is written into the history at once."""
    return JobRequest(
        routine=EXPIRE,
        target=target,
        subject=", ".join(dict.fromkeys(each.scope.database for each in plan.removed)),
        locks=tuple(f"{EXPIRE} in {directory}" for directory in plan.directories),
        start=lambda c: apply_expire(c, plan, lambda subject, detail: history.note(EXPIRE, target, subject, detail)),
        summary=words.describe_result,
        judge=words.judge_result,
        cancelling=_CANCELLING,
    )


def pin(entry: BackupEntry, reason: str) -> JobRequest[bool]:
    """Pin a backup. `reason` may be empty."""
    return JobRequest(routine="backup pin", target=entry.profile, subject=entry.backup_id,
                      locks=(backup_lock(entry),), start=lambda c: pin_backup(c, entry, reason),
                      summary=lambda _new: f"{entry.backup_id} is pinned: it stays")  # fmt: skip


def pin_of(entry: BackupEntry) -> JobRequest[Pin | None]:
    """Read who has pinned a backup, when and why."""

    def start(_context: RoutineContext) -> Routine[Pin | None]:
        yield from ()
        return read_pin(entry)

    return JobRequest(routine="read pin", target=entry.backup_id, changes=False, start=start)


def unpin(entry: BackupEntry) -> JobRequest[bool]:
    """Take a backup's pin away."""
    return JobRequest(routine="backup unpin", target=entry.profile, subject=entry.backup_id,
                      locks=(backup_lock(entry),), start=lambda c: unpin_backup(c, entry),
                      summary=lambda _was: f"{entry.backup_id} is pinned no more")  # fmt: skip


def profiles_of(profiles: Sequence[ConnectionProfile], opened: ConnectionProfile | None) -> list[ConnectionProfile]:
    """Return every profile whose environment counts for a confirmation."""
    return [*profiles, *([opened] if opened is not None and opened not in profiles else [])]
