"""The backups of remotes, beside those here: asked for at once, shown as one history."""

import queue
import time

from dbtui.analysis.backups.places import label_remotes, merge_places
from dbtui.cli.backup_remotes import configured_remotes
from dbtui.cli.invocation import Invocation
from dbtui.errors import Cancelled
from dbtui.jobs import Job, JobRequest
from dbtui.model.backups import BackupEntry
from dbtui.model.connections import ConnectionProfile
from dbtui.model.jobs import JobOutcome
from dbtui.model.remote_addresses import parse_remote_address
from dbtui.model.remotes import RemoteAddress
from dbtui.model.shipping import RemoteHistory
from dbtui.routines.backups.remote_catalogue import (
    PATIENCE_SECONDS,
    collect_remote_entries,
    collect_remote_history,
)

#: Beyond that for what does not heed its limit at once.
_GRACE_SECONDS = 2.0


def collect_remote(invocation: Invocation, address: str, database: str) -> RemoteHistory:
    """Return the backups in one remote, however long that takes. Raises UsageError, ConnectError, RemoteError."""
    place = parse_remote_address(address)
    request: JobRequest[RemoteHistory] = JobRequest(
        routine="list remote",
        target=address,
        start=lambda c: collect_remote_entries(c, place, database),
        changes=False,
    )
    return invocation.result_of(request)


def collect_histories(
    invocation: Invocation, profile: ConnectionProfile | None, database: str
) -> tuple[RemoteHistory, ...]:
    """Return the backups in the remotes of a profile, or of all, asked side by side; none is waited for long."""
    addresses = configured_remotes(invocation, profile)
    jobs = [invocation.runner.submit(_request(address, database)) for address in addresses]
    ends_at = time.monotonic() + PATIENCE_SECONDS + _GRACE_SECONDS
    try:
        return tuple(_await(job, ends_at) for job in jobs)
    except Cancelled as end:
        for job in jobs:
            job.cancel(end.message)
        raise


def _await(job: Job[RemoteHistory], ends_at: float) -> RemoteHistory:
    """Wait for a history. What heeds no limit, such as a resolver, is left behind; it ends with this process."""
    address = job.request.target
    while True:
        try:
            update = job.updates.get(timeout=max(0.0, ends_at - time.monotonic()))
        except queue.Empty:
            job.cancel("no answer in time")
            return RemoteHistory(
                address=address, problem=f"{address} is left out: no answer within {PATIENCE_SECONDS:g} s"
            )
        if not isinstance(update, JobOutcome):
            continue
        if isinstance(update.error, Cancelled):
            raise update.error
        return update.result or RemoteHistory(address=address, problem=f"{address} is left out: {update.error}")


def _request(address: RemoteAddress, database: str) -> JobRequest[RemoteHistory]:
    return JobRequest(
        routine="list remote",
        target=str(address),
        start=lambda c: collect_remote_history(c, address, database),
        changes=False,
    )


def merge(entries: tuple[BackupEntry, ...], histories: tuple[RemoteHistory, ...]) -> tuple[BackupEntry, ...]:
    """Return the history here and those of remotes as one."""
    return merge_places(entries, [history.entries for history in histories]) if histories else entries


def labels_of(histories: tuple[RemoteHistory, ...]) -> dict[str, str]:
    """Return how the remotes are called in the list."""
    return label_remotes(history.address for history in histories)


def tell(invocation: Invocation, histories: tuple[RemoteHistory, ...], *, remarks: bool) -> None:
    """Say what is not known of remotes, and, asked for, what else lies in them."""
    for history in histories:
        if history.problem:
            invocation.printer.warn(history.problem)
        for remark in history.remarks if remarks else ():
            invocation.printer.say(remark)


def history_fields(histories: tuple[RemoteHistory, ...]) -> list[dict[str, object]]:
    """Return what the JSON document says of the remotes themselves."""
    return [
        {
            "address": history.address,
            "problem": history.problem,
            "remarks": history.remarks,
            "backups": len(history.entries),
        }
        for history in histories
    ]
