"""What becomes of a command when it has ended: it is written down for its schedule, and hooks are told.

One process runs one command. Nothing here changes how it ended, and nothing may keep it from ending.
"""

import os
import queue
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dbtui.analysis.hooks import choose_calls, find_backup_id, find_command, name_command
from dbtui.cli.main import TYPED
from dbtui.errors import DbtuiError
from dbtui.model.hooks import COMMANDS, HookProblem, HookReport, HookSettings
from dbtui.model.jobs import JobOutcome, JobState
from dbtui.model.schedules import SCHEDULE_VARIABLE

if TYPE_CHECKING:
    from dbtui.cli.invocation import Invocation
    from dbtui.history import History
    from dbtui.jobs import Job, JobRequest

_DRY_RUN = "--dry-run"
_IDLE_SECONDS = 0.5
_NOTHING = "nothing had to be done"
_OUTCOMES = {0: "succeeded", 3: "partial", 130: "cancelled"}


@dataclass
class Conclusion:
    """What is known of the command that this process runs."""

    history: "History | None" = None
    invocation: "Invocation | None" = None
    run_id: int | None = None
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    began: float = field(default_factory=time.monotonic)
    profile: str = ""
    request: "JobRequest[Any] | None" = None
    outcome: JobOutcome[Any] | None = None
    backup_id: str = ""
    sentence: str = ""  # what was wrong, without secrets
    error: BaseException | None = None

    def note_job(self, request: "JobRequest[Any]", outcome: JobOutcome[Any]) -> None:
        """Remember how the command's own job ended: what it reads or plans before is not it."""
        if request.changes:
            self.request, self.outcome = request, outcome
            self.backup_id = find_backup_id(outcome) or self.backup_id

    def note_failure(self, sentence: str, error: BaseException) -> None:
        """Remember what the command failed with."""
        self.sentence, self.error = sentence, error


CURRENT = Conclusion()


def begin(history: "History", *, acting: bool) -> None:
    """Write down that the command begins: one that changes or checks something, or that a schedule runs."""
    if CURRENT.history is None and TYPED:
        CURRENT.history = history
        if acting or os.environ.get(SCHEDULE_VARIABLE):
            CURRENT.run_id = history.begin_command(TYPED)


def conclude(code: int) -> None:
    """Write down how the command ended, and tell the hooks. A hook or a disk that fails is a warning."""
    if CURRENT.run_id is not None and CURRENT.history is not None:
        CURRENT.history.end_command(CURRENT.run_id, code, _sentence(code))
    report = _make_report(code)
    if report is not None and CURRENT.invocation is not None:
        _tell(CURRENT.invocation, report)


def _sentence(code: int) -> str:
    if CURRENT.request is None and code == 0:
        return _NOTHING if find_command(TYPED) else ""
    if CURRENT.sentence or CURRENT.request is None or CURRENT.outcome is None:
        return CURRENT.sentence
    result = CURRENT.outcome.result
    return CURRENT.request.summary(result) if result is not None else ""


def _make_report(code: int) -> HookReport | None:
    """What hooks are told; None when there is nothing that they should hear of.

    What was mistyped, refused or broken off before anything began is told to the terminal alone, if somebody sits
    there. Without a terminal nobody else would hear of it.
    """
    from dbtui.cli.invocation import can_prompt

    request, invocation = CURRENT.request, CURRENT.invocation
    command = find_command(TYPED) or (name_command(request.routine) if request is not None else "")
    if invocation is None or command not in COMMANDS or _DRY_RUN in TYPED:
        return None
    own_fault = isinstance(CURRENT.error, DbtuiError) and code in (2, 6, 130)
    if request is None and own_fault and can_prompt():
        return None
    state = CURRENT.outcome.state.value if CURRENT.outcome is not None else ""
    return HookReport(
        command=command,
        outcome=_OUTCOMES.get(code, "failed") if code else state or JobState.SUCCEEDED.value,
        exit_code=code,
        sentence=_sentence(code),
        begun_at=CURRENT.began_at,
        seconds=time.monotonic() - CURRENT.began,
        profile=(request.target if request is not None else "") or CURRENT.profile,
        subject=request.subject if request is not None else "",
        backup_id=CURRENT.backup_id,
    )


def _tell(invocation: "Invocation", report: HookReport) -> None:
    from dbtui.cli.printers import make_printer
    from dbtui.job_hooks import record_problems

    profile = invocation.settings.profile(report.profile)
    settings = profile.hooks if profile is not None else invocation.settings.hooks
    if settings is None or not choose_calls(settings, report):
        return
    outcome = _run_hooks(invocation, settings, report)
    problems = [f"{each.call.name}: {each.text}" for each in outcome.result or ()]
    problems += [str(outcome.error)] if outcome.error is not None else []
    printer = make_printer(as_json=False, quiet=True)  # stdout has had its last line
    for warning in record_problems(invocation.history, report, problems):
        printer.warn(warning)


def _run_hooks(
    invocation: "Invocation", settings: HookSettings, report: HookReport
) -> JobOutcome[tuple[HookProblem, ...]]:
    from dbtui.cli.invocation import PASSWORDS, SIGNALS
    from dbtui.hook_settings import secret_variables
    from dbtui.jobs import JobRequest
    from dbtui.routines.hooks import apply_hooks

    hidden = secret_variables(invocation.settings)
    request = JobRequest(
        routine="hooks",
        target=report.profile,
        subject=report.command,
        start=lambda c: apply_hooks(c, settings, report, hidden=hidden, secrets=PASSWORDS.known),
        changes=False,
    )
    with SIGNALS.guarding():
        job = invocation.runner.submit(request)
        SIGNALS.watch(job)
        return _outcome_of(job)


def _outcome_of(job: "Job[Any]") -> JobOutcome[Any]:
    while True:
        try:
            update = job.updates.get(timeout=_IDLE_SECONDS)
        except queue.Empty:  # a signal is taken between two waits
            continue
        if isinstance(update, JobOutcome):
            return update
