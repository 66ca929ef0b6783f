"""What the backups pane does about retention: the dialog of policies, and pins."""

from collections.abc import Sequence
from pathlib import Path

from dbtui.analysis.backups.retention import choose_policies
from dbtui.jobs import JobRunner
from dbtui.model.backups import BackupEntry
from dbtui.model.connections import ConnectionProfile
from dbtui.model.policies import RetentionPolicy
from dbtui.tui import far_requests
from dbtui.tui import retention_requests as requests
from dbtui.tui.cells import line, strong
from dbtui.tui.dialogs.dialog import Confirm, ask
from dbtui.tui.dialogs.expire_backups import ExpireBackupsDialog
from dbtui.tui.dialogs.pin_backup import PinDialog
from dbtui.tui.messages import JobWanted
from dbtui.tui.panes.pane import Pane


async def expire(
    pane: Pane,
    runner: JobRunner,
    directory: Path,
    opened: ConnectionProfile | None,
    profiles: Sequence[ConnectionProfile],
    otherwise: RetentionPolicy | None,
) -> None:
    """Ask by which policy; remove what has no place left. Without an open target, of every database.

    Then each is judged by the policy of its profile, as the command does it; `otherwise`: where none is known.
    """
    is_configured = otherwise is not None or any(profile.keep for profile in profiles)
    own = choose_policies(profiles, otherwise) if opened is None and is_configured else None
    policy = opened.keep if opened is not None else otherwise
    plan = await ask(pane, ExpireBackupsDialog(runner, directory, opened, profiles, policy, own))
    if plan is not None:
        target = opened.name if opened is not None else str(directory)
        pane.post_message(JobWanted(requests.expire(runner.history, plan, target)))


async def change_pin(pane: Pane, entry: BackupEntry) -> None:
    """Ask why, then pin a backup; take a pin away after a question."""
    if not entry.is_pinned:
        reason = await ask(pane, PinDialog(entry))
        if reason is not None:
            pinning = far_requests.pin(entry, reason) if entry.remote else requests.pin(entry, reason)
            pane.post_message(JobWanted(pinning))
        return
    text = [line("Lets retention and deletion remove ", strong(entry.backup_id), " again.")]
    if await ask(pane, Confirm("Take the pin away?", text, "Unpin", "Cancel")):
        pane.post_message(JobWanted(far_requests.unpin(entry) if entry.remote else requests.unpin(entry)))
