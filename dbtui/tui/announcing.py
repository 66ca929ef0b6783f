"""How a job's end is announced in the message line."""

from typing import Any

from dbtui.jobs import Job
from dbtui.model.jobs import JobOutcome, JobState
from dbtui.tui.cells import Tone
from dbtui.tui.panes.jobs import outcome_text
from dbtui.tui.spoken_keys import spoken_key
from dbtui.tui.widgets.jobs_strip import job_title

_TONES = {
    JobState.SUCCEEDED: Tone.OK,
    JobState.PARTIAL: Tone.WARNING,
    JobState.CANCELLED: Tone.WARNING,
    JobState.FAILED: Tone.TROUBLE,
}


def announcement(job: Job[Any], outcome: JobOutcome[Any]) -> tuple[str, Tone]:
    """Return the sentence and its tone."""
    text = outcome_text(job, outcome)
    if outcome.error is not None:
        text = f"{job_title(job)}: {text}"
    if outcome.warnings and outcome.error is None:
        count = len(outcome.warnings)
        text = f"{text}; {count} warning{'s' if count > 1 else ''}, see {spoken_key('global.jobs')} Jobs"
    return text, _TONES.get(outcome.state, Tone.PLAIN)
