"""Putting back what captures have left on that nobody looks after any more."""

import time
from dataclasses import replace
from pathlib import Path

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.deadlines import DEADLINES
from dbtui.errors import Cancelled, DbtuiError, UsageError
from dbtui.model.captures import CaptureJournal, CaptureRepair, StaleCapture
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import Routine, StepFinished, StepStarted, Warned
from dbtui.model.text import format_duration
from dbtui.model.urls import redact_url
from dbtui.routines.capture_journal import JournalFile, list_stale_captures, locked_server
from dbtui.routines.context import RoutineContext

_REVERTING_SECONDS = 90.0


def repair_captures(
    c: RoutineContext, profile: ConnectionProfile, directory: Path
) -> Routine[tuple[CaptureRepair, ...]]:
    """Put back what earlier captures of a profile have left on. `directory`: of the journals.

    A server that cannot be reached, or is another one now, keeps its journal: then `is_restored` is false.
    Raises StorageError, Cancelled.
    """
    done = []
    for stale in list_stale_captures(directory):
        if stale.journal is not None and _is_of(stale.journal, profile):
            yield StepStarted("repair", stale.journal.capture_id)
            began = time.monotonic()
            done.append(_repair(c, profile, directory, stale, stale.journal))
            for left in done[-1].left:
                yield Warned(left)
            yield StepFinished("repair", time.monotonic() - began, done[-1].detail)
    return tuple(done)


def _is_of(journal: CaptureJournal, profile: ConnectionProfile) -> bool:
    same_url = journal.url == redact_url(profile.url)
    return journal.engine is profile.engine and (journal.profile == profile.name or same_url)


def _repair(
    c: RoutineContext, profile: ConnectionProfile, directory: Path, stale: StaleCapture, journal: CaptureJournal
) -> CaptureRepair:
    file = JournalFile(Path(stale.path))
    try:
        with locked_server(directory, journal.server):
            left = stale.left if stale.is_restored else revert_capture(c, profile, journal)
            file.remove()
    except Cancelled:
        raise
    except DbtuiError as error:
        return CaptureRepair(
            capture_id=journal.capture_id, profile=profile.name, is_restored=False, detail=f"not put back: {error}"
        )
    ago = format_duration((c.now() - journal.began_at).total_seconds())
    detail = f"the settings changed {ago} ago are as they were" if not left else "nothing of the capture is on any more"
    return CaptureRepair(
        capture_id=journal.capture_id, profile=profile.name, is_restored=True, left=left, detail=detail
    )


def revert_capture(c: RoutineContext, profile: ConnectionProfile, journal: CaptureJournal) -> tuple[str, ...]:
    """Put back what a journal says, from here. A requested stop does not keep us from it."""
    cancellation = Cancellation()
    shielded = replace(c, cancellation=cancellation)
    queries = c.adapter(profile.engine).queries
    if queries is None:
        raise UsageError(f"{profile.engine.value} has no captures")
    with (
        DEADLINES.limiting(_REVERTING_SECONDS, cancellation),
        shielded.open_target(profile) as target,
        queries.open_switch(target, journal) as switch,
    ):
        return switch.revert()
