"""Schedules: units below the user's systemd directory, or one line in the user's crontab. Installed, read, removed."""

import os
import shutil
import subprocess
import time
from pathlib import Path

from dbtui.adapters.streams import fsync_path, storage_errors
from dbtui.analysis.schedules import put_line
from dbtui.errors import ToolError
from dbtui.model.events import CommandRan, Routine, StepFinished, StepStarted
from dbtui.model.schedules import Scheduler, ScheduleResult, ScheduleTexts
from dbtui.model.text import format_untrusted
from dbtui.routines.context import RoutineContext

_SECONDS = 30
_EMPTY = (b"no crontab for",)


def apply_schedule(c: RoutineContext, texts: ScheduleTexts, scheduler: Scheduler) -> Routine[ScheduleResult]:
    """Write the units or the cron line; what was written by the same name before is replaced.

    Raises StorageError, ToolError (crontab is missing, or refuses).
    """
    began = time.monotonic()
    yield StepStarted("install", f"{texts.name} for {scheduler.value}")
    if scheduler is Scheduler.SYSTEMD:
        result = _write_units(c, texts)
    else:
        yield CommandRan("crontab -")
        result = _write_line(c, texts)
    yield StepFinished("install", time.monotonic() - began)
    return result


def unit_directory(c: RoutineContext) -> Path:
    """Return where this user's units lie."""
    base = c.environ.get("XDG_CONFIG_HOME", "")
    home = Path(base) if base.startswith("/") else Path("~/.config").expanduser()
    return home / "systemd" / "user"


def _write_units(c: RoutineContext, texts: ScheduleTexts) -> ScheduleResult:
    folder = unit_directory(c)
    places = []
    was_there = False
    for suffix, text in ((".service", texts.service), (".timer", texts.timer)):
        path = folder / (texts.name + suffix)
        with storage_errors(path):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            was_there = was_there or path.exists()
            _write_whole(path, text)
        places.append(str(path))
    commands = ("systemctl --user daemon-reload", f"systemctl --user enable --now {texts.name}.timer",
                "loginctl enable-linger")  # fmt: skip
    return ScheduleResult(name=texts.name, scheduler=Scheduler.SYSTEMD, places=tuple(places), next_commands=commands,
                          was_there=was_there)  # fmt: skip


def _write_whole(path: Path, text: str) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
    fsync_path(path.parent)


def _write_line(c: RoutineContext, texts: ScheduleTexts) -> ScheduleResult:
    program = find_crontab(c)
    if program is None:
        raise ToolError("the program crontab is not installed", "install cron, or use --by systemd")
    before = read_crontab(c, program)
    write_crontab(c, program, put_line(before, texts))
    return ScheduleResult(name=texts.name, scheduler=Scheduler.CRON, places=("crontab",),
                          was_there=texts.name in before)  # fmt: skip


def find_crontab(c: RoutineContext) -> str | None:
    """Return the path of the program crontab, None where there is none."""
    return shutil.which("crontab", path=c.environ.get("PATH"))


def read_crontab(c: RoutineContext, program: str) -> str:
    """Return the user's crontab, empty when there is none. Raises ToolError."""
    listed = _run(c, [program, "-l"])
    if listed.returncode and not any(each in listed.stderr for each in _EMPTY):
        raise ToolError(f"the crontab cannot be read: {_said(listed)}", "nothing was changed")
    return listed.stdout.decode("utf-8", "surrogateescape") if not listed.returncode else ""


def write_crontab(c: RoutineContext, program: str, text: str) -> None:
    """Write the user's crontab. Raises ToolError."""
    written = _run(c, [program, "-"], text)
    if written.returncode:
        raise ToolError(f"the crontab cannot be written: {_said(written)}", "nothing was changed")


def _run(c: RoutineContext, argv: list[str], typed: str = "") -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(argv, input=typed.encode("utf-8", "surrogateescape"), capture_output=True,
                              env={**c.environ, "LC_ALL": "C"}, timeout=_SECONDS, check=False)  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{argv[0]} did not end within {_SECONDS} s", "nothing was changed") from error
    except OSError as error:
        raise ToolError(f"{argv[0]} cannot be run: {error.strerror}") from error


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    return format_untrusted(done.stderr.decode("utf-8", "replace").strip(), 300) or f"exit code {done.returncode}"
