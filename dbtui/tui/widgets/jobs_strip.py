"""The jobs strip: how far each running job is, at most two lines, only while something runs."""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dbtui.jobs import WHOLE_UNIT, Job
from dbtui.model.events import Progressed
from dbtui.model.text import format_bytes, format_count, format_duration
from dbtui.tui.cells import Line, Span, Tone, bar, cut, dim, line, spread, strong, width_of
from dbtui.tui.spoken_keys import speak_keys
from dbtui.tui.widgets.drawn import Lines

_RATE_SECONDS = 8.0
_SHOWN = 2
_SHORTEST_TITLE = 12


@dataclass
class Meter:
    """The rate of one step, from the progress of the last seconds."""

    step: str = ""
    points: "deque[tuple[float, int]]" = field(default_factory=deque)

    def note(self, step: str, done: int, now: float) -> None:
        """Take a reading; a new step, or one that went back, begins anew."""
        if step != self.step or (self.points and done < self.points[-1][1]):
            self.step = step
            self.points.clear()
        self.points.append((now, done))
        while len(self.points) > 2 and now - self.points[0][0] > _RATE_SECONDS:
            self.points.popleft()

    @property
    def per_second(self) -> float:
        """Units a second, 0 while unknown."""
        if len(self.points) < 2:
            return 0.0
        (began, first), (ended, last) = self.points[0], self.points[-1]
        return (last - first) / (ended - began) if ended > began else 0.0


def format_amount(amount: float, unit: str) -> str:
    """Return `1.2 GB` for bytes, `3.1 M rows` for anything counted."""
    return format_bytes(amount) if unit == "bytes" else f"{format_count(round(amount))} {unit}"


def short_routine(routine: str) -> str:
    """Return a routine's name as a title has it: `backup`, `restore`."""
    return "backup" if routine == "backup create" else routine.removeprefix("backup ")


def what_text(target: str, subject: str) -> str:
    """Return what a run works on: its subject, unless that is only the path of the target's file."""
    return target if not subject or subject.startswith("/") else subject


def job_title(job: Job[Any]) -> str:
    """Return what a job is doing to what."""
    return f"{short_routine(job.request.routine)} {what_text(job.request.target, job.request.subject)}"


def show_job(job: Job[Any], meter: Meter, width: int, more: int = 0) -> Line:
    """Return one line of the strip. How far it is and the key that ends it are always there; the title gives way."""
    narrow = width < 110
    right = line(dim(f" +{more} more " if more else speak_keys(" {global.cancel} cancel ")))
    if job.cancellation.requested:
        work = line(Span("  cancelling, undoing what it did ", Tone.WARNING))
    else:
        step = job.step or "waiting for its turn"
        work = (*line(dim(f"  {step}  ")), *_progress(job.progress or job.whole, meter, narrow))
    room = max(_SHORTEST_TITLE, width - width_of(work) - width_of(right) - 1)
    return spread((Span("▌", Tone.ACCENT), *cut(line(strong(job_title(job))), room), *work), right, width)


def _progress(progress: Progressed | None, meter: Meter, narrow: bool) -> Line:
    if progress is None:
        return ()
    if progress.unit == "tries":  # of getting a lock: who holds it matters
        tried = Span("" if narrow else f"try {progress.done} of {progress.total}  ")
        return (tried, Span(progress.detail, Tone.WARNING))
    rate = meter.per_second if progress.unit != WHOLE_UNIT else 0.0
    parts: list[Span] = []
    if progress.total:
        fraction = min(1.0, progress.done / progress.total)
        parts += [*bar(fraction, 6 if narrow else 20), Span(f" {fraction * 100:3.0f} %  ")]
    if not (narrow and progress.unit == "seconds"):
        parts.append(Span(_amount(progress, narrow) + "  "))
    if progress.unit == "seconds":  # they pass at a rate that goes without saying: what happens in them matters
        parts.append(Span(f"{progress.detail} ", Tone.ACCENT))
    elif rate > 0:
        parts.append(Span(f"{format_amount(rate, progress.unit)}/s  "))
        if progress.total and progress.done < progress.total:
            parts.append(Span(f"{format_duration((progress.total - progress.done) / rate)} left "))
    return tuple(parts)


def _amount(progress: Progressed, narrow: bool) -> str:
    done = format_amount(progress.done, progress.unit)
    if not progress.total or narrow:
        return done
    total = format_amount(progress.total, progress.unit)
    done_number, _, done_unit = done.partition(" ")
    return f"{done_number if total.endswith(' ' + done_unit) else done} of {total}"


class JobsStrip(Lines):
    """One line for each of the first running jobs; nothing, and no room, when none runs."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._meters: dict[int, Meter] = {}

    def show(self, jobs: Sequence[Job[Any]]) -> None:
        """Show these running jobs."""
        now = time.monotonic()
        self._meters = {job.job_id: self._meters.get(job.job_id, Meter()) for job in jobs}
        for job in jobs:
            if job.progress is not None:
                self._meters[job.job_id].note(job.step, job.progress.done, now)
        width = self.app.size.width
        more = max(0, len(jobs) - _SHOWN)
        shown = jobs[:_SHOWN]
        self.show_lines(
            [
                show_job(job, self._meters[job.job_id], width, more if place == len(shown) - 1 else 0)
                for place, job in enumerate(shown)
            ]
        )
        self.display = bool(jobs)
