"""Beginning and ending: the runner that the UI uses, and leaving without waiting for a server that does not answer."""

import time
from collections.abc import Mapping
from contextlib import suppress

from dbtui.config import Passwords, state_dir
from dbtui.history import History
from dbtui.jobs import JobRunner
from dbtui.routines.context import RoutineContext
from dbtui.tui.frame import Frame
from dbtui.tui.workers import request_cancel


def make_runner(environ: Mapping[str, str]) -> JobRunner:
    """Return a runner whose history and locks are in the state directory."""
    passwords = Passwords(environ)
    return JobRunner(RoutineContext(password_of=passwords.find, environ=environ), History(state_dir(environ)))


def cancel_all(runner: JobRunner, reason: str = "left", wait_seconds: float = 0.0) -> None:
    """Ask every running job to stop, and wait a moment for them to undo what they did."""
    ends = time.monotonic() + wait_seconds
    for job in runner.running:
        request_cancel(job, reason)
    while runner.running and time.monotonic() < ends:
        time.sleep(0.02)


def leave(app: Frame, code: int) -> None:
    """End the UI from another thread: cancel its jobs, then let it close."""
    cancel_all(app.runner, "the terminal is gone" if code == 129 else "SIGTERM")
    loop = app._loop
    if loop is not None:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(app.exit, code, code)
