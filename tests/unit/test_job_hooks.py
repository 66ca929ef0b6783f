"""Hooks of jobs that are started by keys: told before anybody hears of the end, and never in its way."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dbtui.config import Settings, load_settings
from dbtui.errors import ConnectError, LockedError
from dbtui.history import History
from dbtui.job_hooks import HookTeller
from dbtui.jobs import Job, JobRequest, JobRunner, held_lock, run
from dbtui.model.backups import VerifyResult
from dbtui.model.events import Routine
from dbtui.model.jobs import JobState
from dbtui.routines.context import RoutineContext
from dbtui.tui.start import make_runner
from tests.unit.test_processes import wait_until

FILE = """
[hooks]
on_failure = ["{hook}"]
on_success = ["{hook}"]
only = ["backup *"]
timeout = 20
[profiles.erp]
url = "postgresql://erp:hunter2pw@db1/erp"
[profiles.erp.hooks]
timeout = {timeout}
"""


Start = Callable[[RoutineContext], Routine[Any]]


class Lab:
    def __init__(self, folder: Path, timeout: float = 20) -> None:
        self.hook = folder / "page-me"
        self.script('cat >> "$0.told"; env > "$0.env"')
        (folder / "config.toml").write_text(FILE.format(hook=self.hook, timeout=timeout))
        self.settings: Settings = load_settings({}, folder / "config.toml")
        context = RoutineContext(environ={"PATH": "/usr/bin:/bin", "PGPASSWORD": "x", "LANG": "C"})
        self.runner = JobRunner(context, History(folder / "state"))
        self.runner.tell_hooks = HookTeller(self.settings, context, self.runner.history, lambda: ("hunter2pw",))

    def script(self, text: str) -> None:
        self.hook.write_text(f"#!/bin/sh\n{text}\n")
        self.hook.chmod(0o755)

    def run(
        self, start: Callable[[RoutineContext], Routine[Any]], routine: str = "backup create", **words: Any
    ) -> Job[Any]:
        request = JobRequest(routine=routine, target="erp", start=start, subject="erp_live", **words)
        return run(self.runner, request, lambda _event: None)

    @property
    def told(self) -> list[dict[str, Any]]:
        path = Path(f"{self.hook}.told")
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def failing(error: Exception) -> Start:
    def start(_context: RoutineContext) -> Routine[Any]:
        yield from ()
        raise error

    return start


def returning(result: object) -> Start:
    def start(_context: RoutineContext) -> Routine[Any]:
        yield from ()
        return result

    return start


def test_how_a_job_ended_is_told_as_if_it_had_been_typed(lab: Lab) -> None:
    lab.run(failing(ConnectError("db1 refused hunter2pw", "start it")))
    lab.run(returning("fine"))
    found = VerifyResult(backup_id="erp-1", proof="checksums", files_checked=1, problems=("x",))
    lab.run(returning(found), "backup verify", judge=lambda _found: JobState.FAILED)
    with held_lock(lab.runner.history.state_dir / "locks", "erp"):
        assert isinstance(lab.run(returning(1), locks=("erp",)).outcome.error, LockedError)  # type: ignore[union-attr]
    assert [(told["command"], told["exit_code"], told["outcome"]) for told in lab.told] == [
        ("backup create", 4, "failed"), ("backup create", 0, "succeeded"), ("backup verify", 7, "failed"),
        ("backup create", 5, "failed")]  # fmt: skip
    assert lab.told[0]["sentence"] == "db1 refused ***; start it"
    assert lab.told[2]["backup_id"] == "erp-1"
    assert all(told["target"] == "erp" and told["subject"] == "erp_live" for told in lab.told)
    assert "PGPASSWORD" not in Path(f"{lab.hook}.env").read_text()


def test_who_only_reads_or_is_not_asked_for_tells_nobody(lab: Lab) -> None:
    lab.run(failing(ConnectError("x")), changes=False)
    lab.run(failing(ConnectError("x")), "partitions apply")
    assert lab.told == []


def test_a_job_that_was_cancelled_is_told(lab: Lab, tmp_path: Path) -> None:
    def start(context: RoutineContext) -> Routine[Any]:
        yield from ()
        (tmp_path / "began").touch()
        while True:
            context.cancellation.check()
            context.cancellation.wait(5)

    job = lab.runner.submit(JobRequest(routine="backup create", target="erp", start=start))
    wait_until((tmp_path / "began").exists)
    job.cancel()
    wait_until(lambda: job.state.is_final)
    assert [(told["exit_code"], told["outcome"]) for told in lab.told] == [(130, "cancelled")]


@pytest.mark.parametrize(("script", "said"), [("exit 3", "page-me exited with 3"), ("sleep 60", "longer than 0.3 s")])
def test_a_hook_that_fails_is_a_warning_of_the_job(tmp_path: Path, script: str, said: str) -> None:
    lab = Lab(tmp_path, 0.3)
    lab.script(script)
    job = lab.run(returning("fine"))
    assert job.outcome is not None
    assert job.outcome.state is JobState.SUCCEEDED
    assert job.outcome.result == "fine"
    assert any(said in warning for warning in job.outcome.warnings)
    told, backup = lab.runner.history.entries()
    assert (backup.routine, backup.state) == ("backup create", JobState.SUCCEEDED)
    assert (told.routine, told.state) == ("hooks", JobState.FAILED)
    assert said in told.detail


def test_the_runner_of_the_terminal_ui_has_them(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    runner = make_runner({"PATH": "/usr/bin:/bin", "XDG_STATE_HOME": str(tmp_path)}, lab.settings)
    run(runner, JobRequest(routine="backup create", target="erp", start=returning("fine")), lambda _event: None)
    assert [told["exit_code"] for told in lab.told] == [0]
