"""Which schedules dbtui has installed for this user, and what became of each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dbtui.adapters.timers import TimerStatus, collect_timers
from dbtui.analysis.schedule_lines import find_lines, read_units
from dbtui.analysis.schedule_states import assess_schedule
from dbtui.errors import ToolError
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import Routine, Warned
from dbtui.model.schedules import CommandRun, InstalledSchedule, ScheduleState
from dbtui.routines.context import RoutineContext
from dbtui.routines.schedules import find_crontab, read_crontab, unit_directory

_PREFIX = "dbtui-"
_LOCALTIME = Path("/etc/localtime")


class PastRuns(Protocol):
    """What is known of runs: `dbtui.history.History` is one."""

    def beside(self, environ: Mapping[str, str]) -> "PastRuns":
        """Return what a command with these variables of its own writes into."""
        ...

    def command_runs(self, words: Sequence[str], limit: int = ...) -> Sequence[CommandRun]:
        """Return the runs of these very words, the newest first."""
        ...

    def installed_at(self, name: str) -> datetime | None:
        """Return when a schedule was installed."""
        ...


def collect_schedules(
    c: RoutineContext, past: PastRuns, profiles: Sequence[ConnectionProfile] = (), *, localtime: Path = _LOCALTIME
) -> Routine[tuple[ScheduleState, ...]]:
    """Return every schedule of this user that dbtui installed, overdue ones first, each with what became of it.

    The crontab and the units of the user are looked at; where neither is, there are none. Each state says which of
    `profiles` its command concerns (`profile`, `database`; empty: none of them), when it runs next (`next_run_at`),
    how its last run ended (`last_run`), and whether it is overdue (`standing`, `is_overdue`, `reason`). A line or a
    unit that was changed by hand is there as well, with the standing "unreadable". Warns when a crontab cannot be read.
    For the terminal UI: `JobRequest(routine="list schedules", target="", changes=False,
    start=lambda c: collect_schedules(c, runner.history, settings.profiles))`.
    """
    found = [*_timers_of(c)]
    try:
        found += _lines_of(c)
    except ToolError as error:
        yield Warned(error.message)
    zone = read_zone(c, localtime)
    now = c.now()
    states = []
    for schedule in found:
        installed = schedule.installed_at or past.installed_at(schedule.name)
        runs = past.beside(dict(schedule.environ)).command_runs(schedule.words) if schedule.words else ()
        states.append(assess_schedule(replace(schedule, installed_at=installed), runs, profiles, now, zone))
    return tuple(sorted(states, key=lambda state: (not state.standing.is_trouble, state.schedule.name)))


def read_zone(c: RoutineContext, localtime: Path = _LOCALTIME) -> tzinfo:
    """Return the time zone of the machine, by which cron and systemd go; a TZ of the operator's is not asked first."""
    try:
        with localtime.open("rb") as file:
            return ZoneInfo.from_file(file, key=_zone_name(localtime))
    except (OSError, ValueError):
        try:
            return ZoneInfo(c.environ.get("TZ", "UTC").removeprefix(":") or "UTC")
        except (ZoneInfoNotFoundError, ValueError, OSError):
            return UTC


def _zone_name(localtime: Path) -> str:
    return str(localtime.resolve()).partition("/zoneinfo/")[2] or "local"


def _lines_of(c: RoutineContext) -> list[InstalledSchedule]:
    program = find_crontab(c)
    return list(find_lines(read_crontab(c, program))) if program else []


def _timers_of(c: RoutineContext) -> Iterator[InstalledSchedule]:
    folder = unit_directory(c)
    names = sorted({path.stem for suffix in (".timer", ".service") for path in folder.glob(f"{_PREFIX}*{suffix}")})
    asked = collect_timers(names, c.environ) if names else {}
    for name in names:
        yield _timer_of(folder, name, asked.get(name))


def _timer_of(folder: Path, name: str, status: TimerStatus | None) -> InstalledSchedule:
    timer = folder / f"{name}.timer"
    schedule = read_units(name, str(timer), _text_of(timer), _text_of(folder / f"{name}.service"))
    is_enabled = (folder / "timers.target.wants" / timer.name).is_symlink()
    try:
        installed = datetime.fromtimestamp(timer.stat().st_mtime, UTC)
    except OSError:
        installed = None
    schedule = replace(schedule, is_enabled=is_enabled, installed_at=installed)
    dropped = [folder / f"{name}{suffix}.d" for suffix in (".timer", ".service")]
    if not schedule.problem and any(each.is_dir() and any(each.glob("*.conf")) for each in dropped):
        schedule = replace(schedule, problem="files beside the unit change what it says (systemctl --user edit)")
    if status is not None:
        is_enabled = is_enabled or status.is_active
        schedule = replace(schedule, is_enabled=is_enabled, next_run_at=status.next_run_at if is_enabled else None)
    return schedule


def _text_of(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
