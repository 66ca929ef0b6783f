"""Leaving without waiting for a server that does not answer."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from dbtui.jobs import Job, JobRunner
from dbtui.tui.cells import Tone
from dbtui.tui.frame import Frame
from dbtui.tui.spoken_keys import speak_keys
from dbtui.tui.widgets.jobs_strip import job_title, short_routine
from dbtui.tui.workers import request_cancel

#: How long jobs may take to undo what they did, after the operator has said that they shall end.
MOST_SECONDS = 15.0
_LOOK_SECONDS = 0.1


def cancel_all(runner: JobRunner, reason: str = "left", wait_seconds: float = 0.0) -> None:
    """Ask every running job to stop, and wait a moment for them to undo what they did."""
    ends = time.monotonic() + wait_seconds
    for job in runner.running:
        if not job.cancellation.requested:
            request_cancel(job, reason)
    while runner.running and time.monotonic() < ends:
        time.sleep(0.02)


async def end_jobs(app: Frame) -> None:
    """Cancel the jobs of the UI, and say what is waited for until they have ended or MOST_SECONDS have passed."""
    ends = time.monotonic() + MOST_SECONDS
    cancel_all(app.runner)
    while (running := app.runner.running) and time.monotonic() < ends:
        leaves = speak_keys("{global.quit} leaves at once")
        app.say(f"{ending_text(running)} (at most {MOST_SECONDS:.0f} s; {leaves})", Tone.WARNING)
        await asyncio.sleep(_LOOK_SECONDS)
        cancel_all(app.runner)  # one may have been on its way


def ending_text(jobs: Sequence[Job[Any]]) -> str:
    """Return what the end of these jobs waits for: "ending the restore: dropping shop__new_… on db1:5432"."""
    job = jobs[0]
    undoing = [each.undoing for each in job.unfinished if each.is_ours and each.is_being_undone]
    what = undoing[0] if undoing else f"waiting until “{job.step or 'the beginning'}” stops"
    more = f", and {len(jobs) - 1} more" if len(jobs) > 1 else ""
    return f"ending the {short_routine(job.request.routine)}: {what}{more}"


def left_behind(runner: JobRunner) -> list[str]:
    """Return a sentence for everything that jobs made, should have removed again, and have not."""
    return [
        f"{job_title(job)} was not ended in good order and may have left {each.left}"
        for job in runner.jobs
        for each in job.unfinished
        if each.is_ours
    ]


def leave(app: Frame, code: int) -> None:
    """End the UI from another thread: cancel its jobs, then let it close."""
    cancel_all(app.runner, "the terminal is gone" if code == 129 else "SIGTERM")
    loop = app._loop
    if loop is not None:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(app.exit, code, code)
