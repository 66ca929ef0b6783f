"""What the queries pane asks the runner to do: watching sums, plans, captures, repairs, reading logs."""

import os
from collections.abc import Callable
from pathlib import Path

from dbtui.analysis.queries.live_sums import LiveLook, LiveSums
from dbtui.analysis.query_words import describe_capture, judge_capture
from dbtui.jobs import JobRequest
from dbtui.model.captures import CaptureRepair, CaptureWish, StaleCapture
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import Routine
from dbtui.model.jobs import JobState
from dbtui.model.queries import CapturePlan, CaptureResult, QueryFindings
from dbtui.model.urls import redact_url
from dbtui.routines import captures, queries
from dbtui.routines.context import RoutineContext
from dbtui.routines.queries import ExplainedQuery, InspectWish

#: Where captures leave their journals, in the state directory.
JOURNALS = "captures"
_MOST_PATHS = 200


def watch(
    profile: ConnectionProfile, sums: LiveSums, pace: Callable[[], float], on_look: Callable[[LiveLook], None]
) -> JobRequest[None]:
    """Look at a server's sums until it is cancelled; one watch of a target at a time, judged on its own thread."""
    return JobRequest(
        routine="watch statements",
        target=profile.name,
        start=lambda context: queries.watch_top_queries(
            context, profile, pace, lambda snapshot: on_look(sums.take(snapshot))
        ),
        changes=False,
        thread=f"sums of {profile.name}",
    )


def explain(profile: ConnectionProfile, key: str) -> JobRequest[ExplainedQuery]:
    """Ask for the plan of a statement that the server sums up."""
    return JobRequest(routine="explain", target=profile.name, changes=False,
                      start=lambda context: queries.explain_query(context, profile, key))  # fmt: skip


# ---------------------------------------------------------------- captures


def capture_plan(profile: ConnectionProfile, wish: CaptureWish) -> JobRequest[CapturePlan]:
    """Look at what a capture needs and costs."""
    return JobRequest(routine="plan a capture", target=profile.name, changes=False,
                      start=lambda context: captures.plan_capture(context, profile, wish))  # fmt: skip


def capture(
    profile: ConnectionProfile, plan: CapturePlan, journals: Path, on_findings: Callable[[QueryFindings], None]
) -> JobRequest[CaptureResult]:
    """Log statements for a while and judge them; `on_findings` is called each second, on the job's thread."""
    return JobRequest(
        routine="capture queries",
        target=profile.name,
        start=lambda context: queries.capture_statements(context, profile, plan, journals, on_findings=on_findings),
        summary=describe_capture,
        judge=judge_capture,
        cancelling="What has been seen by then is judged, and the server's settings are put back.",
    )


def stale(profile: ConnectionProfile, journals: Path) -> JobRequest[tuple[StaleCapture, ...]]:
    """Look for captures of a profile that nobody looks after any more."""

    def start(_context: RoutineContext) -> Routine[tuple[StaleCapture, ...]]:
        yield from ()
        return tuple(each for each in captures.list_stale_captures(journals) if _is_of(each, profile))

    return JobRequest(routine="look for captures", target=profile.name, start=start, changes=False)


def _is_of(found: StaleCapture, profile: ConnectionProfile) -> bool:
    journal = found.journal
    return journal is not None and journal.engine is profile.engine and (
        journal.profile == profile.name or journal.url == redact_url(profile.url)
    )  # fmt: skip


def repair(profile: ConnectionProfile, journals: Path) -> JobRequest[tuple[CaptureRepair, ...]]:
    """Put back what interrupted captures of a profile have left on."""
    return JobRequest(
        routine="repair captures",
        target=profile.name,
        start=lambda context: captures.repair_captures(context, profile, journals),
        summary=lambda done: "; ".join(each.detail for each in done) or "nothing was left",
        judge=lambda done: JobState.SUCCEEDED if all(each.is_restored for each in done) else JobState.FAILED,
    )


# ---------------------------------------------------------------- files


def inspect(wish: InspectWish, profile: ConnectionProfile | None) -> JobRequest[QueryFindings]:
    """Read a log or a trace and judge it; `profile`: whose tables name the cures."""
    return JobRequest(routine="inspect statements", target=wish.path, changes=False,
                      start=lambda context: queries.inspect_statements(context, wish, profile))  # fmt: skip


def paths(text: str) -> JobRequest[tuple[str, ...]]:
    """List what a path that is being typed may become; directories end with a slash."""

    def start(_context: RoutineContext) -> Routine[tuple[str, ...]]:
        yield from ()
        return complete_path(text)

    return JobRequest(routine="list files", target=text, start=start, changes=False)


def complete_path(text: str) -> tuple[str, ...]:
    """Return the paths that begin with `text`, as it is written; what cannot be read has none."""
    folder, name = os.path.split(text)
    before = f"{folder.rstrip('/')}/" if folder else ""
    try:
        with os.scandir(Path(folder or ".").expanduser()) as found:
            names = [each.name + ("/" if each.is_dir() else "") for each in found if each.name.startswith(name)]
    except (OSError, ValueError):
        return ()
    shown = [each for each in names if name.startswith(".") or not each.startswith(".")]
    return tuple(f"{before}{each}" for each in sorted(shown)[:_MOST_PATHS])
