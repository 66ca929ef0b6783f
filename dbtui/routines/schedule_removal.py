"""Taking a schedule away again: its lines of the crontab, its units, and nothing else."""

import shlex
import time
from collections.abc import Sequence
from pathlib import Path

from dbtui.adapters.streams import fsync_path, storage_errors
from dbtui.adapters.timers import collect_timers, order_systemd
from dbtui.analysis.schedule_lines import find_lines, take_out_lines
from dbtui.errors import RefusedError, UsageError
from dbtui.model.events import CommandRan, Routine, StepFinished, StepStarted, Warned
from dbtui.model.schedules import Scheduler, ScheduleRemoval
from dbtui.model.text import format_untrusted
from dbtui.routines.context import RoutineContext
from dbtui.routines.schedules import find_crontab, read_crontab, unit_directory, write_crontab

PREFIX = "dbtui-"
_SUFFIXES = (".timer", ".service")


def plan_removal(c: RoutineContext, wanted: str, by: Scheduler | None = None) -> Routine[ScheduleRemoval]:
    """Return what removing the schedule of a name, or of the beginning of one, would take away.

    `by`: only from there; None: wherever it is. Raises UsageError when no schedule, or more than one, is meant,
    ToolError when the crontab cannot be read.
    """
    yield from ()
    crontab = _crontab_of(c) if by is not Scheduler.SYSTEMD else ""
    folder = unit_directory(c)
    in_crontab = {schedule.name for schedule in find_lines(crontab)}
    of_units = {path.stem for suffix in _SUFFIXES for path in folder.glob(f"{PREFIX}*{suffix}")}
    name = _choose(wanted, sorted(in_crontab | (of_units if by is not Scheduler.CRON else set())))
    _, lines = take_out_lines(crontab, name)
    if by is Scheduler.CRON or name not in of_units:
        return ScheduleRemoval(name=name, lines=lines)
    wants = folder / "timers.target.wants" / f"{name}.timer"
    files = [folder / f"{name}{suffix}" for suffix in _SUFFIXES]
    present = [str(path) for path in (wants, *files) if path.is_symlink() or path.exists()]
    commands: tuple[tuple[str, ...], ...] = ()
    if collect_timers([name], c.environ):
        commands = (("systemctl", "--user", "stop", f"{name}.timer"), ("systemctl", "--user", "daemon-reload"))
    return ScheduleRemoval(name=name, lines=lines, files=tuple(present), commands=commands)


def _crontab_of(c: RoutineContext) -> str:
    program = find_crontab(c)
    return read_crontab(c, program) if program else ""


def _choose(wanted: str, names: Sequence[str]) -> str:
    for text in (wanted, PREFIX + wanted):
        if text in names:
            return text
    meant = [name for name in names if wanted and name.startswith((wanted, PREFIX + wanted))]
    if len(meant) == 1:
        return meant[0]
    shown = format_untrusted(wanted, 80)
    if meant:
        raise UsageError(f"“{shown}” is the beginning of {len(meant)} schedules: {', '.join(meant)}", "type more of it")
    raise UsageError(f"no schedule of this user is called “{shown}”", "see dbtui schedule list")


def apply_removal(c: RoutineContext, plan: ScheduleRemoval) -> Routine[ScheduleRemoval]:
    """Take away what the plan names. Raises RefusedError when the line has changed since, ToolError, StorageError."""
    began = time.monotonic()
    yield StepStarted("remove", plan.name)
    if plan.lines:
        yield CommandRan("crontab -")
        _remove_lines(c, plan)
    for argv in plan.commands[:-1]:
        yield from _order(c, argv)
    for path in map(Path, plan.files):
        with storage_errors(path):
            path.unlink(missing_ok=True)
            fsync_path(path.parent)
    for argv in plan.commands[-1:]:
        yield from _order(c, argv)
    yield StepFinished("remove", time.monotonic() - began)
    return plan


def _remove_lines(c: RoutineContext, plan: ScheduleRemoval) -> None:
    program = find_crontab(c)
    left, taken = take_out_lines(read_crontab(c, program) if program else "", plan.name)
    if program is None or taken != plan.lines:
        raise RefusedError("the crontab has changed since it was shown; nothing was changed", "look at it again")
    write_crontab(c, program, left)


def _order(c: RoutineContext, argv: Sequence[str]) -> Routine[None]:
    yield CommandRan(shlex.join(argv))
    complaint = order_systemd(argv, c.environ)
    if complaint:
        yield Warned(f"{shlex.join(argv)}: {complaint}")
