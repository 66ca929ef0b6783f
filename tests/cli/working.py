"""A command whose job waits until it is cancelled, and takes its time to undo what it began."""

import time
from collections.abc import Callable
from pathlib import Path

import click

from dbtui.cli.invocation import Invocation
from dbtui.errors import AuthenticationError
from dbtui.jobs import JobRequest
from dbtui.model.events import CommandRan, Progressed, Routine, StepFinished, StepStarted, Warned
from dbtui.routines.context import RoutineContext

UNDO_SECONDS = 0.5


def wait_until(is_so: Callable[[], bool], seconds: float = 30.0) -> None:
    """Return when something is so; fail when it takes too long."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def wait_for(path: Path) -> None:
    """Return when a file is there."""
    wait_until(path.exists)


@click.command()
@click.option("--json", "as_json", is_flag=True)
@click.option("--quiet", is_flag=True)
def work(as_json: bool, quiet: bool) -> int:
    """Write `began`, work until cancelled or until `finish` appears, undo, write `undone`."""

    def routine(c: RoutineContext) -> Routine[str]:
        yield StepStarted("work", "a\x1b[31mb")
        try:
            yield Progressed(1, 2, "tables")
            Path("began").touch()
            while not Path("finish").exists():
                c.cancellation.check()
                c.cancellation.wait(0.02)
            yield CommandRan("SELECT 1")
            yield Warned("mind the gap")
            yield StepFinished("work", 1.5)
            return "worked"
        finally:
            if not Path("finish").exists():
                time.sleep(UNDO_SECONDS)
                Path("undone").touch()

    invocation = Invocation.begin(as_json=as_json, quiet=quiet, acting=True)
    outcome = invocation.run(JobRequest(routine="work", target="here", start=routine))
    invocation.printer.result(str(outcome.result), outcome=outcome.state.value, exit_code=0)
    return 0


@click.command()
@click.argument("target")
def login(target: str) -> int:
    """Succeed when the password is `right`."""
    invocation = Invocation.begin(acting=True)
    profile = invocation.target(target)

    def routine(c: RoutineContext) -> Routine[str]:
        yield StepStarted("log in")
        password = c.password_of(profile)
        if password is None or password.reveal() != "right":
            raise AuthenticationError("the server refused the login erp", "check the password")
        return "in"

    outcome = invocation.run(JobRequest(routine="login", target="here", start=routine), profile)
    invocation.printer.result(str(outcome.result), outcome=outcome.state.value, exit_code=0)
    return 0


PROGRAM = """
import sys
import dbtui.cli.main as program
program.COMMANDS["work"] = ("tests.cli.working:work", "")
program.COMMANDS["login"] = ("tests.cli.working:login", "")
program.main(sys.argv[1:])
"""
