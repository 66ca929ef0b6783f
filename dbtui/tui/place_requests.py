"""What the backups pane asks the runner about other places: remotes, repositories, and the schedules of backups."""

from collections.abc import Sequence
from pathlib import Path

from dbtui.analysis.backups.shipping_words import PUSH_CANCELLING, describe_pull, describe_push
from dbtui.history import History
from dbtui.jobs import JobRequest
from dbtui.model.backups import BackupEntry, Manifest
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import Routine
from dbtui.model.remote_addresses import parse_remote_address
from dbtui.model.remotes import RemoteAddress
from dbtui.model.repositories import Repository, RepositoryReport
from dbtui.model.schedules import ScheduleState
from dbtui.model.shipping import PullPlan, PushPlan, RemoteHistory, ShippingResult
from dbtui.routines.backups.pull import apply_pull, plan_pull
from dbtui.routines.backups.push import apply_push, plan_push
from dbtui.routines.backups.remote_catalogue import collect_remote_history
from dbtui.routines.context import RoutineContext
from dbtui.routines.repositories import EVIDENCE, collect_repository
from dbtui.routines.schedule_states import collect_schedules

PUSH, PULL = "backup push", "backup pull"


# ---------------------------------------------------------------- looking


def remote_history(address: str) -> JobRequest[RemoteHistory]:
    """List the backups in a remote. One that cannot be asked is a history with a problem."""

    def start(context: RoutineContext) -> Routine[RemoteHistory]:
        return collect_remote_history(context, parse_remote_address(address))

    return JobRequest(routine="list remote", target=address, changes=False, start=start)


def repository(history: History, asked: Repository) -> JobRequest[RepositoryReport]:
    """Ask a repository what lies in it. One that cannot be asked is a report with a problem."""
    return JobRequest(routine="ask repository", target=str(asked), changes=False,
                      start=lambda c: collect_repository(c, asked, evidence_directory(history)))  # fmt: skip


def evidence_directory(history: History) -> Path:
    """Return where what verifications of repositories have shown is kept."""
    return Path(history.state_dir) / EVIDENCE


def schedules(history: History, profiles: Sequence[ConnectionProfile]) -> JobRequest[tuple[ScheduleState, ...]]:
    """Look at the schedules that were installed, and at what became of their runs."""
    return JobRequest(routine="list schedules", target="", changes=False,
                      start=lambda c: collect_schedules(c, history, profiles))  # fmt: skip


# ---------------------------------------------------------------- shipping


def push_plan(entry: BackupEntry, address: RemoteAddress) -> JobRequest[PushPlan]:
    """Look what a remote has of a backup."""
    return JobRequest(routine="plan push", target=entry.profile, subject=entry.backup_id, changes=False,
                      start=lambda c: plan_push(c, entry, address))  # fmt: skip


def push(plan: PushPlan) -> JobRequest[ShippingResult]:
    """Send a copy of a backup."""
    return JobRequest(
        routine=PUSH,
        target=plan.entry.profile,
        subject=f"{plan.backup_id} to {plan.address}",
        locks=(f"push of {plan.backup_id} to {plan.address}",),
        start=lambda c: apply_push(c, plan),
        summary=describe_push,
        cancelling=PUSH_CANCELLING,
    )


def pull_plan(entry: BackupEntry, directory: Path) -> JobRequest[PullPlan]:
    """Look what a remote has of a backup, and whether it fits here."""

    def chosen(_manifest: Manifest) -> Path:
        return directory

    def start(context: RoutineContext) -> Routine[PullPlan]:
        return plan_pull(context, parse_remote_address(entry.remote), entry.data_path.rpartition("/")[2],
                         chosen)  # fmt: skip

    return JobRequest(routine="plan pull", target=entry.remote, subject=entry.backup_id, changes=False, start=start)


def pull(plan: PullPlan) -> JobRequest[ShippingResult]:
    """Fetch a copy of a backup."""
    return JobRequest(
        routine=PULL,
        target=plan.manifest.profile,
        subject=f"{plan.backup_id} from {plan.address}",
        locks=(f"pull of {plan.backup_id} into {plan.directory}",),
        start=lambda c: apply_pull(c, plan),
        summary=describe_pull,
    )
