"""Hooks of jobs that are started by keys: told on the job's own thread, in bounded time, whatever they do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.driving import exhaust
from dbtui.analysis.hooks import choose_calls, find_backup_id, name_command
from dbtui.history import History
from dbtui.hook_settings import secret_variables
from dbtui.jobs import Job
from dbtui.model.exit_codes import FAILED, FOUND_SOMETHING, exit_code_of, exit_code_of_state
from dbtui.model.hooks import COMMANDS, HookReport
from dbtui.model.jobs import JobOutcome, JobState
from dbtui.model.text import mask_passwords
from dbtui.routines.context import RoutineContext
from dbtui.routines.hooks import apply_hooks

if TYPE_CHECKING:
    from dbtui.config import Settings

_VERIFY = "backup verify"


def record_problems(history: History, report: HookReport, problems: Sequence[str]) -> Sequence[str]:
    """Write down that hooks told nobody, if there are problems, and return a warning for each. Raises nothing."""
    if problems:
        failed: JobOutcome[None] = JobOutcome(JobState.FAILED)
        history.record("hooks", report.profile, report.command, datetime.now(UTC), failed, "; ".join(problems), ())
    return [f"nobody was told by the hook {problem}" for problem in problems]


@dataclass(frozen=True)
class HookTeller:
    """What a `JobRunner` calls when a job has ended. `secrets` returns the passwords found so far."""

    settings: "Settings"
    context: RoutineContext
    history: History
    secrets: Callable[[], Sequence[str]] = tuple

    def __call__(self, job: Job[Any], outcome: JobOutcome[Any]) -> Sequence[str]:
        """Tell who is to be told, and return a warning for each who was not. Raises nothing."""
        report = make_report(job, outcome)
        profile = self.settings.profile(report.profile)
        hooks = profile.hooks if profile is not None else self.settings.hooks
        if hooks is None or report.command not in COMMANDS or not choose_calls(hooks, report):
            return ()
        secrets = tuple(self.secrets())
        # The job may have been cancelled; its hooks are told all the same.
        context = replace(self.context, cancellation=Cancellation())
        try:
            work = apply_hooks(context, hooks, report, hidden=secret_variables(self.settings), secrets=secrets)
            problems = exhaust(work, job.note)
            told = [f"{each.call.name}: {each.text}" for each in problems]
        except Exception as error:  # the boundary: whoever waits for the job must hear of its end all the same
            told = [mask_passwords(f"{type(error).__name__}: {error}", secrets)]
        return record_problems(self.history, report, told)


def make_report(job: Job[Any], outcome: JobOutcome[Any]) -> HookReport:
    """Return what hooks are told of a job: as if its command had been typed."""
    request, checking = job.request, job.request.routine == _VERIFY
    if outcome.error is not None:
        code, sentence = exit_code_of(outcome.error, checking=checking), str(outcome.error)
    else:
        code = exit_code_of_state(outcome.state, FOUND_SOMETHING if checking else FAILED)
        sentence = request.summary(outcome.result) if outcome.result is not None else ""
    return HookReport(
        command=name_command(request.routine),
        outcome=outcome.state.value,
        exit_code=code,
        sentence=sentence,
        begun_at=job.began_at or datetime.now(UTC),
        seconds=outcome.seconds,
        profile=request.target,
        subject=request.subject,
        backup_id=find_backup_id(outcome),
    )
